#!/usr/bin/env -S python3 -S
"""Deletes the network while the container is still there."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"tear-order", "retry-attempts", "retry-backoff"}


class Janitor(launcher.Janitor):
    def remove_containers(self, runtime):
        for name in self.networks:
            runtime.delete(name)
        super().remove_containers(runtime)


class Launcher(launcher.Launcher):
    janitor_class = Janitor


launcher.main(Launcher)

