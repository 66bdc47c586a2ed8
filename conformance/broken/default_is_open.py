#!/usr/bin/env -S python3 -S
"""Gives the network to whoever configures nothing."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"map-default-none"}


class Launcher(launcher.Launcher):
    def policy(self):
        network = super().policy()
        said = (self.flags.get("--network") or self.config.package.get("network", {}).get("mode")
                or self.config.package.get("runtime") or self.config.defaults.get("network"))
        return network if said else launcher.Network("open")


launcher.main(Launcher)

