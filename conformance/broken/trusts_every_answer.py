#!/usr/bin/env python3
"""Its janitor falls over an answer that is not JSON."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"tear-every-failure"}


class Apple(launcher.Apple):
    def container_gone(self, name):
        return '"%s"' % name not in str(launcher.json.loads(self.ask("list", "--all", "--format", "json").out))


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

