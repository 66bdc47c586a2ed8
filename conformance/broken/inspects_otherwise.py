#!/usr/bin/env -S python3 -S
"""Prints another argument list than it runs."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"map-inspect-agrees"}


class Launcher(launcher.Launcher):
    def inspected_argv(self, name, network):
        return [word for word in super().inspected_argv(name, network) if word != "--init"]


launcher.main(Launcher)

