#!/usr/bin/env python3
"""Keeps a -- among the server's arguments for itself."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"relay-args-verbatim"}


class Launcher(launcher.Launcher):
    def server_arguments(self, words):
        return [word for word in words if word != "--"]


launcher.main(Launcher)

