#!/usr/bin/env -S python3 -S
"""Forwards the whole environment by name."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"box-env-empty"}


class Apple(launcher.Apple):
    def variables(self):
        return super().variables() + ["-e", "NOT_FORWARDED"]


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

