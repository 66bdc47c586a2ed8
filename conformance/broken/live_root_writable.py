#!/usr/bin/env python3
"""Leaves the root file system of the sandbox writable."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-rootfs-read-only"}


class Bwrap(launcher.Bwrap):
    def root(self):
        return []


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

