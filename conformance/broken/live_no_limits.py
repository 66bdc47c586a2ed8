#!/usr/bin/env python3
"""Sets no limits and does not say so."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-limits"}


class Bwrap(launcher.Bwrap):
    def limits(self):
        return []


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

