#!/usr/bin/env -S python3 -S
"""Calls every failure a runtime error."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-error-kinds"}


class Launcher(launcher.Launcher):
    def report(self, failure):
        shown = launcher.Failure("runtime", str(failure)) if failure.kind != "config" else failure
        super().report(shown)


launcher.main(Launcher)

