#!/usr/bin/env python3
"""Leaves everything behind when it is killed."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"tear-sigkill", "tear-foreign-untouched"}


class Janitor(launcher.Janitor):
    def works_alone(self):
        return False


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

