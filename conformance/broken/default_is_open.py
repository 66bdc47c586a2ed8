#!/usr/bin/env python3
"""Gives the network to whoever configures nothing."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"map-default-none"}


class Launcher(launcher.Launcher):
    def policy(self):
        network = super().policy()
        said = (self.flags.get("--network") or self.config.package.get("network", {}).get("mode")
                or self.config.package.get("runtime") or self.config.defaults.get("network"))
        return network if said else launcher.Network("open")


launcher.main(Launcher)

