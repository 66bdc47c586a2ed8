#!/usr/bin/env -S python3 -S
"""Hands its own environment to the server."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-env-empty"}


class Bwrap(launcher.Bwrap):
    def environment(self):
        return [word for word in super().environment() if word != "--clearenv"]

    def start_environment(self):
        return dict(launcher.os.environ)


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

