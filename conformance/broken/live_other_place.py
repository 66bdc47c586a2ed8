#!/usr/bin/env -S python3 -S
"""Shows what is named elsewhere than at its own path, and starts the server there."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"fs-same-path"}


class Bwrap(launcher.Bwrap):
    def workspace(self, container):
        return [*super().workspace(container)[:2], "/workspace"]

    def argv(self, container, network):
        words = super().argv(container, network)
        words[words.index("--chdir") + 1] = "/workspace"
        return words


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)
