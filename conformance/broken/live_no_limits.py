#!/usr/bin/env -S python3 -S
"""Sets no limits and does not say so."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-limits"}


class Bwrap(launcher.Bwrap):
    def limits(self):
        return []


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

