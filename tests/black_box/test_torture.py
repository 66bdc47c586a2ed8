"""Runtimes that behave badly under a launcher that dies: SIGKILL at each call of the container CLI, before it and after it, a
service that is restarted, and disks that are full. On the replay shim, behind a program that does these things. And two
faults at once: what `make torture` plays, and how it judges."""

import itertools
import os
import subprocess

import pytest

import pairs

from conftest import NPXC, PROBE, RUNTIME, STORED, wait_until
from test_crash import Run, Scenario, lines
from torture import LIGHT, Pair, reachable
from tortured import Tortured

pytestmark = pytest.mark.skipif(RUNTIME is not None, reason="the runtime is the replay shim")

TORTURE = Scenario("torture", link="gateway", shim=True)


def test_a_launcher_killed_at_any_call_leaves_nothing(cache):
    plain = Tortured(TORTURE, cache)
    try:
        plain.play()
        assert plain.status == 0, plain.errors
        assert wait_until(lambda: not plain.left(), 10), plain.left()
        calls, count = plain.calls(), plain.count()
    finally:
        plain.end()
    assert count == len(calls) >= 6
    wrong = []
    for call in range(1, count + 1):
        for when in ("before", "after", "late"):
            for who in ("launcher", "launcher+janitor"):
                if when != "before" and calls[call - 1][0] == "run":
                    continue  # the next call's "before" is that
                if when == "late" and calls[call - 1] != ["network", "create"]:
                    continue
                strikes = [f"{when} {call} kill {who}"] if when != "late" else [f"before {call} kill {who}", f"before {call} cli late"]
                run = Tortured(TORTURE, cache, strikes)
                try:
                    run.play()
                    assert run.struck(), (strikes, calls, run.errors)
                    if who != "launcher":
                        assert wait_until(lambda: not any(left.startswith("process") for left in run.left()), 10)
                        assert run.gc().returncode == 0
                    if not wait_until(lambda: not run.left(), 15):
                        wrong.append(f"{who} {when} call {call} ({' '.join(calls[call - 1])}): {run.left()}")
                finally:
                    run.end()
    assert not wrong, "\n".join(wrong)


def test_a_network_that_comes_after_its_creation_failed_goes(cache):
    """A service has its own time: it may make what it was asked for after the call has failed."""
    run = Tortured(TORTURE, cache)
    try:
        assert run.world.run("install", str(STORED)).returncode == 0
        run.begin(["before 2 cli late"])
        run.play()
        assert run.status == 4 and b"connection reset" in run.errors
        assert wait_until(lambda: ["network", "create"] in run.calls(), 10)
        assert wait_until(lambda: not run.left(), 15), run.left()
    finally:
        run.end()


def test_a_container_that_comes_after_its_removal_goes(cache):
    """It keeps the network, whose deletion failed once before that."""
    faults = pairs.Fault("cli", call=4, what="late"), pairs.Fault("cli", call=6, what="exit1")
    run = Pair(pairs.Plan(1, faults, "docker", True, True, False), cache)
    try:
        assert run.world.run("install", str(LIGHT)).returncode == 0
        assert run.play_pair() == []
        assert run.reached() == 2 and b"connection reset" in run.seen.errors, run.seen
    finally:
        run.end()


def test_a_service_that_restarts_ends_the_session_and_leaves_nothing(cache):
    """Its containers are gone with it, and so is what carried the client's words; the network outlives it."""
    run = Run(Scenario("restart", link="gateway", shim=True), 1, cache)
    try:
        process = subprocess.Popen([str(NPXC), *run.scenario.words], env=run.world.env, cwd=run.world.project,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(lines())
        process.stdin.flush()
        answer = process.stdout.readline()
        assert b'"id":1' in answer, process.stderr.read()
        assert subprocess.run([str(run.cli), "--shim-end"], timeout=60).returncode == 0
        out, errors = process.communicate(timeout=60)
        assert process.returncode not in (0, -9), (out, errors)
        assert f"npxc: {STORED} ended by itself".encode() in errors and out == b""
        run.board = Tortured.board
        assert wait_until(lambda: not run.left(), 15), run.left()
    finally:
        run.end()


# ---- full disks ----

class Full:
    """A file system of its own, of that many KiB."""

    def __init__(self, place, kib):
        self.place, self.kib = place, kib

    def __enter__(self):
        self.place.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.kib}k,mode=755", "npxc-test", str(self.place)], check=True)
        return self

    def fill(self):
        with open(self.place / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass

    def __exit__(self, *_):
        subprocess.run(["umount", str(self.place)], check=True)


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root mounts a file system that is full")


@needs_root
def test_without_room_for_a_lease_nothing_is_started(world):
    state = world.home / ".local/state"
    with Full(state, 64) as full:
        world.run("install", str(PROBE))
        full.fill()
        result = world.run(str(PROBE), stdin=lines())
        assert result.returncode == 4 and result.stdout == b""
        assert "No space left on device" in result.stderr and "cannot hold" in result.stderr
        sessions = state / "npxc/sessions"
        assert not sessions.exists() or os.listdir(sessions) == []
        assert wait_until(lambda: not world.leftovers())
        # Room again, and it works.
        (state / "filler").unlink()
        assert world.run(str(PROBE), stdin=lines()).returncode == 0


@needs_root
def test_without_room_in_the_store_an_installation_leaves_nothing(world):
    cache = world.home / "cache"
    with Full(cache, 128) as full:
        full.fill()
        result = world.run("install", str(STORED), env={"XDG_CACHE_HOME": str(cache)})
        assert result.returncode in (3, 4) and result.stdout == b"", result
        assert "npxc:" in result.stderr and "space" in result.stderr.lower(), result.stderr
        store = cache / "npxc/store"
        assert not store.exists() or (list(store.glob("staging/*")) == [] and list(store.glob("packages/*/*")) == [])
        assert wait_until(lambda: not world.leftovers())
    assert os.listdir(world.home / ".local/state/npxc/sessions") == []


# ---- two faults at once ----

POINTS = reachable()


def test_a_seed_gives_one_plan_and_many_give_every_kind():
    plans = [pairs.plan(seed, POINTS) for seed in range(2000)]
    assert plans == [pairs.plan(seed, POINTS) for seed in range(2000)]
    assert len({plan.faults for plan in plans}) > 1500
    faults = [fault for plan in plans for fault in plan.faults]
    assert {fault.kind for fault in faults} == set(pairs.KINDS)
    assert {fault.what for fault in faults if fault.kind == "cli"} == set(pairs.MODES)
    assert {fault.point for fault in faults if fault.point} == {name + ":1" for name in POINTS}
    assert {frozenset(fault.kind for fault in plan.faults) for plan in plans} == {
        frozenset(kinds) for kinds in itertools.combinations_with_replacement(pairs.KINDS, 2)}
    for plan in plans:
        assert len(plan.faults) == len(set(plan.faults)) == 2
        assert plan.runtime == "docker" or not any(fault.call or fault.kind == "cli" for fault in plan.faults)
    assert not any(plan.has("full") for plan in (pairs.plan(seed, POINTS, pairs.KINDS[:-1]) for seed in range(500)))


KILLED, HALVED, TOLD = (pairs.Fault("kill", call=2, what="launcher"), pairs.Fault("cli", call=4, what="truncated"),
                        pairs.Fault("signal", call=3, what="15"))


@pytest.mark.parametrize("faults, seen, right", [
    ((KILLED, TOLD), dict(status=-9), True),
    ((KILLED, TOLD), dict(status=143, out=b"reply"), True),
    ((TOLD, TOLD), dict(status=-9), False),
    ((TOLD, TOLD), dict(status=130), False),
    ((TOLD, TOLD), dict(status=143, told=[15]), True),
    ((TOLD, TOLD), dict(status=4, errors=b"npxc: runtime error"), True),
    ((TOLD, TOLD), dict(status=4), False),
    ((TOLD, TOLD), dict(status=139), False),
    ((TOLD, TOLD), dict(status=0, out=b"rep"), False),
    ((HALVED, TOLD), dict(status=0, out=b"rep"), True),
    ((HALVED, TOLD), dict(status=0, out=b"per"), False),
    ((KILLED, HALVED), dict(ended=False), False),
    ((KILLED, HALVED), dict(status=-9, left=("network x",)), False),
    ((KILLED, HALVED), dict(status=-9, touched=("network y",)), False),
])
def test_what_is_wrong_after_two_faults(faults, seen, right):
    plan = pairs.Plan(1, faults, "docker", True, False, False)
    assert (pairs.judge(plan, pairs.Seen(**seen), b"reply") == []) is right


class Careless(Pair):
    """Of a launcher that has forgotten what it did: it makes a network, prints, and goes."""

    def start(self, words, **env):
        script = ('"$1" network create --internal npxc-0123456789ab4def8123456789abcdef >/dev/null; mkdir "$2/npxc-x"; '
                  '"$1" network rm "$3" >/dev/null; echo made; exit 77')
        return subprocess.Popen(["sh", "-c", script, "sh", str(self.real), str(self.temporary), pairs.SOMEBODYS], env=self.world.env,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_launcher_that_cleans_nothing_up_is_found_out(cache):
    run = Careless(pairs.Plan(1, (KILLED, TOLD), "docker", True, False, False), cache)
    try:
        wrong = " ".join(run.play_pair())
    finally:
        run.end()
    for what in ("status 77", "stdout holds b'made", "left behind: network npxc-0123", "temporary npxc-x",
                 f"somebody else's: network {pairs.SOMEBODYS}"):
        assert what in wrong, wrong
