#!/usr/bin/env -S python3 -S
"""Takes the working directory for a file that was named."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"fs-server-cannot-choose"}


class Relay(launcher.Relay):
    def publish_at(self, path):
        if path != self.cwd:
            return super().publish_at(path)
        for name in launcher.os.listdir(path):
            super().publish_at(launcher.os.path.join(path, name))


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
