#!/usr/bin/env -S python3 -S
"""Its janitor falls over an answer that is not JSON."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-every-failure"}


class Apple(launcher.Apple):
    def container_gone(self, name):
        return '"%s"' % name not in str(launcher.json.loads(self.ask("list", "--all", "--format", "json").out))


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

