#!/usr/bin/env -S python3 -S
"""Takes a second signal for an order to leave everything and run."""

import os
import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-client-ladders"}


class Launcher(launcher.Launcher):
    signals = 0

    def on_signal(self, number, frame):
        self.signals += 1
        if self.signals == 2:
            os.kill(self.janitor_pid, launcher.signal.SIGKILL)
            os._exit(1)
        super().on_signal(number, frame)


launcher.main(Launcher)
