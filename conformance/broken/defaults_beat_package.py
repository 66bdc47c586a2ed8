#!/usr/bin/env python3
"""Lets defaults.network win over the package's runtime.network."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"map-precedence"}


class Launcher(launcher.Launcher):
    def policy(self):
        mode = self.flags.get("--network") or self.config.package.get("network", {}).get("mode")
        return self.policy_of(mode or self.config.defaults.get("network")
                              or self.config.package.get("runtime", {}).get("network") or "none")


launcher.main(Launcher)

