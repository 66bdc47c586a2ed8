#!/usr/bin/env -S python3 -S
"""Ends with 4 when the network stays busy."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"retry-warns-once"}


class Launcher(launcher.Launcher):
    def tell(self, text):
        super().tell(text)
        if "still there" in text:
            launcher.os._exit(4)


launcher.main(Launcher)

