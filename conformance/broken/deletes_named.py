#!/usr/bin/env python3
"""Deletes a named network that it did not make."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"net-named-passthrough"}


class Launcher(launcher.Launcher):
    def provision(self, network):
        super().provision(network)
        if network.mode == "named":
            self.hold(network=network.name)


launcher.main(Launcher)

