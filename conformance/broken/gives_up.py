#!/usr/bin/env python3
"""Leaves a network that was busy five times."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"retry-background"}


class Janitor(launcher.Janitor):
    def go_on(self, runtime, left):
        pass


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

