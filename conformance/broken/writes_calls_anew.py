#!/usr/bin/env -S python3 -S
"""Reads and writes a call that names something."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-bytes-exact", "fs-same-path"}


class Relay(launcher.Relay):
    def changed(self, line):
        if self.cwd.encode() not in line or b"1E+2" not in line:
            return line
        return launcher.json.dumps(launcher.json.loads(line), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
