#!/usr/bin/env -S python3 -S
"""Gives a server that ignores SIGHUP three seconds."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-sighup"}


class Launcher(launcher.Launcher):
    def after_signal(self, number, child):
        if number == launcher.signal.SIGHUP:
            child.terminate()
            try:
                child.wait(3)
            except launcher.subprocess.TimeoutExpired:
                pass
        return super().after_signal(number, child)


launcher.main(Launcher)

