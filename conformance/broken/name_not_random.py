#!/usr/bin/env -S python3 -S
"""Names networks by the clock (UUID version 1)."""

import sys
import uuid

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-name-shape"}


class Launcher(launcher.Launcher):
    def network_name(self):
        return "npxc-" + uuid.uuid1().hex


launcher.main(Launcher)

