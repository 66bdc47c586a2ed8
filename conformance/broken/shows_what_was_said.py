#!/usr/bin/env -S python3 -S
"""Shows the server the files that it has named itself."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"fs-server-cannot-choose"}


class Relay(launcher.Relay):
    def was_said(self, path):
        return False


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
