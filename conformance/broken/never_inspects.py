#!/usr/bin/env python3
"""Never looks at the network that it made."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"net-inspect-after-create", "net-inspect-first-element", "net-inspect-failure-cleans", "net-error-kinds"}


class Apple(launcher.Apple):
    def inspect(self, name):
        return None


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

