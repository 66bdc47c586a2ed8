#!/usr/bin/env -S python3 -S
"""Waits for a delete as long as it takes."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"retry-hang-bounded"}


class Apple(launcher.Apple):
    def delete(self, name, seconds=None):
        return super().delete(name, seconds=None)


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

