#!/usr/bin/env python3
"""Ends with 1 when a signal ended the server."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"tear-server-crash"}


class Launcher(launcher.Launcher):
    def status_of(self, status, closed):
        found = super().status_of(status, closed)
        return 1 if found > 128 else found


launcher.main(Launcher)

