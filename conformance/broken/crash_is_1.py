#!/usr/bin/env -S python3 -S
"""Ends with 1 when a signal ended the server."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-server-crash"}


class Launcher(launcher.Launcher):
    def status_of(self, status, closed):
        found = super().status_of(status, closed)
        return 1 if found > 128 else found


launcher.main(Launcher)

