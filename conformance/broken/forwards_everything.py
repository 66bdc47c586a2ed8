#!/usr/bin/env python3
"""Forwards the whole environment by name."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"box-env-empty"}


class Apple(launcher.Apple):
    def variables(self):
        return super().variables() + ["-e", "NOT_FORWARDED"]


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

