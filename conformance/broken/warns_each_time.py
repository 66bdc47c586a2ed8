#!/usr/bin/env -S python3 -S
"""Warns after every attempt."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"retry-gone-is-success", "retry-warns-once"}


class Janitor(launcher.Janitor):
    def is_success(self, runtime, name, answer):
        if answer.status != 0:
            self.warn(name, answer)
        return answer.status == 0


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

