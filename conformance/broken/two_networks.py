#!/usr/bin/env -S python3 -S
"""Creates two networks for one session."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {
    "map-mode-allowlist", "map-precedence", "net-allowlist-creates-one", "net-inspect-after-create",
    "net-name-unique", "retry-attempts", "retry-background", "retry-backoff", "retry-gone-is-success",
    "retry-hang-bounded", "retry-stops-on-success", "tear-order",
}


class Launcher(launcher.Launcher):
    def provision(self, network):
        super().provision(network)
        if network.mode == "allowlist":
            other = self.network_name()
            self.hold(network=other)
            self.runtime.create(other)


launcher.main(Launcher)

