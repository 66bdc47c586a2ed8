#!/usr/bin/env python3
"""Names networks by the clock (UUID version 1)."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"net-name-shape"}


class Launcher(launcher.Launcher):
    def network_name(self):
        return "npxc-" + launcher.uuid.uuid1().hex


launcher.main(Launcher)

