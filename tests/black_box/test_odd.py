"""Odd surroundings: what a parent may leave closed, blocked, ignored, missing or small."""

import json
import signal
import subprocess

import pytest

from conftest import NPXC, PATIENCE


@pytest.fixture
def installed(world, probe):
    result = world.run("install", probe)
    assert result.returncode == 0, result.stderr
    return probe


def in_shell(world, line, *words, env=None, cwd=None, stdin=b""):
    """Runs a shell line in which "$@" is npxc with its words."""
    return subprocess.run(["sh", "-c", line, "sh", str(NPXC), *words], env={**world.env, **(env or {})},
                          cwd=str(cwd or world.project), input=stdin, capture_output=True, timeout=PATIENCE)


REQUEST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n'


def test_a_start_with_closed_standard_descriptors_works(world, installed):
    assert in_shell(world, '"$@" <&-', installed).returncode == 0
    assert in_shell(world, '"$@" >&-', installed, stdin=REQUEST).returncode == 0
    answered = in_shell(world, '"$@" 2>&-', installed, stdin=REQUEST)
    assert answered.returncode == 0
    assert json.loads(answered.stdout)["id"] == 1
    assert in_shell(world, '"$@" <&- >&- 2>&-', installed).returncode == 0
    listing = in_shell(world, '"$@" >&-', "list")
    assert listing.returncode == 4


def test_a_parent_that_ignores_or_blocks_signals(world, installed):
    def odd_parent():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})

    process = world.start(installed, preexec_fn=odd_parent)
    process.stdin.write(REQUEST)
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["id"] == 1
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    process.stderr.read()
    assert process.wait(PATIENCE) == 143
    process.stdin.close()


def test_few_open_files(world, installed):
    answered = in_shell(world, 'ulimit -n 64; "$@"', installed, stdin=REQUEST)
    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout)["id"] == 1


def test_a_program_of_the_project_is_not_run_outside(world, installed):
    """`npm run` puts the project's node_modules/.bin first on the PATH."""
    directory = world.project / "node_modules" / ".bin"
    directory.mkdir(parents=True)
    for name in ("bwrap", "node", "npm"):
        (directory / name).write_text("#!/bin/sh\ntouch %s\nexit 1\n" % (world.home / "was-run"))
        (directory / name).chmod(0o755)
    result = world.run(installed, stdin=REQUEST, env={"PATH": f"{directory}:{world.env['PATH']}"})
    assert result.returncode == 0
    assert not (world.home / "was-run").exists()


def test_a_start_without_path_works(world, installed):
    env = {name: value for name, value in world.env.items() if name != "PATH"}
    result = subprocess.run([str(NPXC), installed], env=env, cwd=str(world.project), input=REQUEST, capture_output=True,
                            timeout=PATIENCE)
    assert result.returncode == 0, result.stderr


def test_without_home_the_password_database_says_where_it_is(world):
    env = {name: value for name, value in world.env.items() if name != "HOME" and not name.startswith("XDG_")}
    result = subprocess.run([str(NPXC), "list", "--json"], env=env, cwd=str(world.project), capture_output=True, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr


def test_a_home_that_is_no_absolute_path_is_refused(world, installed):
    result = subprocess.run([str(NPXC), installed], env={**world.env, "HOME": "home"}, cwd=str(world.project), input=REQUEST,
                            capture_output=True, timeout=PATIENCE)
    assert result.returncode == 1
    assert b'HOME is "home", which is not an absolute path' in result.stderr
    assert result.stdout == b""


def test_a_working_directory_that_is_gone(world, installed):
    gone = world.home / "gone"
    gone.mkdir()
    result = in_shell(world, 'rmdir ../gone; "$@"', installed, cwd=gone)
    assert result.returncode == 1
    assert b"--cwd" in result.stderr
    gone.mkdir()
    result = in_shell(world, 'rmdir ../gone; "$@"', "--cwd", str(world.project), installed, cwd=gone, stdin=REQUEST)
    assert result.returncode == 0, result.stderr


def test_a_link_that_leads_out_is_not_mounted_by_its_name(world, installed):
    (world.home / "secret").write_text("x")
    (world.project / "link").symlink_to(world.home / "secret")
    result = world.run("--mount", "link", installed)
    assert result.returncode == 1
    assert "symbolic link" in result.stderr
    assert result.stdout == b""


def test_npxcs_own_files_are_never_writable(world, installed):
    result = world.run("--mount", f"{world.home}:/srv/home:rw", installed)
    assert result.returncode == 1
    assert "npxc's own" in result.stderr
    assert result.stdout == b""


def test_more_arguments_than_bubblewrap_takes(world, installed):
    result = world.run(installed, "args", *["x"] * 9000)
    assert result.returncode == 1
    assert "arguments for the server" in result.stderr
    fits = world.run(installed, "args", *["x"] * 8000)
    assert json.loads(fits.stdout) == ["x"] * 8000


def test_a_strict_umask_leaves_a_store_that_works(world, probe):
    own = {"XDG_CACHE_HOME": str(world.home / "cache")}
    result = in_shell(world, 'umask 077; "$@"', probe, env=own, stdin=REQUEST)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["id"] == 1


def test_a_store_that_cannot_be_made(world, probe):
    (world.home / "file").write_text("")
    result = world.run(probe, env={"XDG_CACHE_HOME": str(world.home / "file")})
    assert result.returncode == 3
    assert result.stdout == b""
    assert "npxc: install failed: " in result.stderr.splitlines()[-1]
