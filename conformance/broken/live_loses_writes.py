#!/usr/bin/env -S python3 -S
"""Lets the server write beside what it was shown, and throws that away."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"fs-writes-are-loud"}


class Bwrap(launcher.Bwrap):
    def workspace(self, container):
        return ["--bind", *super().workspace(container)[1:]]


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}

    def make_workspace(self, container):
        made = super().make_workspace(container)
        launcher.os.chmod(self.workspace_directory(container), 0o777)
        return made


launcher.main(Launcher)
