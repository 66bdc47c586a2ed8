#!/usr/bin/env python3
"""Many short sessions, some of them at once, that end in every way there is; then nothing may be left, and none of them
may have gone otherwise than its ending says.

    soak.py [--npxc build/npxc] [--sessions 300] [--runtime replay-1.2.2:gateway,bwrap] [--at-once 8] [--seed N] [--each]

As many sessions on each runtime; after a colon, the link by which they go out. Prints, and writes to build/soak.json:
time, sessions per second, how many failed, what leaked, the peak of memory of the launchers (PSS: shared pages divided
among those that share them), and for each ending the median and 95th percentile of the time until nothing of the session
was there any more. The seed chooses the order.

A fifth of the sessions are ended before they are up. `both killed` is launcher and janitor, stopped first so that neither
sees the other die: what the next start has to clean up, so that its time is that of the next start too.

--each: as many sessions of each ending, apart from the other endings and none of them early, so that what leaks is known
to be that ending's; conformance/status/ tells of the last such run of each runtime.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from scenarios.base import REPLY, REQUEST
from worlds import (LIGHT, PROCESSES, TOP, Lab, Unavailable, World, kill_together, kin_of, now_us, paths_below, pss_kib,
                    read_of, runtimes_here, wait_until)

PATIENCE = 60
LOOK_SECONDS = 0.02
BATCH = 500  # sessions of one home; then everything is looked at, and the next ones get another


class Ending:
    """`statuses`: what the launcher ends with, once up. `early`: those of one that was not yet, where it differs: before
    its handlers are there a signal ends the launcher as it ends any program."""

    def __init__(self, name, mode, act, *statuses, early=None):
        self.name, self.mode, self.act, self.statuses, self.early = name, mode, act, statuses, early


def signalled(number, whole_group=False):
    return lambda one: one.signal(number, whole_group)


def kill_both(one):
    """The janitor is a fork of the launcher: it has its arguments."""
    kill_together({one.process.pid, *kin_of(one.process.pid, one.tag)})


ENDINGS = (
    Ending("client EOF", ["answer"], lambda one: one.close(), 0),
    Ending("SIGTERM", ["answer"], signalled(signal.SIGTERM), 143, early=(143, -15)),
    Ending("SIGINT", ["answer"], signalled(signal.SIGINT), 130, early=(130, -2)),
    Ending("SIGHUP", ["answer"], signalled(signal.SIGHUP), 129, early=(129, -1)),
    Ending("SIGTERM, stubborn server", ["stubborn"], signalled(signal.SIGTERM), 143, early=(143, -15)),
    Ending("SIGKILL of the launcher", ["answer"], signalled(signal.SIGKILL), -9),
    Ending("SIGKILL of its group", ["answer"], signalled(signal.SIGKILL, True), -9),
    Ending("SIGKILL, stubborn server", ["stubborn"], signalled(signal.SIGKILL), -9),
    Ending("both killed", ["answer"], kill_both, -9),
    Ending("server exit", ["exit", "3"], lambda one: one.send(REQUEST % 1), 3),
    Ending("server crash", ["crash"], lambda one: one.send(REQUEST % 1), 137),
)
NEVER_EARLY = ("both killed", "server exit", "server crash")


class One:
    """A session of the soak, in the thread that ends it."""

    def __init__(self, world, number, ending, early):
        self.number, self.ending, self.early = number, ending, early
        self.tag = "%s.%d." % (world.marker, number)  # its last argument
        self.acted_us = self.clean_us = self.status = self.problem = None
        self.said, self.late = b"", False
        words = ["--runtime", world.runtime.flag, str(LIGHT), *ending.mode, self.tag]
        self.process = subprocess.Popen([str(world.lab.launcher), *words], env=world.environment(), cwd=str(world.project),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        start_new_session=True)

    def send(self, data):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def signal(self, number, whole_group):
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if whole_group else os.kill)(self.process.pid, number)

    def up(self):
        """A reply came, or what a stubborn server says; what exits or crashes says so on stderr only."""
        mode = self.ending.mode[0]
        if mode == "answer":
            self.send(REQUEST % 1)
        if mode in ("answer", "stubborn"):
            return self.process.stdout.readline()
        while line := self.process.stderr.readline():
            self.said += line
            if b"light ready" in line:
                break
        return line

    def play(self, chance):
        first = b""
        if self.early:
            if self.ending.mode[0] == "answer":
                self.send(REQUEST % 1)
            time.sleep(chance.random() * 0.1)
        else:
            first = self.up()
        self.acted_us = now_us()
        self.ending.act(self)
        late = threading.Timer(PATIENCE, self.give_up)
        late.start()
        # The pipes close when nobody holds them any more; stderr is small.
        out = self.process.stdout.read() if b"light ready" in first else first + self.process.stdout.read()
        err = (self.said + self.process.stderr.read()).decode(errors="replace")
        self.status = self.process.wait()
        late.cancel()
        self.close()
        self.process.stdout.close()
        self.process.stderr.close()
        self.problem = self.judge(first, out, err)

    def give_up(self):
        self.late = True
        for pid in PROCESSES.with_text(self.tag):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def judge(self, first, out, err):
        allowed = self.ending.early if self.early and self.ending.early else self.ending.statuses
        if self.late:
            return "was not over after %d s: %s" % (PATIENCE, err.strip()[-300:])
        if not self.early and not first:
            return "was never up: status %s, %s" % (self.status, err.strip()[-300:])
        if self.status not in allowed:
            return "status %s instead of %s: %s" % (self.status, allowed, err.strip()[-300:])
        if self.ending.name == "client EOF" and out != REPLY % 1:
            return "stdout holds %r" % out[:100]
        if out not in (b"", REPLY % 1) and self.ending.mode[0] == "answer":
            return "stdout holds %r" % out[:100]
        return None


class Watcher(threading.Thread):
    """Looks at all processes for all sessions: when the last one of each has gone, and how much memory launchers hold."""

    def __init__(self, launcher):
        super().__init__(daemon=True)
        self.launcher = os.fsencode(str(launcher))
        self.waiting, self.lock, self.over = {}, threading.Lock(), False
        self.peak_kib = self.peak_launchers = 0
        self.memory_at = 0

    def add(self, one):
        with self.lock:
            self.waiting[one.tag] = one

    def run(self):
        while not self.over:
            began = time.monotonic()
            with self.lock:
                waiting = dict(self.waiting)
            looked = PROCESSES.looked()
            at = now_us()
            there = set()
            for _, text in looked:
                there.update(re.findall(r"conformance-\d+-\w+\.\d+\.", text))
            with self.lock:
                for tag, one in waiting.items():
                    if tag not in there:
                        one.clean_us = at
                        del self.waiting[tag]
            if began - self.memory_at > 0.5:
                self.memory_at = began
                self.weigh(pid for pid, text in looked if text.startswith("\0" + self.launcher.decode()))
            time.sleep(max(LOOK_SECONDS, time.monotonic() - began))  # at most half a processor

    def weigh(self, pids):
        kib = count = 0
        for pid in pids:
            own = pss_kib(pid)
            if own is not None:
                kib, count = kib + own, count + 1
        if kib > self.peak_kib:
            self.peak_kib, self.peak_launchers = kib, count


def leaks_of(world):
    """What is there although every session is over."""
    state = world.home / ".local/state"
    found = ["container %s" % name for name in world.runtime.containers(world)]
    found += ["network %s" % name for name in world.runtime.networks(world)]
    found += ["process %d %s" % (pid, read_of(pid, "cmdline")[-80:]) for pid in world.processes_left()]
    found += ["file %s" % name for name in world.files_left()]
    found += ["file %s" % path.relative_to(world.home) for path in paths_below(state) if path.parent.name == "sessions"]
    found += ["mount %s" % place for place in world.mounts_left()]
    return found + world.runtime.strays(world)


def sweep(world):
    """The next start, which has to take what `both killed` left."""
    session = world.start("answer", world.marker)
    session.send(REQUEST % 1)
    session.close()
    session.finish()
    if (status := session.process.poll()) != 0:
        raise SystemExit("soak: the session that ends a batch ended with %s: %s" % (status, bytes(session.err).decode()[-300:]))
    session.release()  # what it does in the background goes on
    world.sessions.remove(session)


class Column:
    """A runtime and a link of it, NAME:LINK; without a link its sessions have no network."""

    def __init__(self, word):
        name, _, link = word.partition(":")
        self.name, here = word, runtimes_here()
        if name not in here:
            raise Unavailable("no runtime %s here; there are %s" % (name, ", ".join(here)))
        self.runtime = here[name]
        self.runtime.check()
        self.package = {"network": {"mode": "allowlist", "link": link, "allow": ["example.org:443"]} if link else {"mode": "none"}}


def batch(lab, column, order, chance, options, watcher, tell):
    """order: the endings of the sessions. (sessions, leaks)"""
    ones, lock, runtime = [], threading.Lock(), column.runtime
    todo = [(ending, not options.each and chance.random() < 0.2, chance.random()) for ending in order]
    todo = list(enumerate(todo))
    with World(lab, runtime, "soak") as world:
        runtime.prepare(world)
        world.configure_package(column.package)

        def work():
            while True:
                with lock:
                    if not todo:
                        return
                    number, (ending, early, seed) = todo.pop()
                one = One(world, number, ending, early and ending.name not in NEVER_EARLY)
                with lock:
                    ones.append(one)
                one.play(random.Random(seed))
                if options.each and ending.act is kill_both:
                    sweep(world)
                    if wait_until(lambda: not leaks_of(world), 20, 0.01):
                        one.clean_us = now_us()
                else:
                    watcher.add(one)
                if one.problem:
                    tell("failed: %s (%d%s): %s" % (ending.name, number, ", early" if one.early else "", one.problem))

        # Of what waits for the next start, each waits for its own.
        width = 1 if options.each and order[0].act is kill_both else options.at_once if runtime.light else min(options.at_once, 3)
        threads = [threading.Thread(target=work) for _ in range(width)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not options.each:
            sweep(world)
        wait_until(lambda: not leaks_of(world), 20, 0.1)
        leaks = leaks_of(world)
        wait_until(lambda: all(one.clean_us for one in ones), 5)
    return ones, leaks


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def orders(options, chance):
    """The endings of each batch."""
    if options.each:
        return [[ending] * options.sessions for ending in ENDINGS]
    every = [ENDINGS[n % len(ENDINGS)] for n in range(options.sessions)]
    found = [every[start:start + BATCH] for start in range(0, len(every), BATCH)]
    for order in found:
        chance.shuffle(order)
    return found


def soak(lab, column, options, tell=lambda text: print("  " + text, file=sys.stderr, flush=True)):
    runtime = column.runtime
    status, said = lab.warm_up(runtime, LIGHT)
    if status != 0:
        sys.exit("soak: %s does not work here: %s" % (column.name, said.strip()[-300:]))
    chance, watcher = random.Random(options.seed), Watcher(lab.launcher)
    ones, leaks, leaks_of_ending, began, load = [], [], {}, time.monotonic(), os.getloadavg()[0]
    watcher.start()
    for order in orders(options, chance):
        more, left = batch(lab, column, order, chance, options, watcher, tell)
        ones, leaks = ones + more, leaks + left
        if options.each:
            leaks_of_ending[order[0].name] = len(left)
        for what in left:
            tell("leaked: %s" % what)
        if options.sessions > BATCH:
            tell("%s: %d sessions, %d failed, %d leaks, %.0f s" % (column.name, len(ones), sum(bool(one.problem) for one in ones),
                                                                   len(leaks), time.monotonic() - began))
    watcher.over = True
    watcher.join()
    seconds = time.monotonic() - began
    endings = {}
    for ending in ENDINGS:
        times = [(one.clean_us - one.acted_us) / 1000 for one in ones if one.ending is ending and one.clean_us and not one.early]
        if times:
            endings[ending.name] = {"sessions": len(times), "median_ms": round(statistics.median(times), 1),
                                    "p95_ms": round(percentile(times, 0.95), 1), "most_ms": round(max(times), 1)}
            if options.each:
                endings[ending.name]["leaks"] = leaks_of_ending[ending.name]
    return {"runtime": column.name, "about": runtime.provenance(), "sessions": len(ones), "at_once": options.at_once,
            "seed": options.seed, "seconds": round(seconds, 1), "sessions_per_s": round(len(ones) / seconds, 1),
            "failed": sum(bool(one.problem) for one in ones), "leaks": len(leaks), "peak_kib": watcher.peak_kib,
            "peak_launchers": watcher.peak_launchers, "load_before": round(load, 1), "early": sum(one.early for one in ones),
            "endings": endings}


def told(result):
    lines = ["%(runtime)s: %(sessions)d sessions, %(at_once)d at once: %(seconds).1f s, %(sessions_per_s).1f sessions/s, "
             "%(failed)d failed, %(leaks)d leaks, memory of launchers and janitors at most %(peak_kib)d KiB "
             "(of %(peak_launchers)d processes), load before %(load_before).1f" % result]
    lines += ["  %-26s %5d sessions, clean after %6.0f ms, 95 %% within %6.0f ms, the last %6.0f ms%s"
              % (name, one["sessions"], one["median_ms"], one["p95_ms"], one["most_ms"],
                 ", %d leaks" % one["leaks"] if "leaks" in one else "") for name, one in result["endings"].items()]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--npxc", default=str(TOP / "build" / "npxc"))
    parser.add_argument("--sessions", type=int, default=300, help="on each runtime; with --each of each ending")
    parser.add_argument("--runtime", default="replay-1.2.2:gateway" + (",bwrap" if os.uname().sysname == "Linux" else ""))
    parser.add_argument("--at-once", type=int, default=8, help="of a runtime whose sessions cost much, 3 at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", action="store_true", help="the endings apart from each other")
    parser.add_argument("--output", default=str(TOP / "build" / "soak.json"))
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # what nohup makes of them would be inherited
        signal.signal(number, signal.SIG_DFL)
    results = []
    try:
        columns = [Column(word) for word in options.runtime.split(",")]
    except Unavailable as why:
        sys.exit("soak: %s" % why)
    with Lab(options.npxc) as lab:
        for column in columns:
            results.append(soak(lab, column, options))
            print(told(results[-1]), flush=True)
    pathlib.Path(options.output).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(options.output).write_text(json.dumps(results, indent=1) + "\n")
    return 1 if any(one["failed"] or one["leaks"] for one in results) else 0


if __name__ == "__main__":
    sys.exit(main())
