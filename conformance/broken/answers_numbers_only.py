#!/usr/bin/env -S python3 -S
"""Answers a refused request only when its id is a number."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-no-silent-drop"}


class Relay(launcher.Relay):
    def refuse(self, text, message, why):
        if not isinstance(message["id"], str):
            super().refuse(text, message, why)


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
