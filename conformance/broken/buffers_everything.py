#!/usr/bin/env -S python3 -S
"""Keeps a message in memory until its line is whole."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

BREAKS = {"relay-large"}

launcher.Lines.MOST = 1 << 40

launcher.main()
