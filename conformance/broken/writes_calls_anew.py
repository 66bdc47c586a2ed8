#!/usr/bin/env -S python3 -S
"""Reads and writes a call in which it translates a path."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-span-only"}


class Relay(launcher.Relay):
    def changed(self, text, changes):
        text = super().changed(text, changes)
        return launcher.json.dumps(launcher.json.loads(text), ensure_ascii=False, separators=(",", ":")) + "\n" if changes else text


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
