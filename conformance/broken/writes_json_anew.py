#!/usr/bin/env -S python3 -S
"""Reads and writes every message that passes."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-bytes-exact", "relay-no-silent-drop", "fs-same-path"}


class Launcher(launcher.Launcher):
    def write(self, target, data):
        if target != 2:
            data = b"".join(map(self.anew, data.splitlines(keepends=True)))
        super().write(target, data)

    def anew(self, line):
        try:
            assert line.startswith(b"{") and line.endswith(b"\n")
            return launcher.json.dumps(launcher.json.loads(line), separators=(",", ":")).encode() + b"\n"
        except (ValueError, AssertionError):  # a part of a longer one
            return line


launcher.main(Launcher)

