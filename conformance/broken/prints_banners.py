#!/usr/bin/env -S python3 -S
"""Lets everything that the server prints through."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-stdout-clean"}


class Relay(launcher.Relay):
    def from_server(self, line):
        return line if line.lstrip()[:1] not in (b"{", b"[") else super().from_server(line)


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
