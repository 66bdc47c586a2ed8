#!/usr/bin/env -S python3 -S
"""Leaves the server all capabilities of its user namespace."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-caps-empty"}


class Bwrap(launcher.Bwrap):
    def privileges(self):
        return ["--cap-add", "ALL"]


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

