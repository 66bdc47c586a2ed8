#!/usr/bin/env -S python3 -S
"""Keeps a -- among the server's arguments for itself."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-args-verbatim"}


class Launcher(launcher.Launcher):
    def server_arguments(self, words):
        return [word for word in words if word != "--"]


launcher.main(Launcher)

