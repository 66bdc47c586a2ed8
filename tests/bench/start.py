#!/usr/bin/env python3
"""Measures what npxc adds to a start, and what it costs while idle.

    start.py --npxc build/npxc --output build/bench-start.json

* start: from fork to the first byte of a server that speaks and ends at once; `npxc` beside `bash -c 'exec bwrap ...'`
  with the argument list that `npxc inspect` prints and the same data descriptors (but for the seccomp filter, which
  only makes bwrap slower)
* whole: to the end of the process; npxc's holds the verified end of everything inside, which bwrap does not wait for
* `npxc --version`
* idle: RSS and private pages of launcher and janitor while a server runs
* size of the stripped binary

The two variants of a comparison alternate in one run; medians, and the spread beside them.
"""

import argparse
import json
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent


def clock(argv, env):
    """Milliseconds to the first byte and to the end."""
    began = time.perf_counter_ns()
    with subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        assert process.stdout.read(1), argv
        first = time.perf_counter_ns()
        process.stdout.read()
        assert process.wait() == 0, argv
    return (first - began) / 1e6, (time.perf_counter_ns() - began) / 1e6


def summary(values):
    values = sorted(values)
    return {"median_ms": statistics.median(values), "p10_ms": values[len(values) // 10],
            "p90_ms": values[len(values) * 9 // 10], "runs": len(values)}


def run(argv, **more):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


def bare_bwrap(npxc, package, env, directory):
    """The shell line: data descriptors from files, then exec of the very list."""
    plan = json.loads(subprocess.run([npxc, "inspect", "--json", package], check=True, env=env,
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    argv = plan["argv"]
    at = argv.index("--seccomp")
    argv = argv[:at] + argv[at + 2:]
    for word, source in zip(argv, argv[1:]):
        if word == "--ro-bind" and "/.local/state/" in source:  # the workspace, which a session makes
            pathlib.Path(source).mkdir(parents=True)
    files = {}
    for name in ("--args", "--ro-bind-data", "--json-status-fd"):
        for at, word in enumerate(argv):
            if word == name:
                files[int(argv[at + 1])] = name
    redirections = []
    for number, name in files.items():
        path = directory / f"fd{number}"
        path.write_bytes(b"--setenv\0HOME\0/tmp\0--setenv\0PATH\0/usr/bin:/bin\0" if name == "--args" else b"x\n")
        redirections.append(f"{number}{'>' if name == '--json-status-fd' else '<'}{shlex.quote(str(path))}")
    return ["/bin/bash", "-c", "exec " + shlex.join(argv) + " " + " ".join(redirections)]


def children(pid):
    return [int(n) for n in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory(pid):
    rss = private = 0
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            rss = int(line.split()[1])
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            private += int(line.split()[1])
    return {"rss_kib": rss, "private_kib": private}


def idle(npxc, package, env):
    process = subprocess.Popen([npxc, package, "/bin/sh", "-c", "echo '{}'; exec cat"], env=env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout.readline() == b"{}\n"
        own = pathlib.Path(f"/proc/{process.pid}/exe").resolve()
        janitors = [pid for pid in children(process.pid) if pathlib.Path(f"/proc/{pid}/exe").resolve() == own]
        assert len(janitors) == 1, janitors
        launcher, janitor = memory(process.pid), memory(janitors[0])
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()
    return {"launcher": launcher, "janitor": janitor, "rss_kib": launcher["rss_kib"] + janitor["rss_kib"],
            "private_kib": launcher["private_kib"] + janitor["private_kib"]}


def stripped_bytes(npxc, directory):
    subprocess.run(["strip", "-o", directory / "stripped", npxc], check=True)
    return (directory / "stripped").stat().st_size


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--npxc", default="build/npxc")
    parser.add_argument("--output", default="build/bench-start.json")
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    npxc = str(pathlib.Path(options.npxc).resolve())
    directory = pathlib.Path(tempfile.mkdtemp(prefix="npxc-bench-"))
    directory.chmod(0o755)
    home = directory / "home"
    home.mkdir()
    env = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(directory / "cache")}
    os.chdir(home)
    package = str(HERE / "runner")
    try:
        run([npxc, "install", package], env=env)
        bare = bare_bwrap(npxc, package, env, directory)
        commands = {"npxc": [npxc, package], "bwrap": bare, "version": [npxc, "--version"]}
        times = {name: [] for name in commands}
        for command in commands.values():
            run(command, env=env)
        for _ in range(options.runs):
            for name, command in commands.items():
                times[name].append(clock(command, env))
        result = {"start": {name: summary([first for first, _ in values]) for name, values in times.items()},
                  "whole": {name: summary([end for _, end in values]) for name, values in times.items()}}
        for part in ("start", "whole"):
            result[part]["added_ms"] = result[part]["npxc"]["median_ms"] - result[part]["bwrap"]["median_ms"]
        result["idle"] = idle(npxc, package, env)
        result["stripped_bytes"] = stripped_bytes(npxc, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    pathlib.Path(options.output).write_text(json.dumps(result, indent=1) + "\n") if os.path.isabs(options.output) else \
        (HERE.parent.parent / options.output).write_text(json.dumps(result, indent=1) + "\n")
    for part in ("start", "whole"):
        figures = result[part]
        print(f"{part:10} npxc {figures['npxc']['median_ms']:.1f} ms, bwrap alone {figures['bwrap']['median_ms']:.1f} ms: "
              f"{figures['added_ms']:+.1f} ms "
              f"(p10-p90 {figures['npxc']['p10_ms']:.1f}-{figures['npxc']['p90_ms']:.1f}, "
              f"{figures['bwrap']['p10_ms']:.1f}-{figures['bwrap']['p90_ms']:.1f})")
    print(f"--version  {result['whole']['version']['median_ms']:.1f} ms")
    print(f"idle       launcher and janitor {result['idle']['rss_kib']} KiB RSS, {result['idle']['private_kib']} KiB private")
    print(f"size       {result['stripped_bytes'] / 1024:.0f} KiB stripped")


if __name__ == "__main__":
    sys.exit(main())
