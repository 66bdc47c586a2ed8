#!/usr/bin/env python3
"""Measures what it costs that nothing is left behind.

    leases.py --npxc build/npxc --program build/bench/lease --output build/bench-leases.json

* the janitor of an idle session: private memory, and the processor time that it took in ten seconds
* a start's own part: writing its lease as the janitor does, and looking whether there are dead ones
* the first start beside 1,000 dead leases, against the next one when they have been swept; alternating
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

from start import HERE, children, clock, memory, run, summary


def cpu_ns(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def idle(npxc, package, env, seconds=10):
    process = subprocess.Popen([npxc, package, "/bin/sh", "-c", "echo '{}'; exec cat"], env=env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout.readline() == b"{}\n"
        own = pathlib.Path(f"/proc/{process.pid}/exe").resolve()
        janitor, = [pid for pid in children(process.pid) if pathlib.Path(f"/proc/{pid}/exe").resolve() == own]
        time.sleep(1)
        before = cpu_ns(janitor)
        time.sleep(seconds)
        return {**memory(janitor), "cpu_ns": cpu_ns(janitor) - before, "seconds": seconds}
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def make_dead(directory, count):
    """Of another boot; each holds a directory that is not there any more."""
    for number in range(count):
        name = "%08x" % number
        lines = [{"lease": 1, "npxc": "bench", "id": name, "boot": "another", "started_at": 1700000000000, "started_boot": 1,
                  "launcher": {"pid": 2, "started": 3}, "janitor": {"pid": 2, "started": 3},
                  "client": {"pid": 2, "started": 3, "name": "bench"}},
                 {"hold": {"id": 1, "kind": "directory", "path": str(directory / ("npxc-bench-" + name))}}]
        path = directory / (name + ".lease")
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        path.chmod(0o600)


def own_part(program, directory, rounds=100):
    done = subprocess.run([program, str(directory), str(rounds)], check=True, stdout=subprocess.PIPE, text=True)
    pairs = [tuple(float(word) / 1000 for word in line.split()) for line in done.stdout.splitlines()]
    return {"lease": summary([one for one, _ in pairs]), "look": summary([other for _, other in pairs]),
            "both": summary([sum(pair) for pair in pairs])}


def beside(command, env, sessions, dead, rounds=5):
    first, next_one, swept = [], [], []
    for _ in range(rounds):
        make_dead(sessions, dead)
        began = time.monotonic()
        first.append(clock(command, env)[0])
        while any(sessions.glob("*.lease")):
            assert time.monotonic() - began < 60, "never swept"
            time.sleep(0.01)
        swept.append((time.monotonic() - began) * 1000)
        next_one.append(clock(command, env)[0])
    return {"dead": dead, "first": summary(first), "next": summary(next_one), "swept": summary(swept),
            "added_ms": statistics.median(first) - statistics.median(next_one)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--npxc", default="build/npxc")
    parser.add_argument("--program", default="build/bench/lease")
    parser.add_argument("--output", default="build/bench-leases.json")
    options = parser.parse_args()
    npxc, program, output = (str(pathlib.Path(path).resolve()) for path in (options.npxc, options.program, options.output))
    directory = pathlib.Path(tempfile.mkdtemp(prefix="npxc-bench-"))
    directory.chmod(0o755)
    home = directory / "home"
    sessions = home / ".local/state/npxc/sessions"
    sessions.mkdir(parents=True, mode=0o700)
    env = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(directory / "cache")}
    env.pop("XDG_STATE_HOME", None)
    os.chdir(home)
    package = str(HERE / "runner")
    load = os.getloadavg()[0]
    try:
        run([npxc, "install", package], env=env)
        run([npxc, package], env=env)
        result = {"load_before": load, "idle": idle(npxc, package, env), "own": own_part(program, sessions),
                  "beside": beside([npxc, package], env, sessions, 1000)}
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    pathlib.Path(output).write_text(json.dumps(result, indent=1) + "\n")
    own, many = result["own"], result["beside"]
    print("janitor    %(private_kib)d KiB private, %(rss_kib)d KiB RSS, %(cpu_ns)d ns of processor time in %(seconds)d s" % result["idle"])
    for part in ("lease", "look", "both"):
        print("%-10s %.3f ms (p10-p90 %.3f-%.3f)" % (part, own[part]["median_ms"], own[part]["p10_ms"], own[part]["p90_ms"]))
    print("1,000 dead %+.1f ms once: %.1f ms (p10-p90 %.1f-%.1f), then %.1f ms (%.1f-%.1f); swept after %.0f ms; load before %.1f" % (
        many["added_ms"], many["first"]["median_ms"], many["first"]["p10_ms"], many["first"]["p90_ms"],
        many["next"]["median_ms"], many["next"]["p10_ms"], many["next"]["p90_ms"], many["swept"]["median_ms"], load))


if __name__ == "__main__":
    main()
