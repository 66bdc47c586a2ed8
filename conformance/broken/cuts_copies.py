#!/usr/bin/env -S python3 -S
"""Copies only the beginning of a file."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"fs-named-file-visible"}


class Relay(launcher.Relay):
    def publish(self, real, copy):
        super().publish(real, copy)
        launcher.os.truncate(copy, 4)


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
