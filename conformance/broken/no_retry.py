#!/usr/bin/env -S python3 -S
"""Tries a busy network once."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"retry-backoff", "retry-stops-on-success", "retry-warns-once"}


class Janitor(launcher.Janitor):
    attempts = 1


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

