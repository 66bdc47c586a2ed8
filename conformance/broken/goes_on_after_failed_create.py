#!/usr/bin/env -S python3 -S
"""Inspects a network although creating it failed."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-create-failure-stops"}


class Apple(launcher.Apple):
    def create(self, name):
        try:
            super().create(name)
        except launcher.Failure:
            pass


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

