"""Servers that behave badly, on a real engine: the tests of black_box/test_unruly.py, with the engine's own evidence."""

import importlib.util
import sys

import black_box
from conftest import HERE

_spec = importlib.util.spec_from_file_location("black_box_unruly", HERE.parent / "black_box" / "test_unruly.py")
_unruly = importlib.util.module_from_spec(_spec)
_own, sys.modules["conftest"] = sys.modules["conftest"], black_box
try:
    _spec.loader.exec_module(_unruly)
finally:
    sys.modules["conftest"] = _own
globals().update({name: one for name, one in vars(_unruly).items() if name.startswith("test_") or name == "installed"})
