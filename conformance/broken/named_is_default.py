#!/usr/bin/env -S python3 -S
"""Takes any name for the runtime's ordinary network."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-named-passthrough", "map-mode-named", "map-precedence"}


class Launcher(launcher.Launcher):
    def policy_of(self, word):
        network = super().policy_of(word)
        return launcher.Network("open") if network.mode == "named" else network


launcher.main(Launcher)

