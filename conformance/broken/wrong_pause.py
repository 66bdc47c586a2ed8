#!/usr/bin/env -S python3 -S
"""Pauses 150 ms after every attempt."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"retry-backoff"}


class Janitor(launcher.Janitor):
    def pause(self, attempt):
        return 0.15


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

