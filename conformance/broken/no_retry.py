#!/usr/bin/env python3
"""Tries a busy network once."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"retry-backoff", "retry-warns-once"}


class Janitor(launcher.Janitor):
    attempts = 1


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

