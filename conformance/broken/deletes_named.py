#!/usr/bin/env -S python3 -S
"""Deletes a named network that it did not make."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-named-passthrough"}


class Launcher(launcher.Launcher):
    def provision(self, network):
        super().provision(network)
        if network.mode == "named":
            self.hold(network=network.name)


launcher.main(Launcher)

