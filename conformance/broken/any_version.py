#!/usr/bin/env -S python3 -S
"""Uses a CLI that is too old."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "replay-0.9.0"
BREAKS = {"net-odd-version"}


class Apple(launcher.Apple):
    def check_version(self):
        pass


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

