#!/usr/bin/env python3
"""Shows the server the home of the user."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-host-files-hidden"}


class Bwrap(launcher.Bwrap):
    def files(self):
        home = launcher.os.environ["HOME"]
        return super().files()[:-2] + ["--ro-bind", home, home, "--remount-ro", "/"]


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

