"""Apple's guests cannot compare what they were given: no path leads through what another session's server may write."""

import json
import os
import shutil
import subprocess

import pytest

from conftest import PATIENCE, RUNTIME, TOP

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="the replay shim stands for the runtime")

SHIM = TOP / "build" / "shim" / "container"
CASSETTE = TOP / "fixtures" / "cassettes" / "container-1.2.2.json"


@pytest.fixture
def apple(world, probe):
    cli = world.home / "cli"
    cli.mkdir()
    shutil.copy(SHIM, cli / "container")
    (cli / "shim.json").write_text(json.dumps({"cassette": str(CASSETTE), "state": "../state",
                                              "journal": "../journal.jsonl", "path": os.environ["PATH"]}))
    world.write_config("npxc.json", {"defaults": {"runtime": "apple", "container_cli": str(cli / "container")},
                                     "paths": {"strategies": ["config"]}})
    world.env.update({"XDG_CACHE_HOME": str(world.home / "cache")})
    done = world.run("--log-level", "debug", "install", probe)
    assert done.returncode == 0, done.stderr
    for name in ("sub/deep/a", "sub/.git/config", ".envrc", "other/a"):
        path = world.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    clients = []

    def start(*flags):
        client = world.client(*flags, probe)
        clients.append(client)
        client.handshake()
        return client

    world.start_one = start
    world.probe = probe
    yield world
    for client in clients:
        if client.process.poll() is None:
            client.close()
    subprocess.run([str(cli / "container"), "--shim-end"], capture_output=True, timeout=PATIENCE)
    for directory in (world.home, *world.home.rglob("*")):
        if directory.is_dir() and not directory.is_symlink():
            directory.chmod(0o755)


def volumes(world):
    """What the last `run` was given, as (host, guest, mode)."""
    argv = [json.loads(line)["argv"] for line in (world.home / "journal.jsonl").read_text().splitlines()]
    last = [one for one in argv if one[1:2] == ["run"]][-1]
    return [tuple((word + ":rw").split(":")[:3]) for flag, word in zip(last, last[1:]) if flag == "-v"]


@pytest.mark.parametrize("first, second, fine", [
    (["--project=rw"], ["--mount", "sub"], False),
    (["--project=rw"], ["--mount", "sub/deep/a"], False),
    (["--mount", "sub:rw"], ["--mount", "sub/deep:/srv/x"], False),
    (["--mount", "sub"], ["--project=rw"], False),
    (["--mount", "sub:rw"], ["--project=rw"], False),
    (["--project=rw"], ["--project=rw"], True),
    (["--project=rw"], ["--project"], True),
    (["--project"], ["--mount", "sub"], True),
    (["--mount", "sub:rw"], ["--mount", "other:rw"], True),
    (["--mount", "sub:rw"], ["--project"], True),
])
def test_a_source_beneath_what_another_session_writes_is_refused(apple, first, second, fine):
    client = apple.start_one(*first)
    result = apple.run(*second, apple.probe)
    if fine:
        assert result.returncode == 0, result.stderr
    else:
        assert result.returncode == 1, result.stderr
        assert "npxc stop" in result.stderr
    # the control: once that session is over nothing stands in the way
    client.close()
    assert apple.run(*second, apple.probe).returncode == 0


def test_single_files_that_stay_read_only_come_from_copies(apple):
    """The CLI shares a file through its directory and drops a mount of the same directory: no such pair is made."""
    client = apple.start_one("--project=rw")
    kept = list((apple.home / ".local/state/npxc/sessions").glob("*/kept/*"))
    assert [path.read_text() for path in kept] == ["mine"]
    client.close()
    assert not kept[0].exists()
    shared = volumes(apple)
    project = str(apple.project)
    assert (project, project, "rw") in shared
    assert (f"{project}/sub/.git", f"{project}/sub/.git", "ro") in shared
    assert (f"{project}/sub", f"{project}/sub", "rw") in shared  # a mount of its own is not renamed
    assert (str(kept[0]), f"{project}/.envrc", "ro") in shared
    directories = [host for host, _, _ in shared if os.path.isdir(host)]
    assert not [host for host, _, _ in shared if host not in directories and os.path.dirname(host) in directories]
