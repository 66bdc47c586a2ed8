#!/usr/bin/env python3
"""Ends with 4 when the network stays busy."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"retry-warns-once"}


class Launcher(launcher.Launcher):
    def tell(self, text):
        super().tell(text)
        if "still there" in text:
            launcher.os._exit(4)


launcher.main(Launcher)

