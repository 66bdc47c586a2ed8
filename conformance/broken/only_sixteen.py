#!/usr/bin/env -S python3 -S
"""Refuses a session when sixteen are there."""

import os
import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-concurrent"}


class Launcher(launcher.Launcher):
    def make_record(self):
        super().make_record()
        if len(os.listdir(os.path.dirname(self.record_path))) > 16:
            os.unlink(self.record_path)
            raise launcher.Failure("runtime", "too many sessions")


launcher.main(Launcher)
