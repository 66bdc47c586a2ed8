#!/usr/bin/env -S python3 -S
"""Takes a malformed rule."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"map-bad-rule-early"}


launcher.Config.check_rule = lambda self, path, rule: None
launcher.main()

