#!/usr/bin/env -S python3 -S
"""Takes every record for a dead session's."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-sigkill-all"}


class Launcher(launcher.Launcher):
    def is_dead(self, path):
        return True

    def make_record(self):
        super().make_record()
        launcher.fcntl.flock(self.record, launcher.fcntl.LOCK_UN)


launcher.main(Launcher)
