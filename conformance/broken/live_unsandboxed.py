#!/usr/bin/env -S python3 -S
"""Runs the server without any sandbox, as an ordinary user."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {
    "box-caps-empty", "box-env-empty", "box-home-writable", "box-host-files-hidden", "box-limits",
    "box-no-late-socket", "box-no-new-privs", "box-tmp-writable", "fs-keys-never-collide", "fs-named-file-visible",
    "fs-outside-refused", "fs-same-path", "fs-server-cannot-choose", "fs-unnamed-invisible", "map-default-none",
    "map-inspect-agrees", "map-mode-none", "map-mode-open", "map-precedence", "net-none-argument", "tear-sighup",
    "tear-sigint", "tear-sigkill", "tear-sigterm", "tear-start-failure",
}


class Bwrap(launcher.Bwrap):
    def argv(self, container, network):
        package = self.launcher.package_directory
        return ["/usr/bin/env", "HOME=/home/npxc", *(["/usr/bin/node"] if self.launcher.bin.endswith("js") else []),
                package + "/" + self.launcher.bin, *self.launcher.arguments]

    def confine(self):
        pass

    def start_environment(self):
        return {**super().start_environment(), **self.launcher.declared}


class Launcher(launcher.Launcher):
    runtimes = {"bwrap": Bwrap}


launcher.main(Launcher)

