#!/usr/bin/env -S python3 -S
"""Ends with 1 on SIGINT."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-sigint"}


class Launcher(launcher.Launcher):
    exit_statuses = {**launcher.Launcher.exit_statuses, launcher.signal.SIGINT: 1}


launcher.main(Launcher)

