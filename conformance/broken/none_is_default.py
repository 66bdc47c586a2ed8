#!/usr/bin/env -S python3 -S
"""Starts a server that was to have no network on the runtime's ordinary one."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-none-argument", "map-default-none", "map-mode-none", "map-precedence"}


class Apple(launcher.Apple):
    def network_word(self, network):
        return "default" if network.mode == "none" else super().network_word(network)


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

