#!/usr/bin/env python3
"""Ignores SIGTERM."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"tear-sigterm"}


class Launcher(launcher.Launcher):
    def on_signal(self, number, frame):
        if number != launcher.signal.SIGTERM:
            super().on_signal(number, frame)


launcher.main(Launcher)

