#!/usr/bin/env python3
"""Warns after every attempt."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"retry-warns-once"}


class Janitor(launcher.Janitor):
    def is_success(self, runtime, name, answer):
        if answer.status != 0:
            self.warn(name, answer)
        return answer.status == 0


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

