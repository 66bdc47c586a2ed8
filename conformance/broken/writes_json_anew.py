#!/usr/bin/env python3
"""Reads and writes every message that passes."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"relay-bytes-exact"}


class Launcher(launcher.Launcher):
    def write(self, target, data):
        if target != 2 and data.endswith(b"\n") and len(data) < 60000:
            lines = [launcher.json.dumps(launcher.json.loads(line), separators=(",", ":")) for line in data.splitlines()]
            data = "".join(line + "\n" for line in lines).encode()
        super().write(target, data)


launcher.main(Launcher)

