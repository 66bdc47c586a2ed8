#!/usr/bin/env python3
"""Leaves the server all capabilities of its user namespace."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-caps-empty"}


class Bwrap(launcher.Bwrap):
    def privileges(self):
        return ["--cap-add", "ALL"]


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

