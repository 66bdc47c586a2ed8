#!/usr/bin/env python3
"""Goes on about a network that is not there."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"retry-gone-is-success"}


class Apple(launcher.Apple):
    def look(self, name):
        return "unknown"


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

