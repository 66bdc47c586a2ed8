#!/usr/bin/env python3
"""Writes a forwarded variable's value into the argument list."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"box-secrets-not-in-argv"}


class Apple(launcher.Apple):
    def variables(self):
        words = super().variables()
        return ["%s=%s" % (word, self.launcher.declared[word]) if word in self.launcher.declared else word for word in words]


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

