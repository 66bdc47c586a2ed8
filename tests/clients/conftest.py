"""Other people's clients, as far as they can be had: npm packages of pinned versions, installed once beneath build/,
without their scripts. Nothing of them has a network afterwards, or another HOME than one of the test's own.
"""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BLACK_BOX = HERE.parent / "black_box"
SERVER = "@modelcontextprotocol/server-everything@2026.8.31"
PATIENCE = 300


def load(name, file):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


kept = sys.modules.pop("conftest", None)  # this file, for pytest; the other one has the same name
black_box = load("conftest", BLACK_BOX / "conftest.py")
sdks = load("sdks", BLACK_BOX / "test_clients.py")
if kept is not None:
    sys.modules["conftest"] = kept
cache, world, NPXC = black_box.cache, black_box.world, black_box.NPXC
clients, node = sdks.clients, sdks.node  # the SDKs


@pytest.fixture(scope="session")
def programs():
    """node_modules with the clients; its place changes with what the lock file says."""
    directory = black_box.TOP / "build" / f"listing-clients-{os.getuid()}"
    mark = directory / "installed.json"
    lock = (HERE / "package-lock.json").read_text()
    if not (mark.exists() and mark.read_text() == lock):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, directory)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=directory, check=True,
                       timeout=PATIENCE * 3, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        mark.write_text(lock)
    return directory / "node_modules"


def native(programs, pattern):
    """A program of a platform's own package, which the client's install script would have put in place: the first that
    runs here (one may want a processor with more instructions)."""
    for found in sorted(programs.glob(pattern)):
        if subprocess.run([found, "--version"], capture_output=True, timeout=PATIENCE, check=False).returncode == 0:
            return str(found)
    return pytest.skip(f"there is no {pattern} for this machine")


class Home:
    """Where a client starts: its configuration names two servers, both through npxc, of which one never answers."""

    def __init__(self, world):
        self.world = world
        silent = world.home / "silent"
        silent.mkdir()
        (silent / "package.json").write_text('{"name": "silent", "version": "1.0.0", "bin": "i.js"}')
        (silent / "i.js").write_text("#!/usr/bin/env node\nprocess.stdin.resume();\n")
        (silent / "i.js").chmod(0o755)
        for spec in (SERVER, silent):
            done = world.run("install", spec)
            assert done.returncode == 0, done.stderr
        self.entries = {"answers": {"command": str(NPXC), "args": ["-y", SERVER]},
                        "silent": {"command": str(NPXC), "args": ["-y", str(silent)]}}

    def write(self, name, value):
        file = self.world.home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value if isinstance(value, str) else json.dumps(value))
        return file

    def run(self, *words, **env):
        """In a network of its own, which leads nowhere."""
        return subprocess.run(["bwrap", "--unshare-net", "--dev-bind", "/", "/", *map(str, words)], cwd=self.world.project,
                              env={**self.world.env, "TERM": "dumb", "NO_COLOR": "1", **env}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture
def home(world):
    return Home(world)
