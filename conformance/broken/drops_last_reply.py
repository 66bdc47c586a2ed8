#!/usr/bin/env python3
"""Ends the server as soon as the client has closed its side."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"tear-client-eof", "relay-eof-drains"}


class Launcher(launcher.Launcher):
    def goes_on_after_eof(self, child):
        child.kill()
        return False


launcher.main(Launcher)

