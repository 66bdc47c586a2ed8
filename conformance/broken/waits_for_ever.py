#!/usr/bin/env python3
"""Waits for a delete as long as it takes."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"retry-hang-bounded"}


class Apple(launcher.Apple):
    def delete(self, name, seconds=None):
        return super().delete(name, seconds=None)


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

