#!/usr/bin/env python3
"""Runs the server as root of its user namespace."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-not-root"}


class Bwrap(launcher.Bwrap):
    def namespaces(self, network):
        return ["0" if word == "1000" else word for word in super().namespaces(network)]


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

