#!/usr/bin/env python3
"""Uses a CLI that is too old."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

RUNTIME = "replay-0.9.0"
BREAKS = {"net-odd-version"}


class Apple(launcher.Apple):
    def check_version(self):
        pass


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

