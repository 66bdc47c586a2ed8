#!/usr/bin/env -S python3 -S
"""Deletes a second time, to be sure."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"retry-stops-on-success", "retry-hang-bounded"}


class Janitor(launcher.Janitor):
    def delete_network(self, runtime, name):
        gone = super().delete_network(runtime, name)
        if gone:
            runtime.delete(name)
        return gone


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

