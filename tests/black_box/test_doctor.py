"""doctor says what a start would meet: FAIL where it would fail, with the setting or directory that has to change."""

import os
import shutil
import subprocess

import pytest

from conftest import NPXC, PATIENCE

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="covers files of the system")


def run_in(world, wrapper, *words, env=None):
    done = subprocess.run([*wrapper, str(NPXC), *words], env={**world.env, **(env or {})}, cwd=str(world.project),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout, done.stderr


def bound(*words):
    return [shutil.which("bwrap"), "--dev-bind", "/", "/", *words]


# A user namespace in which no further one may be made, as user.max_user_namespaces=0 refuses them.
REFUSING = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "sh", "-c",
            "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all \"$@\"", "sh"]


@as_root
def test_no_node_anywhere_is_a_finding(world):
    status, out, _ = run_in(world, bound("--dev-bind", "/dev/null", os.path.realpath(shutil.which("node"))), "doctor")
    assert status == 2
    lines = out.splitlines()
    assert "FAIL  Node: node is not on PATH; install Node.js 18 or newer (https://nodejs.org)" in lines, out


def test_a_linked_bubblewrap_is_as_good_as_the_one_that_it_leads_to(world, probe):
    directory = world.home / "linked"
    directory.mkdir()
    (directory / "bwrap").symlink_to(shutil.which("bwrap"))
    env = {"PATH": f"{directory}:{os.environ['PATH']}"}
    assert f"ok    bubblewrap is {os.path.realpath(shutil.which('bwrap'))}" in run_in(
        world, [], "doctor", env=env)[1].splitlines()
    assert world.run("install", probe, env=env).returncode == 0
    assert run_in(world, [], probe, env=env)[0] == 0


@pytest.mark.parametrize("variable, status, word", [("XDG_CACHE_HOME", 2, "FAIL"), ("XDG_STATE_HOME", 2, "FAIL"),
                                                    ("XDG_DATA_HOME", 0, "note")])
def test_a_directory_that_cannot_be_written_fails_only_what_needs_it(world, variable, status, word):
    closed = world.home / "closed"
    closed.mkdir()
    plain = run_in(world, bound(), "doctor")[0]
    got, out, _ = run_in(world, bound("--ro-bind", closed, closed), "doctor", env={variable: str(closed / "deep")})
    line = f"{word}  {closed} cannot be written: Read-only file system"
    assert line in out.splitlines(), out
    fix = out.splitlines()[out.splitlines().index(line) + 1]
    assert fix == f"      fix: make it writable for this user, or set {variable} to a directory that is"
    assert got == max(plain, status)


def test_limits_that_do_not_hold_are_a_note(world):
    if subprocess.run([*REFUSING, "true"], check=False).returncode != 0:
        pytest.skip("no user namespaces here")
    out = run_in(world, REFUSING, "doctor")[1]
    assert [line[:4] for line in out.splitlines() if "limits: " in line] == ["note"]


@as_root
@pytest.mark.parametrize("words", [None, "words of a later release"])
def test_refused_user_namespaces_are_recognised_whatever_bubblewrap_says(world, probe, words):
    if subprocess.run([*REFUSING, "true"], check=False).returncode != 0:
        pytest.skip("no user namespaces here")
    assert world.run("install", probe).returncode == 0
    env = {}
    if words is not None:
        program = world.home / "bin" / "bwrap"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho 'bwrap: {words}' >&2\nexit 1\n")
        program.chmod(0o755)
        env = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
        status, _, err = run_in(world, [], probe, env=env)
        assert status == 4 and f"bubblewrap could not make the sandbox: {words}" in err
    status, out, err = run_in(world, REFUSING, probe, env=env)
    assert (status, out) == (2, "")
    assert "bubblewrap may not make user namespaces here (bwrap: " in err
    assert err.rstrip().endswith("user.max_user_namespaces = 0; as root: sysctl -w user.max_user_namespaces=10000"), err
