#!/usr/bin/env python3
"""Ends with 4 when the CLI cannot be started."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"net-cli-missing"}


class Launcher(launcher.Launcher):
    def finish(self, status):
        super().finish(4 if status == 2 and self.runtime is None else status)

    runtime = None


launcher.main(Launcher)

