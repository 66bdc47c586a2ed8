#!/usr/bin/env python3
"""Runs the server without any sandbox, as an ordinary user."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

RUNTIME = "bwrap"
BREAKS = {"net-none-argument", "box-no-new-privs"}


class Bwrap(launcher.Bwrap):
    def argv(self, container, network):
        package = self.launcher.package_directory
        return ["/usr/bin/env", "HOME=/home/npxc", *(["/usr/bin/node"] if self.launcher.bin.endswith("js") else []),
                package + "/" + self.launcher.bin, *self.launcher.arguments]

    def start_environment(self):
        return {**super().start_environment(), **self.launcher.declared}


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

