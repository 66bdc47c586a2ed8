#!/usr/bin/env -S python3 -S
"""Leaves the server's paths in errors."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"fs-result-translated"}


class Relay(launcher.Relay):
    def may_change(self, where):
        return super().may_change(where) and where[0] != "error"


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
