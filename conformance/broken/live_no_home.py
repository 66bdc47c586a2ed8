#!/usr/bin/env python3
"""Gives the server a HOME that it cannot write."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-home-writable"}


class Bwrap(launcher.Bwrap):
    def writable(self):
        return super().writable()[:-4]


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

