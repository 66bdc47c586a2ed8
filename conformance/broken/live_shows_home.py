#!/usr/bin/env -S python3 -S
"""Shows the server the home of the user, but for the project."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"box-host-files-hidden", "fs-unnamed-invisible", "fs-outside-refused"}


class Bwrap(launcher.Bwrap):
    def files(self, container):
        home = launcher.os.environ["HOME"]
        paths = [launcher.os.path.join(home, name) for name in (".ssh", ".npmrc", "other", "outside")]
        return super().files(container)[:-2] + [word for path in paths for word in ("--ro-bind-try", path, path)] + self.root()


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

