#!/usr/bin/env -S python3 -S
"""Reads the last element of what inspect prints."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-inspect-first-element"}


class Apple(launcher.Apple):
    def network_of(self, parsed):
        return super().network_of(parsed[-1:])


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

