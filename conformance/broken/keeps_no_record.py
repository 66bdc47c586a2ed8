#!/usr/bin/env -S python3 -S
"""Keeps no record of what it holds: what is left when its janitor is killed too stays."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-sigkill-all", "tear-client-ladders"}


class Janitor(launcher.Janitor):
    def note(self, message):
        pass


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)
