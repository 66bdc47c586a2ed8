#!/usr/bin/env -S python3 -S
"""Makes a network for the allowlist and starts the server on the ordinary one."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {
    "net-allowlist-creates-one",
    "net-inspect-after-create",
    "map-mode-allowlist",
    "map-precedence",
    "tear-order",
}


class Apple(launcher.Apple):
    def network_word(self, network):
        return "default" if network.mode == "allowlist" else super().network_word(network)


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

