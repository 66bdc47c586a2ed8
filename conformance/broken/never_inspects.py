#!/usr/bin/env -S python3 -S
"""Never looks at the network that it made."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-inspect-after-create", "net-inspect-first-element", "net-inspect-failure-cleans", "net-error-kinds"}


class Apple(launcher.Apple):
    def inspect(self, name):
        return None


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

