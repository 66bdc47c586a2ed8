#!/usr/bin/env python3
"""Calls every failure a runtime error."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"net-error-kinds"}


class Launcher(launcher.Launcher):
    def report(self, failure):
        shown = launcher.Failure("runtime", str(failure)) if failure.kind != "config" else failure
        super().report(shown)


launcher.main(Launcher)

