#!/usr/bin/env python3
"""Gives the server no /run."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-tmp-writable"}


class Bwrap(launcher.Bwrap):
    def writable(self):
        words = super().writable()
        return words[:4] + words[8:]


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

