#!/usr/bin/env -S python3 -S
"""Asks the runtime for no restriction at all."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
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

