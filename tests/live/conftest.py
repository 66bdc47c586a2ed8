"""Sessions on a real engine, podman or docker (NPXC_TEST_RUNTIME): the world of the black-box tests, and evidence of what
the engine still has of a session."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ENGINE = os.environ.setdefault("NPXC_TEST_RUNTIME", "podman")

_spec = importlib.util.spec_from_file_location("black_box", HERE.parent / "black_box" / "conftest.py")
black_box = importlib.util.module_from_spec(_spec)
sys.modules["black_box"] = black_box
_spec.loader.exec_module(black_box)

cache, world, probe = black_box.cache, black_box.world, black_box.probe

# The janitor tries a busy network again every 2 s for 60 s.
GONE = 70


def engine(*words, check=True):
    result = subprocess.run([ENGINE, *words], capture_output=True, text=True, timeout=60)
    assert not check or result.returncode == 0, result.stderr
    return result.stdout


def remove(container):
    engine("rm", "-f", *(["-t", "0"] if ENGINE == "podman" else []), container)


def processes(program):
    """(pid, arguments) of the processes of a program."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        if argv and pathlib.Path(argv[0]).name == program:
            found.append((int(entry.name), argv))
    return found


def oci_states():
    """Containers that the OCI runtime still holds: `podman ps` knows nothing of one whose start was cut off."""
    if ENGINE == "docker":  # each has a process of containerd's beside it; ci/docker's engine is alone in its namespace
        return {argv[argv.index("-id") + 1] for _, argv in processes("containerd-shim-runc-v2") if "-id" in argv}
    for _ in range(10):  # it fails when a container goes while it lists
        listed = subprocess.run(["runc", "list", "--format", "json"], capture_output=True, text=True)
        if listed.returncode == 0:
            return {entry["id"] for entry in json.loads(listed.stdout) or []}
    raise AssertionError(listed.stderr)


def ours():
    """Everything that bears a name of npxc's, wherever the engine and its helpers keep it."""
    names = {"container " + name for name in engine("ps", "-a", "--format", "{{.Names}}").split()
             if name.startswith("npxc-")}
    names |= {"network " + name for name in engine("network", "ls", "--format", "{{.Name}}").split()
              if name.startswith("npxc-")}
    if ENGINE == "podman":
        names |= {f"file /var/tmp/{entry.name}" for entry in pathlib.Path("/var/tmp").iterdir()}
    for program in ("conmon", ENGINE):
        for _, argv in processes(program):
            names |= {f"{program} of {word}" for word in argv if word.startswith("npxc-")}
    return names | {"oci " + name for name in oci_states()}


@pytest.fixture(autouse=True)
def nothing_is_left(world):
    temporary = world.home / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)  # a server that root starts belongs to another user
    world.env["TMPDIR"] = str(temporary)
    before = ours()
    yield
    left = ours() - before

    def gone():
        # Only what was there at once: somebody else's sessions come and go on the same engine.
        left.intersection_update(ours())
        return not left

    black_box.wait_until(gone, GONE)
    assert not left
    assert black_box.wait_until(lambda: not list(temporary.iterdir())), list(temporary.iterdir())


@pytest.fixture
def allowlist(world):
    world.configure_probe({"network": {"mode": "allowlist", "link": "gateway"}})
