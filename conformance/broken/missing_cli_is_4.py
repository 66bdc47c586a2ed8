#!/usr/bin/env -S python3 -S
"""Ends with 4 when the CLI cannot be started."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-cli-missing"}


class Launcher(launcher.Launcher):
    def finish(self, status):
        super().finish(4 if status == 2 and self.runtime is None else status)

    runtime = None


launcher.main(Launcher)

