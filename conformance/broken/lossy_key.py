#!/usr/bin/env -S python3 -S
"""Keys packages by a name that two of them share."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"fs-keys-never-collide"}


class Launcher(launcher.Launcher):
    def package_key(self):
        return self.package.replace("@", "").replace("/", "-")


launcher.main(Launcher)

