#!/usr/bin/env python3
"""Says that creating failed, and not what the runtime said."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"net-create-failure-stops"}


class Apple(launcher.Apple):
    def failed(self, words, answer):
        failure = super().failed(words, answer)
        return launcher.Failure(failure.kind, "`container network create` failed") if "create" in words else failure


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

