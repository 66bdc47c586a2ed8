#!/usr/bin/env python3
"""Plays pairs of faults (pairs.py), each on a session in a home of its own, and looks whether npxc kept its word.

    torture.py [--seed 1] [--count 300] [--at-once 20] [--within SECONDS] [--output FILE]

One pair for each of as many seeds. However both end: the launcher has a documented status and stdout is clean; after at
most one `npxc gc` no process, container, network, file or lease of the session is left; a session beside it still
answers, and what was somebody else's is there. Where not, the seed and the pair are printed: `make torture SEED=7 N=1`.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import pairs
from conftest import TOP, stored_copy, processes_with, wait_until
from test_crash import FAULTY, Board, Scenario, points
from tortured import Tortured

LIGHT = stored_copy(TOP / "conformance" / "servers" / "light")  # the shim shows no directory read-only where it lies
REQUEST = b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}\n'
REPLY = b'{"jsonrpc":"2.0","id":%d,"result":{}}\n'
READY = b'{"jsonrpc":"2.0","method":"notifications/ready"}\n'
PLACES = {"state": ".local/state", "temporary": "t"}
# What a client is patient for, in seconds; what npxc is given (a call of the CLI is cut off after 20 s, the janitor goes on
# for 60 s); and what ends by itself when both are dead, and after a gc.
ANSWERS, ENDS, ENDS_WHEN_TOLD, SETTLES, GRACE, COLLECTED = 5, 3, 30, 90, 2, 15
STOPPED = "tT"


def reachable():
    """Fault points that may come up here, and at which other processes can be reached."""
    return [name for name in points() if not name.startswith(("staging.", "orphan.", "egress.child", "sandbox.child-execs"))]


def state_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return ""


class Pair(Tortured):
    """One session under a plan."""

    def __init__(self, plan, cache):
        self.plan = plan
        shim = plan.runtime == "docker"
        link = ("gateway" if shim else "netns") if plan.network else None
        super().__init__(Scenario("pair", (str(LIGHT), "stubborn" if plan.stubborn else "answer"), link=None, shim=shim), cache)
        self.world.write_config("packages/npxc-light.json", {"package_dir": str(LIGHT), "network": {
            "mode": "allowlist", "link": link, "allow": ["example.org:443"]} if link else {"mode": "none"}})
        self.reply = READY if plan.stubborn else REPLY % 1
        self.mounted, self.beside, self.own, self.stopped = [], None, set(), {}
        self.seen = pairs.Seen(told=[])

    # -- the faults --

    def strikes_of(self):
        found = []
        for fault in self.plan.faults:
            if fault.call:
                what = PLACES[fault.what] if fault.kind == "full" else fault.what
                found.append(f"{fault.when} {fault.call} {fault.kind} {what}")
        return found

    def points_of(self):
        numbers = {"kill": 9, "stop": 19}
        return ",".join(f"{fault.point}={'launcher' if fault.kind == 'signal' else fault.what}/"
                        f"{numbers.get(fault.kind) or fault.what}" for fault in self.plan.faults if fault.point)

    def mount(self):
        for fault in self.plan.faults:
            place = self.home / PLACES.get(fault.what, "")
            if fault.kind != "full" or place in self.mounted:
                continue
            place.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=1777", "npxc-test", str(place)], check=True)
            self.mounted.append(place)

    def fill(self):
        for fault in self.plan.faults:
            if fault.kind == "full" and not fault.call:
                subprocess.run(f"cat /dev/zero >'{self.home / PLACES[fault.what]}/filler' 2>/dev/null", shell=True)

    def make_room(self):
        for place in self.mounted:
            with contextlib.suppress(OSError):
                (place / "filler").unlink()

    def go_on(self):
        """Who is stopped goes on after the time of the plan; True while somebody is stopped."""
        ms = max((fault.ms for fault in self.plan.faults), default=0)
        found = False
        for pid in self.pids() if ms else []:
            if state_of(pid) in STOPPED and state_of(pid):
                found = True
                if time.monotonic() - self.stopped.setdefault(pid, time.monotonic()) > ms / 1000:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGCONT)
        return found

    def pids(self):
        """Launcher and janitor of the session, those that live."""
        with contextlib.suppress(OSError, ValueError):
            data = self.board_file.read_bytes()[4:4 + 4 * 2]
            return [pid for pid in (int.from_bytes(data[i:i + 4], sys.byteorder) for i in (0, 4)) if pid and self.is_ours(pid)]
        return []

    def is_ours(self, pid):
        """Numbers are given out again."""
        with contextlib.suppress(OSError):
            return self.home.name.encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        return False

    def reached(self):
        with contextlib.suppress(OSError, ValueError):
            board = Board(self.board_file)
            return self.struck() + sum(board.has(fault.point.split(":")[0], 1) for fault in self.plan.faults if fault.point)
        return self.struck()

    # -- the session --

    def start(self, words, **env):
        return subprocess.Popen([str(FAULTY), *words], env={**self.world.env, **env}, cwd=self.world.project,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def start_beside(self):
        self.beside = self.start((str(LIGHT), "answer"))
        self.beside.stdin.write(REQUEST % 1)
        self.beside.stdin.flush()
        if self.beside.stdout.readline() != REPLY % 1:
            raise AssertionError("the session beside it is not up: " + self.beside.stderr.read().decode())

    def end_beside(self):
        self.beside.stdin.write(REQUEST % 2)
        self.beside.stdin.close()
        out, errors = self.beside.stdout.read(), self.beside.stderr.read()
        if self.beside.wait(60) != 0 or out != REPLY % 2:
            return [f"the session beside it ended with {self.beside.returncode}, {out!r}, {errors.decode()[-200:]}"]
        return []

    def session(self):
        """As an SDK: a request, the end of input, SIGTERM, SIGKILL."""
        process = self.start(self.scenario.words, NPXC_FAULT=self.points_of(), NPXC_FAULT_BOARD=str(self.board_file))
        got = {"out": b"", "errors": b""}

        def read(name, stream):
            while data := os.read(stream.fileno(), 65536):
                got[name] += data

        readers = [threading.Thread(target=read, args=pair) for pair in (("out", process.stdout), ("errors", process.stderr))]
        for reader in readers:
            reader.start()

        def over():
            self.go_on()
            return process.poll() is not None and not any(reader.is_alive() for reader in readers)

        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(REQUEST % 1)
            process.stdin.flush()
        wait_until(lambda: over() or self.reply in got["out"], ANSWERS)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        if not wait_until(over, ENDS) and process.poll() is None:
            self.seen.told.append(int(signal.SIGTERM))
            process.send_signal(signal.SIGTERM)
        if not wait_until(over, ENDS_WHEN_TOLD):
            self.seen.ended = False
            process.kill()
            for pid in set(processes_with(self.home.name)):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        self.seen.status = process.wait()
        for reader in readers:
            reader.join(10)
        for stream in (process.stdout, process.stderr):
            stream.close()
        self.seen.out, self.seen.errors = got["out"], got["errors"]

    def orphans_of_the_cli(self):
        """Calls that hang for ever and whose asker is dead: nobody is there who could end them."""
        if self.plan.has("kill"):
            for pid in processes_with(self.home.name):
                with contextlib.suppress(OSError):
                    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    parent = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
                    if parent not in self.pids() and (words[:2] == [b"sleep", b"600"] or words[0].endswith(b"/real/docker")) \
                            and b"run" not in words[1:2]:
                        os.kill(pid, signal.SIGKILL)

    def mine(self):
        return sorted(set(self.left()) - self.before)

    def is_working(self):
        self.go_on()
        return any(what.startswith("process") for what in self.mine())

    def somebody_elses(self):
        """A network that is called as npxc's are, and a directory that is."""
        if self.plan.runtime == "docker":
            subprocess.run([str(self.real), "network", "create", "--internal", pairs.SOMEBODYS],
                           check=True, capture_output=True, env=self.world.env)
        (self.temporary / "npxc-0badcafe").mkdir()

    def play_pair(self):
        self.arm([])
        self.mount()
        self.somebody_elses()
        if self.plan.neighbour:
            self.start_beside()
        self.before = set(self.left())
        self.begin(self.strikes_of())
        self.fill()
        self.session()
        # The janitor's own time; then there is room again, and nothing fails any more.
        wait_until(lambda: not self.is_working(), 3)
        self.arm([])
        self.make_room()
        self.orphans_of_the_cli()
        wait_until(lambda: not self.is_working() or not any(state_of(pid) for pid in self.pids()), SETTLES)
        wait_until(lambda: not self.is_working(), GRACE)
        with contextlib.suppress(OSError, ValueError):
            self.board = Board(self.board_file)
        self.collected = False
        if self.mine():
            self.collected = True
            done = self.gc()
            self.seen.gc = f"{done.returncode} {(done.stdout + done.stderr).decode(errors='replace')}"
            wait_until(lambda: not self.mine(), COLLECTED)
        self.seen.left = tuple(self.mine())
        self.seen.touched = tuple(what for what in sorted(self.before - set(self.left())) if not what.startswith("process"))
        if self.beside is not None:
            self.seen.touched += tuple(self.end_beside())
        return pairs.judge(self.plan, self.seen, self.reply)

    def end(self):
        if self.beside is not None and self.beside.poll() is None:
            self.beside.kill()
        for place in self.mounted:
            subprocess.run(["umount", "--lazy", str(place)])
        self.mounted = []
        if self.cli is not None or self.plan.runtime != "docker":
            super().end()


def play(plan, cache):
    """(what is wrong, how many of its faults came up, whether gc was needed, the status)"""
    run, began = Pair(plan, cache), time.monotonic()
    try:
        wrong = run.play_pair()
        return wrong, run.reached(), run.collected, run.seen.status, time.monotonic() - began
    finally:
        run.end()


def warm_up(cache, runtimes):
    """The store has the server afterwards."""
    for runtime in runtimes:
        for network in (False, True):
            plain = Pair(pairs.Plan(0, (), runtime, network, False, False), cache)
            try:
                subprocess.run([str(FAULTY), "install", str(LIGHT)], env=plain.world.env, cwd=plain.world.project, check=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                wrong = plain.play_pair()
                made = plain.calls().count(["network", "create"])  # one is somebody else's
                if wrong or plain.seen.status != 0 or runtime == "docker" and made != 1 + network:
                    raise SystemExit(f"torture: a session on {runtime} without a fault: {wrong} {plain.seen}")
            finally:
                plain.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--within", type=float, default=float("inf"), help="seconds, after which no further pair begins")
    parser.add_argument("--output", type=pathlib.Path, help="figures, for conformance/STATUS.md")
    parser.add_argument("--verbose", action="store_true", help="a line for each pair")
    options = parser.parse_args()
    kinds = pairs.KINDS
    if os.getuid() == 0:  # file systems of our own, which nobody else sees, and processes: nobody else's number is hit
        if "NPXC_TORTURE_INSIDE" not in os.environ:
            os.environ["NPXC_TORTURE_INSIDE"] = "1"
            inside = ["sh", "-c", '"$@"; exit $?', "sh"]  # takes in what loses its parent
            os.execvp("unshare", ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *inside, sys.executable, *sys.argv])
    else:
        kinds = tuple(kind for kind in kinds if kind != "full")
    began, figures, violations, lock = time.monotonic(), collections.Counter(), [], threading.Lock()
    with tempfile.TemporaryDirectory(prefix="npxc-torture-") as cache:
        os.chmod(cache, 0o755)
        warm_up(pathlib.Path(cache), ("docker", "bwrap"))
        names = reachable()

        def one(seed):
            if time.monotonic() - began > options.within:
                return
            plan = pairs.plan(seed, names, kinds)
            try:
                wrong, reached, collected, status, seconds = play(plan, pathlib.Path(cache))
            except Exception as failed:
                wrong, reached, collected, status, seconds = [f"{type(failed).__name__}: {failed}"], 0, False, None, 0
            with lock:
                if options.verbose:
                    print(f"{seconds:5.1f} s, status {status}, {reached} came up{', gc' if collected else ''}: {plan}", flush=True)
                figures.update(pairs=1, both=reached >= 2, none=reached == 0, gc=collected)
                figures["slowest"] = max(figures["slowest"], round(seconds))
                if wrong:
                    violations.append(plan.seed)
                    print(f"VIOLATION {plan}\n" + "\n".join("    " + what for what in wrong), flush=True)

        with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
            list(pool.map(one, range(options.seed, options.seed + options.count)))
        for directory, _, _ in os.walk(cache):
            os.chmod(directory, 0o755)  # what is installed is read-only
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps({
            "seed": options.seed, "pairs": figures["pairs"], "both": figures["both"], "gc": figures["gc"], "violations": sorted(violations),
            "user": "root" if os.getuid() == 0 else "ordinary", "kinds": kinds}) + "\n")
    which = " (seeds %s)" % ", ".join(map(str, sorted(violations))) if violations else ""
    print("torture: %d of %d pairs from seed %d, both faults came up in %d, none in %d, gc was needed after %d; %d violations%s; "
          "%.0f s, the longest pair %d s" % (figures["pairs"], options.count, options.seed, figures["both"], figures["none"],
                                             figures["gc"], len(violations), which, time.monotonic() - began, figures["slowest"]))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
