#!/usr/bin/env -S python3 -S
"""Keeps a message in memory until its line is whole."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-large"}


class Launcher(launcher.Launcher):
    def copy(self, source, target, done):
        kept = {0: b"", 1: b""}.setdefault(target, b"")
        end, pieces = "eof", [kept]
        while data := launcher.os.read(source, 1 << 16):
            pieces.append(data)
            if data.endswith(b"\n"):
                try:
                    self.write(target, b"".join(pieces))
                except OSError:
                    end = "gone"
                    break
                pieces = []
        self.events.put((done, end))


launcher.main(Launcher)

