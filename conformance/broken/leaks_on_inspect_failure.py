#!/usr/bin/env python3
"""Tells the janitor of a network only once it was inspected."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"net-inspect-failure-cleans", "tear-every-failure", "tear-foreign-untouched", "net-create-failure-stops"}


class Launcher(launcher.Launcher):
    def provision(self, network):
        if network.mode != "allowlist":
            return
        network.name = self.network_name()
        self.runtime.create(network.name)
        self.runtime.inspect(network.name)
        self.hold(network=network.name)


launcher.main(Launcher)

