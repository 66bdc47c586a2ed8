#!/usr/bin/env -S python3 -S
"""Takes what a server keeps in requestState for a path."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-both-eras"}


class Relay(launcher.Relay):
    def changed(self, line):
        return line.replace(b'"requestState":"' + self.cwd.encode(), b'"requestState":"/workspace')


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
