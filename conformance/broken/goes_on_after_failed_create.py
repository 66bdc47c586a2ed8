#!/usr/bin/env python3
"""Inspects a network although creating it failed."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"net-create-failure-stops"}


class Apple(launcher.Apple):
    def create(self, name):
        try:
            super().create(name)
        except launcher.Failure:
            pass


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

