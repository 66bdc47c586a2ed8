#!/usr/bin/env python3
"""Takes any name for the runtime's ordinary network."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"net-named-passthrough", "map-mode-named", "map-precedence"}


class Launcher(launcher.Launcher):
    def policy_of(self, word):
        network = super().policy_of(word)
        return launcher.Network("open") if network.mode == "named" else network


launcher.main(Launcher)

