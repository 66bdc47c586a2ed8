#!/usr/bin/env -S python3 -S
"""Takes a directory whose name only begins like the project's for it."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"fs-outside-refused"}


class Relay(launcher.Relay):
    def is_inside(self, path):
        return path.startswith(self.cwd) and launcher.os.path.isfile(path) and launcher.os.path.realpath(path) == path

    def place_of(self, path):
        return path[len(self.cwd):].lstrip("/")


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
