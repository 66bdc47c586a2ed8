#!/usr/bin/env -S python3 -S
"""Copies what lies beside a named file, too."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"fs-unnamed-invisible", "fs-server-cannot-choose"}


class Relay(launcher.Relay):
    def publish(self, real, copy):
        for one in launcher.os.scandir(launcher.os.path.dirname(real)):
            if one.is_file(follow_symlinks=False) and one.stat().st_size < 1 << 20:
                super().publish(one.path, launcher.os.path.join(launcher.os.path.dirname(copy), one.name))


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
