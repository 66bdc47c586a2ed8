#!/usr/bin/env python3
"""Takes open for none."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"map-mode-open", "map-precedence"}


class Launcher(launcher.Launcher):
    def policy_of(self, word):
        return super().policy_of("none" if word == "open" else word)


launcher.main(Launcher)

