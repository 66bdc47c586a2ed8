#!/usr/bin/env -S python3 -S
"""Gives the server no /run."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
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

