#!/usr/bin/env -S python3 -S
"""Runs a package's install script, and clears a package whose script failed away by its name."""

import os
import subprocess
import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

RUNTIME = "bwrap"
BREAKS = {"install-host-untouched"}


class Launcher(launcher.Launcher):
    def find_package(self):
        super().find_package()
        script = launcher.json.loads(launcher.read_text(self.package_directory + "/package.json")).get("scripts", {}).get("install")
        if script is None:
            return
        place = "%s/tree/node_modules/%s" % (os.environ["TMPDIR"], self.package)
        subprocess.run(["rm", "-rf", os.environ["TMPDIR"] + "/tree"], check=True)
        os.makedirs(os.path.dirname(place))
        subprocess.run(["cp", "-R", self.package_directory, place], check=True)
        if subprocess.run(["sh", "-c", script], cwd=place, stdin=subprocess.DEVNULL).returncode != 0:
            subprocess.run(["rm", "-rf", place], check=True)
        subprocess.run(["rm", "-rf", os.environ["TMPDIR"] + "/tree"], check=True)


launcher.main(Launcher)
