#!/usr/bin/env -S python3 -S
"""Leaves everything behind when it is killed."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-sigkill", "tear-foreign-untouched"}


class Janitor(launcher.Janitor):
    def works_alone(self):
        return False


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

