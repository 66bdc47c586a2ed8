#!/usr/bin/env -S python3 -S
"""Ignores SIGTERM."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-sigterm"}


class Launcher(launcher.Launcher):
    def on_signal(self, number, frame):
        if number != launcher.signal.SIGTERM:
            super().on_signal(number, frame)


launcher.main(Launcher)

