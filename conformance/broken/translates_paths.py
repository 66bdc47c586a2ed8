#!/usr/bin/env -S python3 -S
"""Puts a path of its own into calls with a URI."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-bytes-exact", "fs-named-file-visible", "fs-same-path"}


class Relay(launcher.Relay):
    def changed(self, line):
        return line.replace(b"file://" + self.cwd.encode() + b"/sub/", b"file:///workspace/sub/")


class Launcher(launcher.Launcher):
    relay_class = Relay


launcher.main(Launcher)
