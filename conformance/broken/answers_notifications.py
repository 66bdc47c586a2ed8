#!/usr/bin/env -S python3 -S
"""Answers a refused notification, too."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-no-silent-drop"}


class Relay(launcher.Relay):
    def is_request(self, message):
        return isinstance(message, dict) and "method" in message

    def refuse(self, text, message, why):
        message.setdefault("id", None)
        super().refuse(text, message, why)


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
