"""Sessions on the replay shim come to what they came to on the CLI that the cassette stands for."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

import conftest
from conftest import NPXC, TOP, processes_with, wait_until

sys.path.insert(0, str(TOP / "tests" / "record"))
from scenarios import SESSIONS, Stage  # noqa: E402

SHIM = TOP / "build" / "shim" / "container"
RUNTIMES = {"podman": "podman", "docker": "docker"}
CASSETTES = sorted((TOP / "fixtures" / "sessions").glob("*.json"))


@pytest.fixture(scope="module", params=CASSETTES, ids=lambda path: path.stem)
def replay(request):
    # not below pytest's directory of mode 0700
    home = pathlib.Path(tempfile.mkdtemp(prefix="npxc-replay-"))
    name = request.param.stem.split("-")[0]
    cli = home / "bin" / name
    cli.parent.mkdir()
    shutil.copy(SHIM, cli)
    cassette = TOP / "fixtures" / "cassettes" / request.param.name
    (cli.parent / "shim.json").write_text(json.dumps({
        "cassette": str(cassette), "state": "../state", "journal": "../journal.jsonl", "path": os.environ["PATH"]}))
    stage = Stage(home, NPXC, RUNTIMES[name], cli)
    stage.runtime, stage.expected = RUNTIMES[name], json.loads(request.param.read_text())
    try:
        stage.install()
        yield stage
    finally:
        end(home, cli)


def end(home, cli):
    subprocess.run([str(cli), "--shim-end"], capture_output=True, timeout=conftest.PATIENCE)
    gone = wait_until(lambda: not processes_with(str(home)))
    for directory in (home, *home.rglob("*")):
        if directory.is_dir() and not directory.is_symlink():
            directory.chmod(0o755)  # what is installed is read-only
    shutil.rmtree(home)
    assert gone


def calls(stage):
    return [json.loads(line) for line in (stage.home / "journal.jsonl").read_text().splitlines()]


def is_refused_here(stage, session):
    return stage.runtime == "podman" and os.getuid() != 0 and "package" in session


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session["name"])
def test_a_session_comes_to_the_same(replay, session):
    def managed_network():
        return [call["argv"][-1] for call in calls(replay) if call["argv"][1:3] == ["network", "create"]][-1]

    if is_refused_here(replay, session):
        seen = replay.play({"name": "refused", "words": session["words"], "package": session["package"]}, None)
        assert seen["exit"] == 1 and "rootless podman" in seen["stderr"][-1]
        return
    seen = replay.play(session, managed_network)
    expected = dict(replay.expected[session["name"]])
    if session["name"] == "doctor" and replay.runtime == "podman" and os.getuid() != 0:
        # An ordinary user's podman is another one: it has to say which limits hold.
        assert any(" limits: " in line for line in seen["stdout"])
        return
    assert seen == expected
    # Nobody is left in the CLI's world, and every call was one that it knows.
    assert wait_until(lambda: not processes_with(str(replay.home)))
    done = replay.ask("--shim-verify")
    assert done.returncode == 0, done.stderr


def test_every_interaction_of_the_cassette_is_npxcs(replay):
    """After the sessions above: what npxc never asks is only there for other tests of the shim."""
    played = {call["matched"] for call in calls(replay)}
    assert {"version", "run", "rm"} <= played
    assert os.getuid() != 0 and replay.runtime == "podman" or {"network-create", "network-inspect", "network-rm"} <= played
