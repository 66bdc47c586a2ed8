#!/usr/bin/env -S python3 -S
"""Takes a directory whose name only begins like the project's for it."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"fs-outside-refused"}


class Relay(launcher.Relay):
    def checked(self, path):
        real = launcher.os.path.realpath(path)
        return real if real.startswith(self.cwd) and launcher.os.path.isfile(real) else super().checked(path)


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
