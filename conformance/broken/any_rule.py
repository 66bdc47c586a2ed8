#!/usr/bin/env python3
"""Takes a malformed rule."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import launcher

BREAKS = {"map-bad-rule-early"}


launcher.Config.check_rule = lambda self, path, rule: None
launcher.main()

