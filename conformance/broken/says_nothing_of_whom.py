#!/usr/bin/env -S python3 -S
"""Puts what the server prints on stderr without its name."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-stdout-clean"}


class Relay(launcher.Relay):
    def set_aside(self, line):
        self.launcher.tell(line.decode(errors="replace").rstrip("\n"))


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
