#!/usr/bin/env -S python3 -S
"""Leaves the root file system of the sandbox writable."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-rootfs-read-only"}


class Bwrap(launcher.Bwrap):
    def root(self):
        return []


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

