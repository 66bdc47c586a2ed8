#!/usr/bin/env -S python3 -S
"""Says that creating failed, and not what the runtime said."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"net-create-failure-stops"}


class Apple(launcher.Apple):
    def failed(self, words, answer):
        failure = super().failed(words, answer)
        return launcher.Failure(failure.kind, "`container network create` failed") if "create" in words else failure


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

