#!/usr/bin/env -S python3 -S
"""Leaves a network that was busy five times."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"retry-background", "tear-sighup", "tear-sigint", "tear-sigterm"}


class Janitor(launcher.Janitor):
    def go_on(self, runtime, left):
        pass


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

