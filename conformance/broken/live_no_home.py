#!/usr/bin/env -S python3 -S
"""Gives the server a HOME that it cannot write."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-home-writable"}


class Bwrap(launcher.Bwrap):
    def root(self):
        return ["--remount-ro", launcher.os.environ["HOME"], *super().root()]


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

