#!/usr/bin/env -S python3 -S
"""Lets a server that shares the host's network reach its abstract sockets."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-no-late-socket"}


class Bwrap(launcher.Bwrap):
    def confine(self):
        pass


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)
