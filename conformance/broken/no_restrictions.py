#!/usr/bin/env python3
"""Asks the runtime for no restriction at all."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {
    "box-rootfs-read-only",
    "box-caps-empty",
    "box-not-root",
    "box-home-writable",
    "box-tmp-writable",
    "box-limits",
}


class Apple(launcher.Apple):
    def restrictions(self):
        return []


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

