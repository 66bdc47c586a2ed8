#!/usr/bin/env -S python3 -S
"""Starts the server as a child of the sandbox's process 1."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-not-an-orphan"}


class Bwrap(launcher.Bwrap):
    def parent(self):
        return []


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)
