#!/usr/bin/env -S python3 -S
"""Writes a forwarded variable's value into the argument list."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"box-secrets-not-in-argv"}


class Apple(launcher.Apple):
    def variables(self):
        words = super().variables()
        return ["%s=%s" % (word, self.launcher.declared[word]) if word in self.launcher.declared else word for word in words]


class Launcher(launcher.Launcher):
    runtimes = {"apple": Apple}


launcher.main(Launcher)

