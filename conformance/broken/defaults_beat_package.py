#!/usr/bin/env -S python3 -S
"""Lets defaults.network win over the package's runtime.network."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"map-precedence"}


class Launcher(launcher.Launcher):
    def policy(self):
        mode = self.flags.get("--network") or self.config.package.get("network", {}).get("mode")
        return self.policy_of(mode or self.config.defaults.get("network")
                              or self.config.package.get("runtime", {}).get("network") or "none")


launcher.main(Launcher)

