#!/usr/bin/env -S python3 -S
"""Runs the server as root of its user namespace."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-not-root"}


class Bwrap(launcher.Bwrap):
    def namespaces(self, network):
        return ["0" if word == "1000" else word for word in super().namespaces(network)]


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

