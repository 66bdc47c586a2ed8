#!/usr/bin/env python3
"""Ends with 1 on SIGINT."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"tear-sigint"}


class Launcher(launcher.Launcher):
    exit_statuses = {**launcher.Launcher.exit_statuses, launcher.signal.SIGINT: 1}


launcher.main(Launcher)

