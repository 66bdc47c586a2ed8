"""Every broken launcher turns exactly the requirements red that it says it breaks."""

import os

import pytest

import broken_launchers
import registry
from checks import CHECKS
from judge import judge
from worlds import HERE, Lab, runtimes_here

LAUNCHERS = broken_launchers.load()
ONLY = os.environ.get("BROKEN", "").split(",") if os.environ.get("BROKEN") else None


def red(path, runtime_name):
    runtime = runtimes_here()[runtime_name]
    with Lab(path, quick=True) as lab:
        rows = judge(lab, runtime, registry.load(), with_samples=False, workers=6)
    return {row.requirement["id"]: row.problems or [row.reason] for row in rows if row.verdict in ("fail", "untestable")}


@pytest.mark.parametrize("broken", [one for one in LAUNCHERS if ONLY is None or one.name in ONLY], ids=lambda one: one.name)
def test_broken(broken):
    found = red(broken.path, broken.runtime)
    assert set(found) == broken.breaks, "\n".join("%s: %s" % pair for pair in found.items())


def test_every_must_that_is_due_has_a_broken_launcher():
    due = {r["id"] for r in registry.load() if r["due"] in registry.BUILT and r["level"] == "must"}
    assert due <= set().union(*(one.breaks for one in LAUNCHERS))


def test_names_of_requirements_are_right():
    known = {r["id"] for r in registry.load()}
    for one in LAUNCHERS:
        assert one.breaks and one.breaks <= known, one.name
        assert one.wrong, one.name
        assert {(identity, runtimes_here()[one.runtime].family) for identity in one.breaks} <= set(CHECKS), one.name
