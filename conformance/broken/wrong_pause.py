#!/usr/bin/env python3
"""Pauses 150 ms after every attempt."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"retry-backoff"}


class Janitor(launcher.Janitor):
    def pause(self, attempt):
        return 0.15


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

