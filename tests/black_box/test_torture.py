"""Runtimes that behave badly under a launcher that dies: SIGKILL at each call of the container CLI, before it and after it, a
service that is restarted, and disks that are full. On the replay shim, behind a program that does these things."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import NPXC, PROBE, RUNTIME, wait_until
from test_crash import SHIM, Run, Scenario, lines

pytestmark = pytest.mark.skipif(RUNTIME is not None, reason="the runtime is the replay shim")

# Strikes at the call of its number, once: before it, after it, or "late": what was asked for comes into being when those
# who asked have gone, as a service does that has its own time. `run` is no such call: it lives as long as its container.
BETWEEN = r"""#!/bin/sh
PATH=/usr/bin:/bin
here=${0%/*}
i=1
until mkdir "$here/calls/$i" 2>/dev/null; do i=$((i + 1)); done
. "$here/torture"
strike() {
	launcher=$(cat "$here/launcher")
	janitor=$(cat "$here"/../.local/state/npxc/sessions/*.lease 2>/dev/null |
		sed -n 's/.*"janitor":{"pid":\([0-9]*\).*/\1/p' | tail -n 1)
	: >"$here/struck"
	if [ "$who" = both ] && [ -n "$janitor" ]; then
		kill -STOP "$PPID" # one of them; this call dies with it
		[ "$PPID" = "$janitor" ] && kill -KILL "$launcher" || kill -KILL "$janitor"
		kill -KILL "$PPID"
	fi
	kill -KILL "$launcher"
}
if [ "$i" = "$call" ]; then
	case $when in
	before) strike ;;
	after) "$here/real/docker" "$@"
		status=$?
		strike
		exit "$status" ;;
	late) setsid sh -c 'sleep 0.3; exec "$@"' sh "$here/real/docker" "$@" >/dev/null 2>&1 &
		strike ;;
	esac
fi
exec "$here/real/docker" "$@"
"""


class Tortured(Run):
    def __init__(self, port, cache, call=0, when="before", who="launcher"):
        self.call, self.when, self.who = call, when, who
        super().__init__(Scenario("torture", link="gateway", shim=True), port, cache)

    def add_shim(self):
        super().add_shim()
        tools = self.cli.parent
        (tools / "real").mkdir()
        (tools / "calls").mkdir()
        self.cli.rename(tools / "real" / "docker")
        settings = json.loads((tools / "shim.json").read_text())
        settings.update(state="../../state", journal="../../journal.jsonl")
        (tools / "real" / "shim.json").write_text(json.dumps(settings))
        (tools / "torture").write_text(f"call={self.call} when={self.when} who={self.who}\n")
        self.cli.write_text(BETWEEN)
        self.cli.chmod(0o755)
        self.real = tools / "real" / "docker"

    def session(self):
        # The shell's own pid is the launcher's.
        process = subprocess.Popen(["sh", "-c", 'echo $$ >"$1"; shift; exec "$@"', "sh", str(self.tools / "launcher"),
                                    str(NPXC), *self.scenario.words], env=self.world.env, cwd=self.world.project,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.out, self.errors = process.communicate(self.input, timeout=120)
        self.status = process.returncode

    def collect(self):
        # What was asked for is over before gc looks.
        done = subprocess.run([str(NPXC), "gc", "--json"], env={**self.world.env, "PATH": str(self.tools)},
                              cwd=self.world.project, capture_output=True, timeout=60)
        assert done.returncode == 0, (done.stdout, done.stderr)

    class board:
        id = ""

    def count(self):
        return len(list((self.tools / "calls").iterdir()))

    def end(self):
        self.cli = self.real
        super().end()


def test_a_launcher_killed_at_any_call_leaves_nothing(cache):
    plain = Tortured(1, cache)
    try:
        plain.session()
        assert plain.status == 0, plain.errors
        assert wait_until(lambda: not plain.left(), 10), plain.left()
        calls = [json.loads(line)["argv"][1:3] for line in (plain.home / "journal.jsonl").read_text().splitlines()]
        count = plain.count()
    finally:
        plain.end()
    assert count == len(calls) >= 6
    wrong = []
    for call in range(1, count + 1):
        for when in ("before", "after", "late"):
            for who in ("launcher", "both"):
                if when != "before" and calls[call - 1][0] == "run":
                    continue  # the next call's "before" is that
                if when == "late" and calls[call - 1] != ["network", "create"]:
                    continue
                run = Tortured(1, cache, call, when, who)
                try:
                    run.session()
                    assert (run.tools / "struck").exists(), (call, when, who, calls, run.errors)
                    if who == "both":
                        assert wait_until(lambda: not any(left.startswith("process") for left in run.left()), 10)
                        run.collect()
                    if not wait_until(lambda: not run.left(), 15):
                        wrong.append(f"{who} {when} call {call} ({' '.join(calls[call - 1])}): {run.left()}")
                finally:
                    run.end()
    assert not wrong, "\n".join(wrong)


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
        assert b"npxc: npxc-probe ended by itself" in errors and out == b""
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
        result = world.run("install", str(PROBE), env={"XDG_CACHE_HOME": str(cache)})
        assert result.returncode in (3, 4) and result.stdout == b"", result
        assert "npxc:" in result.stderr and "space" in result.stderr.lower(), result.stderr
        store = cache / "npxc/store"
        assert not store.exists() or (list(store.glob("staging/*")) == [] and list(store.glob("packages/*/*")) == [])
        assert wait_until(lambda: not world.leftovers())
    assert os.listdir(world.home / ".local/state/npxc/sessions") == []
