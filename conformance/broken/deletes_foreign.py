#!/usr/bin/env -S python3 -S
"""Deletes other people's networks whose names begin with npxc-."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-foreign-untouched"}


class Janitor(launcher.Janitor):
    def remove_containers(self, runtime):
        super().remove_containers(runtime)
        for name in launcher.re.findall(r'"(npxc-[a-z]+-[0-9a-f]{8})"', runtime.ask("network", "list", "--format", "json").out):
            runtime.delete(name)


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

