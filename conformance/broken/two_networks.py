#!/usr/bin/env python3
"""Creates two networks for one session."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"net-allowlist-creates-one"}


class Launcher(launcher.Launcher):
    def provision(self, network):
        super().provision(network)
        if network.mode == "allowlist":
            other = self.network_name()
            self.hold(network=other)
            self.runtime.create(other)


launcher.main(Launcher)

