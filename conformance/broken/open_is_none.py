#!/usr/bin/env -S python3 -S
"""Takes open for none."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"map-mode-open", "map-precedence"}


class Launcher(launcher.Launcher):
    def policy_of(self, word):
        return super().policy_of("none" if word == "open" else word)


launcher.main(Launcher)

