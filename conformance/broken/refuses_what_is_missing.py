#!/usr/bin/env -S python3 -S
"""Answers calls whose paths are not here."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"fs-no-false-refusal"}


class Relay(launcher.Relay):
    code = -32602

    def publish_at(self, path):
        if not launcher.os.path.exists(path):
            raise launcher.Failed("%s does not exist" % path)
        super().publish_at(path)


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
