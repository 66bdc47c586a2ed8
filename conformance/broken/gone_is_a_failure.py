#!/usr/bin/env -S python3 -S
"""Goes on about a network that is not there."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-create-failure-stops", "retry-gone-is-success", "tear-every-failure"}


class Apple(launcher.Apple):
    def look(self, name):
        return "unknown"


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

