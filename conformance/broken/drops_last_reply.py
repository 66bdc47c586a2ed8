#!/usr/bin/env -S python3 -S
"""Ends the server as soon as the client has closed its side."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-client-eof", "relay-eof-drains"}


class Launcher(launcher.Launcher):
    def goes_on_after_eof(self, child):
        child.kill()
        return False


launcher.main(Launcher)

