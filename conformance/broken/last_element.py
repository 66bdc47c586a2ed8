#!/usr/bin/env python3
"""Reads the last element of what inspect prints."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"net-inspect-first-element"}


class Apple(launcher.Apple):
    def network_of(self, parsed):
        return super().network_of(parsed[-1:])


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

