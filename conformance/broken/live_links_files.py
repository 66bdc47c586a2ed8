#!/usr/bin/env -S python3 -S
"""Gives the server the host's own file, by a hard link in a workspace that it can write to."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"fs-host-unchanged"}


class Relay(launcher.Relay):
    def publish(self, real, copy):
        if not launcher.os.path.exists(copy):
            launcher.os.link(real, copy)
        launcher.os.chmod(real, 0o666)


class Bwrap(launcher.Bwrap):
    def workspace(self, container):
        return ["--bind", *super().workspace(container)[1:]]


class Launcher(launcher.Launcher):
    relay_class = Relay
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)
