#!/usr/bin/env -S python3 -S
"""Tells the janitor of a network only once it was inspected."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-inspect-failure-cleans", "tear-every-failure", "tear-foreign-untouched"}


class Launcher(launcher.Launcher):
    def provision(self, network):
        if network.mode != "allowlist":
            return
        network.name = self.network_name()
        self.runtime.create(network.name)
        self.runtime.inspect(network.name)
        self.hold(network=network.name)


launcher.main(Launcher)

