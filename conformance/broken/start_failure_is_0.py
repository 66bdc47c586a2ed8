#!/usr/bin/env -S python3 -S
"""Takes a sandbox that did not start for a server that ended."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-start-failure"}


class Apple(launcher.Apple):
    def is_own_error(self, status, errors):
        return False


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

