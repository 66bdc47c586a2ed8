#!/usr/bin/env python3
"""Measures first starts: npxc beside npx, with real packages of npm's registry.

    install.py --npxc build/npxc --output build/bench-install.json [--rounds N]

Each is `<tool> -y -p <package> node -e 0` from its start to its end, so that both install, start Node beside what they
installed, and end. Each round gives each tool a home and caches of its own, and the two take turns:

* small: the first installation of a package of few others
* medium: the first of one of some hundred
* shared: of another one, whose dependencies the medium one mostly has, after that
* again: the medium one from what was fetched, when it is no longer installed
* interrupted: the medium one with fresh caches, begun by a client that kills each start after 4 s, five times, and then
  lets one end: the whole time, and how many starts it took
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

SMALL = "@playwright/mcp"
MEDIUM = "@modelcontextprotocol/server-everything"
SHARED = "@modelcontextprotocol/server-filesystem"
GIVES_UP_S = 4
TIMES = 5


class Tool:
    def __init__(self, name, program):
        self.name, self.program, self.figures = name, program, {}

    def fresh(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-"))
        self.home.chmod(0o755)
        keep = ("PATH", "LANG", "NODE_EXTRA_CA_CERTS", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
        self.env = {name: os.environ[name] for name in keep if name in os.environ}
        self.env.update({name: value for name, value in os.environ.items() if name.lower().startswith("npm_config_")
                         and name.lower() != "npm_config_cache"})
        self.env.update(HOME=str(self.home), XDG_CACHE_HOME=str(self.home / "cache"))

    def end(self):
        for directory in (self.home, *self.home.rglob("*")):
            if directory.is_dir() and not directory.is_symlink():
                directory.chmod(0o755)
        shutil.rmtree(self.home)

    def forget(self):
        """What is installed, but not what was fetched."""
        if self.name == "npx":
            shutil.rmtree(self.home / ".npm/_npx")
        else:
            subprocess.run([self.program, "clean", MEDIUM], env=self.env, check=True, stdout=subprocess.DEVNULL)

    def start(self, package):
        return subprocess.Popen([self.program, "-y", "-p", package, "node", "-e", "0"], env=self.env, cwd=self.home,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                start_new_session=True)

    def whole(self, package):
        began = time.perf_counter()
        process = self.start(package)
        _, errors = process.communicate()
        assert process.returncode == 0, (self.name, package, errors.decode(errors="replace"))
        return time.perf_counter() - began

    def interrupted(self, package):
        began = time.perf_counter()
        for count in range(1, TIMES + 1):
            process = self.start(package)
            try:
                _, errors = process.communicate(timeout=GIVES_UP_S)
                assert process.returncode == 0, (self.name, package, errors.decode(errors="replace"))
                return time.perf_counter() - began, count
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        self.whole(package)
        return time.perf_counter() - began, TIMES + 1

    def note(self, what, value):
        self.figures.setdefault(what, []).append(value)


def play(tool):
    tool.fresh()
    tool.note("small", tool.whole(SMALL))
    tool.end()
    tool.fresh()
    tool.note("medium", tool.whole(MEDIUM))
    tool.note("shared", tool.whole(SHARED))
    tool.forget()
    tool.note("again", tool.whole(MEDIUM))
    tool.end()
    tool.fresh()
    seconds, starts = tool.interrupted(MEDIUM)
    tool.note("interrupted", seconds)
    tool.note("starts", starts)
    tool.end()


def report(tools, rounds, output):
    """After each round, so that a run that is cut short has shown something."""
    result = {"rounds": rounds, "load": os.getloadavg(), "ratios": {}, **{tool.name: tool.figures for tool in tools}}
    print(f"after {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for what in ("small", "medium", "shared", "again", "interrupted"):
        shown = []
        for tool in tools:
            values = sorted(tool.figures[what])
            shown.append(f"{tool.name} {statistics.median(values):5.1f} s ({values[0]:.1f} to {values[-1]:.1f})")
        result["ratios"][what] = statistics.median(b / a for a, b in zip(*(tool.figures[what] for tool in tools)))
        more = f", starts {[tool.figures['starts'] for tool in tools]}" if what == "interrupted" else ""
        print(f"{what:12} {shown[0]}, {shown[1]}: {result['ratios'][what]:.2f} times{more}", flush=True)
    pathlib.Path(output).write_text(json.dumps(result, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--npxc", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    tools = Tool("npx", shutil.which("npx")), Tool("npxc", str(pathlib.Path(options.npxc).resolve()))
    for number in range(options.rounds):
        for tool in tools if number % 2 == 0 else reversed(tools):
            play(tool)
        report(tools, number + 1, options.output)


main()
