#!/usr/bin/env -S python3 -S
"""Leaves the host network to a server that is to have none."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"net-none-argument", "map-default-none", "map-mode-none", "map-precedence"}


class Bwrap(launcher.Bwrap):
    def namespaces(self, network):
        return [word for word in super().namespaces(network) if word != "--unshare-net"]


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

