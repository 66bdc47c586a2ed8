#!/usr/bin/env python3
"""Deletes the network while the container is still there."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
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

