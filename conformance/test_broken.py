"""Every broken launcher turns exactly the requirements red that it says it breaks.

Several are judged at once, because sessions mostly wait. One that then turns something else red is judged again on its
own after the others, and that counts: a machine that is busy makes launchers late. How many sessions end, 200 at a time
among them, is judged of those launchers only that say that they break it: for all of them it takes too long.
"""

import concurrent.futures
import os

import pytest

import broken_launchers
import registry
from checks import CHECKS
from judge import judge
from show import is_stub
from worlds import Lab, runtimes_here

LAUNCHERS = broken_launchers.load()
ONLY = os.environ.get("BROKEN", "").split(",") if os.environ.get("BROKEN") else None
CHOSEN = [one for one in LAUNCHERS if ONLY is None or one.name in ONLY]
AT_ONCE = 2 + (os.cpu_count() or 1)


def red(broken):
    """{id: problems}"""
    runtime = runtimes_here()[broken.runtime]
    with Lab(broken.path, quick=True) as lab:
        rows = judge(lab, runtime, [r for r in registry.load() if r["due"] != "endings" or r["id"] in broken.breaks],
                     with_samples=False)
    return {row.requirement["id"]: row.problems or [row.reason] for row in rows if row.verdict in ("fail", "untestable")}


@pytest.fixture(scope="module")
def judged():
    """All of them, the first time that one is asked for: {name: what it turned red}."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip([one.name for one in CHOSEN], pool.map(red, CHOSEN)))


@pytest.mark.parametrize("broken", CHOSEN, ids=lambda one: one.name)
def test_a_broken_launcher_turns_exactly_its_requirements_red(broken, judged):
    found = judged[broken.name]
    if set(found) != broken.breaks:
        print("beside others: %s" % found)
        found = red(broken)
    passed = ["%s passes, which conformance/broken/%s.py has to break" % (identity, broken.name) for identity in broken.breaks - set(found)]
    assert set(found) == broken.breaks, "\n".join(passed + ["%s: %s" % pair for pair in found.items()])


def test_every_must_that_is_due_has_a_broken_launcher():
    due = {r["id"] for r in registry.load() if r["due"] in registry.BUILT and r["level"] == "must"}
    assert due <= set().union(*(one.breaks for one in LAUNCHERS))


def test_names_of_requirements_are_right():
    known = {r["id"] for r in registry.load()}
    for one in LAUNCHERS:
        assert one.breaks, "BREAKS of conformance/broken/%s.py names no requirement" % one.name
        assert one.breaks <= known, one.name
        assert one.wrong, one.name
        assert not is_stub(one.wrong), "conformance/broken/%s.py is a stub: its first line says not what is wrong" % one.name
        assert {(identity, runtimes_here()[one.runtime].family) for identity in one.breaks} <= set(CHECKS), one.name
