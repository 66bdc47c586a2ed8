#!/usr/bin/env -S python3 -S
"""Shows what holds secrets by its name."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"fs-server-cannot-choose"}


class Relay(launcher.Relay):
    def is_secret(self, path):
        return False


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
