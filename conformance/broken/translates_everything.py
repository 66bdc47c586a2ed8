#!/usr/bin/env -S python3 -S
"""Translates in every value of what the server says, also where nothing may be touched."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"fs-result-translated", "relay-both-eras"}


class Relay(launcher.Relay):
    never = set()

    def may_change(self, where):
        return True


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
