#!/usr/bin/env -S python3 -S
"""Looks at a path's text only, not where it leads."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"fs-outside-refused"}


class Relay(launcher.Relay):
    def is_inside(self, path):
        return path.startswith(self.cwd + "/") and launcher.os.path.isfile(path)


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
