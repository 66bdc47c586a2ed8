#!/usr/bin/env -S python3 -S
"""Tries a busy network seven times."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"retry-attempts", "retry-backoff"}


class Janitor(launcher.Janitor):
    attempts = 7
    pauses = (0.15, 0.3, 0.45, 0.6, 0.6, 0.6)


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

