#!/usr/bin/env -S python3 -S
"""Shows the server the home of the user."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-host-files-hidden", "fs-unnamed-invisible"}


class Bwrap(launcher.Bwrap):
    def files(self, container):
        home = launcher.os.environ["HOME"]
        return super().files(container)[:-2] + ["--ro-bind", home, home, "--remount-ro", "/"]


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

