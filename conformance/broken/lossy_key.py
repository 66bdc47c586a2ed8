#!/usr/bin/env python3
"""Keys packages by a name that two of them share."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"fs-keys-never-collide"}


class Launcher(launcher.Launcher):
    def package_key(self):
        return self.package.replace("@", "").replace("/", "-")


launcher.main(Launcher)

