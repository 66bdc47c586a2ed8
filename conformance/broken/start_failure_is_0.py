#!/usr/bin/env python3
"""Takes a sandbox that did not start for a server that ended."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"tear-start-failure"}


class Apple(launcher.Apple):
    def is_own_error(self, status, errors):
        return False


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

