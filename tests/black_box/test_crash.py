"""The crash matrix: launcher, janitor and egress process killed at every named point of a session's life (src/base/fault.h).

Each scenario is run once to learn which points it reaches, then once for each point and each process that can be killed
there. Afterwards, and after one `npxc gc` where launcher and janitor are both dead, nothing of the session is left.
"""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import pytest

from conftest import NPXC, PROBE, RUNTIME, STORED, TOP, Echo, World, processes_with, wait_until

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="other runtimes: the replay shim, here")

FAULTY = TOP / "build" / "faults" / "npxc"
SHIM = TOP / "build" / "shim" / "container"
CASSETTE = TOP / "fixtures" / "cassettes" / "docker-28.2.2.json"
ROLES = ["launcher", "janitor", "egress", "sandbox", "sweeper", "installer", "keeper"]
PATIENCE = 60
AT_ONCE = 4
# Every point as often as each scenario reaches it, and everybody who can be killed there: some four times as many.
WHOLE = bool(os.environ.get("NPXC_CRASH_WHOLE"))


def points():
    found = subprocess.run([TOP / "ci" / "fault-points"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


class Board:
    """What src/base/fault.c writes down."""

    def __init__(self, path):
        data = path.read_bytes()
        count, = struct.unpack_from("=I", data)
        self.id = data[4 + 4 * len(ROLES):][:40].split(b"\0")[0].decode()
        self.seen, times = [], {}
        for i in range(count):
            role, known, _, name = struct.unpack_from("=BBH44s", data, 4 + 4 * len(ROLES) + 40 + 48 * i)
            name = name.split(b"\0")[0].decode()
            times[name] = times.get(name, 0) + 1
            self.seen.append((name, times[name], ROLES[role], [r for j, r in enumerate(ROLES) if known >> j & 1]))

    def has(self, name, times):
        return any(seen[:2] == (name, times) for seen in self.seen)


def lines(*calls):
    messages = [{"jsonrpc": "2.0", "id": 1, "method": "initialize",
                 "params": {"protocolVersion": "2025-06-18", "capabilities": {},
                            "clientInfo": {"name": "test", "version": "0"}}}]
    messages += [{"jsonrpc": "2.0", "id": i + 2, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
                 for i, (name, arguments) in enumerate(calls)]
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


class Run:
    """One session in a home of its own."""

    def __init__(self, scenario, port, cache):
        self.scenario = scenario
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="npxc-crash-"))
        self.home.chmod(0o755)
        self.cache = self.home / "cache" if scenario.own_cache else cache
        self.world = World(self.home, self.cache)
        self.board_file = self.home / "board"
        self.temporary = self.home / "t"
        self.temporary.mkdir()
        self.cli = None
        self.world.env.update(TMPDIR=str(self.temporary))
        if scenario.shim:
            self.add_shim()
        if scenario.link:
            self.world.configure_probe({"network": {
                "mode": "allowlist", "link": scenario.link, "allow": [f"host.npxc.internal:{port}"]}},
                                       directory=scenario.words[-1])
        self.sessions = self.home / ".local/state/npxc/sessions"
        # A name of its own: gc leaves alone what a living npxc of another home holds, and runs go side by side.
        self.orphan = scenario.orphan and f"npxc-x-{os.urandom(4).hex()}"
        self.words = [self.orphan if word == scenario.orphan else word for word in scenario.words]
        if self.orphan:
            (self.sessions / self.orphan).mkdir(parents=True)
        self.input = scenario.input(port)
        self.tools = self.home / "bin"
        self.tools.mkdir(exist_ok=True)

    def add_shim(self):
        self.cli = self.home / "bin" / "docker"
        self.cli.parent.mkdir()
        shutil.copy(SHIM, self.cli)
        (self.cli.parent / "shim.json").write_text(json.dumps({
            "cassette": str(CASSETTE), "state": "../state", "journal": "../journal.jsonl", "path": os.environ["PATH"]}))
        self.world.write_config("npxc.json", {"defaults": {"runtime": "docker", "node_image": "node:lts-slim"},
                                              "paths": {"strategies": ["config"]}})
        self.world.env["PATH"] = f"{self.cli.parent}:{self.world.env['PATH']}"

    def play(self, fault=""):
        env = {**self.world.env, "NPXC_FAULT": fault, "NPXC_FAULT_BOARD": str(self.board_file)}
        if self.orphan:
            env["PATH"] = str(self.tools)  # gc asks every runtime that it finds
        process = subprocess.Popen([str(FAULTY), *self.words], env=env, cwd=self.world.project,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            # Ends when nobody holds the client's pipes any more.
            self.out, self.errors = process.communicate(self.input, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            self.out, self.errors = process.communicate()
            raise AssertionError("the client's pipes stay open: " + self.errors.decode(errors="replace"))
        self.status = process.returncode
        self.board = Board(self.board_file)

    def collect(self):
        """gc that asks no runtime of this machine, only what the session used."""
        done = subprocess.run([str(FAULTY), "gc", "--json"], env={**self.world.env, "PATH": str(self.tools)},
                              cwd=self.world.project, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0, (done.stdout, done.stderr)

    def left(self):
        found = [f"process {pid}" for pid in processes_with(self.home.name)]
        if self.sessions.exists():
            found += [f"state {entry.name}" for entry in self.sessions.iterdir() if entry.name != self.orphan]
        found += [f"unsafe {entry.name}" for entry in (self.sessions.parent / "unsafe").glob("*")]
        found += [f"temporary {entry.name}" for entry in self.temporary.iterdir()]
        if self.board.id:
            found += [f"cgroup {root}/{name}" for root, names, _ in os.walk("/sys/fs/cgroup") for name in names
                      if name.startswith("npxc-") and name.endswith(self.board.id)]
        if self.scenario.own_cache:
            found += [f"staged {entry.name}" for entry in (self.cache / "npxc/store").glob("staging/*")]
        if self.cli is not None and (self.home / "state/world.json").exists():
            state = json.loads((self.home / "state/world.json").read_text())
            found += [f"container {one['name']}" for one in state.get("containers", [])]
            found += [f"network {one['name']}" for one in state.get("networks", []) if one["name"].startswith("npxc-")]
        return found

    def end(self):
        if self.cli is not None:
            subprocess.run([str(self.cli), "--shim-end"], capture_output=True, timeout=PATIENCE)
        for pid in processes_with(self.home.name):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for directory in (self.home, *self.home.rglob("*")):
            if directory.is_dir() and not directory.is_symlink():
                directory.chmod(0o755)  # what is installed is read-only
        shutil.rmtree(self.home, ignore_errors=True)


class Scenario:
    def __init__(self, name, words=None, link=None, shim=False, own_cache=False, orphan=None, base="", plain=True):
        # The shim shows no directory read-only, so what it runs is installed.
        words = words or (str(STORED if shim else PROBE),)
        self.name, self.words, self.link, self.shim, self.own_cache = name, words, link, shim, own_cache
        self.orphan, self.base, self.plain = orphan, base, plain

    def input(self, port):
        if self.words[0] in ("install", "gc"):
            return b""
        if self.link in (None, "gateway"):
            return lines(("argv", {}))
        return lines(("talk", {"host": "host.npxc.internal", "port": port, "text": "x"}))


# base: a first fault, that each of these sessions has; then points are reached that a session without it never comes to.
SCENARIOS = [
    Scenario("none"),
    Scenario("writable", words=("--project=rw", str(PROBE))),
    Scenario("netns", link="netns"),
    Scenario("socket", link="socket"),
    Scenario("gateway", link="gateway", shim=True),
    Scenario("launcher-dead", link="socket", base="session.relay=launcher"),
    Scenario("janitor-dead", link="socket", base="session.relay=janitor"),
    Scenario("install", words=("install", str(STORED)), own_cache=True),
    Scenario("orphan", words=("gc", "--orphans", "npxc-x-0000000b"), orphan="npxc-x-0000000b"),
]


def victims_at(seen):
    """Who can be killed there, as sets of roles. Behind its confinement or its change of user a process reaches nobody."""
    name, _, role, known = seen
    if name in ("egress.child-prepared", "egress.child-ready", "egress.child-flow", "egress.child-ends",
                "sandbox.child-execs"):
        return [{role}]
    found = [{role}, {"launcher"}, {"janitor"}, {"launcher", "janitor"}]
    if "installer" in known:  # what the launcher and it have is with it, and its janitor is its keeper
        found += [{"installer"}, {"keeper"}, {"installer", "keeper"}]
    if "egress" in known:
        found.append({"egress"})
    return [one for i, one in enumerate(found) if one <= set(known) and one not in found[:i]]


def fault_of(base, point, victims):
    one = f"{point[0]}:{point[1]}={'+'.join(sorted(victims))}"
    return f"{base},{one}" if base else one


def judge(run, victims, point):
    """What is wrong; empty: nothing."""
    dead = set(victims)
    if run.scenario.base:
        dead.add(run.scenario.base.split("=")[1])
    # Perhaps only after the launcher's end.
    if not wait_until(lambda: Board(run.board_file).has(*point), 10):
        return "the point was not reached"
    if "launcher" in dead and run.status != -signal.SIGKILL:
        return f"the launcher was to be killed and ended with {run.status}"
    # What becomes a container CLI is seen to end as one that ends by itself.
    fine = (0, 2, 3, 4, 128 + signal.SIGKILL) if victims == {"sandbox"} and run.scenario.shim else (0, 2, 3, 4)
    if "launcher" not in dead and run.status not in fine:
        return f"the launcher ended with {run.status}: {run.errors.decode(errors='replace')}"
    if "launcher" not in dead and run.status != 0 and b"npxc:" not in run.errors:
        return "the launcher failed without a word"
    if "installer" in dead and "launcher" not in dead and run.status != 3:
        return f"the installer was killed and the launcher ended with {run.status}"
    # Two janitors, or launcher and janitor: that is what gc is for. Whoever is left of them is given its time first.
    twice = run.scenario.base.endswith("=janitor") and "janitor" in victims
    # An installation goes on without its launcher.
    if run.scenario.own_cache and "installer" not in dead:
        wait_until(lambda: not run.left(), PATIENCE)
    if {"launcher", "janitor"} <= dead or {"installer", "keeper"} <= dead or twice:
        wait_until(lambda: not any(left.startswith("process") for left in run.left()), 5)
        run.collect()
    if wait_until(lambda: not run.left(), 10):
        return ""
    return f"left behind: {run.left()}"


def attempt(scenario, point, victims, port, cache):
    run = Run(scenario, port, cache)
    fault = fault_of(scenario.base, point, victims)
    try:
        run.play(fault)
        wrong = judge(run, victims, point)
    except AssertionError as failed:
        wrong = str(failed)
    finally:
        run.end()
    return wrong and f"{scenario.name} NPXC_FAULT={fault}: {wrong}"


@pytest.fixture(scope="module")
def echo():
    with Echo() as echo:
        yield echo


@pytest.fixture(scope="module")
def traces(echo, cache):
    """What each scenario reaches without a fault of the matrix."""
    assert FAULTY.exists(), "make faults"
    found = {}
    for scenario in SCENARIOS:
        run = Run(scenario, echo.port, cache)
        try:
            if scenario.words[0] not in ("install", "gc"):
                run.play()  # what is installed once is then there
                assert wait_until(lambda: not run.left(), 10), run.left()
                run.board_file.unlink()
            run.play(scenario.base)
            assert run.status == (-signal.SIGKILL if "=launcher" in scenario.base else 0), run.errors.decode()
            assert wait_until(lambda: not run.left(), 10), run.left()
            run.board = Board(run.board_file)  # what came after the launcher's end is on it now
            if scenario.link and scenario.link != "gateway" and not scenario.base:
                assert b'"ok\\":true' in run.out, run.out
            found[scenario.name] = run.board.seen
        finally:
            run.end()
    return found


def is_chosen(scenario, seen, victims, last):
    """What is played on every push; the rest (WHOLE) differs from it in which of several equal things comes next."""
    if seen[1] not in (1, last[seen[0]]):
        return False
    if scenario.own_cache:  # npm takes its time
        return seen[0].startswith(("staging.", "installer."))
    return not scenario.shim or victims in ({seen[2]}, {"launcher", "janitor"})


def cells(traces):
    """(scenario, point, victims) of the matrix; on each runtime a cell comes with the first scenario that has it."""
    had, found = set(), []
    for scenario in SCENARIOS:
        behind = not scenario.base
        last = {name: times for name, times, _, _ in traces[scenario.name]}
        for seen in traces[scenario.name]:
            if not behind:
                behind = seen[:2] == (scenario.base.split("=")[0], 1)
                continue
            for victims in victims_at(seen):
                if scenario.base and seen[2] not in victims:
                    continue
                cell = (scenario.base, scenario.shim, seen[0], seen[1] == 1, frozenset(victims))
                if WHOLE or cell not in had and is_chosen(scenario, seen, victims, last):
                    found.append((scenario, seen[:2], victims))
                    had.add(cell)
    return found


def test_every_point_is_reached(traces):
    reached = {seen[0] for trace in traces.values() for seen in trace}
    # An ordinary user may have no cgroup to make others in.
    missable = {"cgroup.hold", "cgroup.held"} if os.getuid() != 0 else set()
    assert set(points()) - reached - missable == set()
    assert reached - set(points()) == set()


def test_the_ordinary_npxc_has_none():
    text = NPXC.read_bytes()
    assert b"NPXC_FAULT" not in text and not any(point.encode() in text for point in points())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_whoever_dies_wherever_nothing_is_left(traces, echo, cache, scenario):
    mine = [cell for cell in cells(traces) if cell[0] is scenario]
    assert mine
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda cell: attempt(*cell, echo.port, cache), mine))
    print(f"{scenario.name}: {len(mine)} cells in {time.monotonic() - began:.1f} s")
    wrong = [outcome for outcome in outcomes if outcome]
    assert not wrong, "\n".join(wrong)
