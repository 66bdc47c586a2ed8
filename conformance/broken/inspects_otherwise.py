#!/usr/bin/env python3
"""Prints another argument list than it runs."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"map-inspect-agrees"}


class Launcher(launcher.Launcher):
    def inspected_argv(self, name, network):
        return [word for word in super().inspected_argv(name, network) if word != "--init"]


launcher.main(Launcher)

