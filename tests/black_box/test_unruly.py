"""Servers that behave badly: none may harm the host, hold up the end of its session, or pass for a success."""

import array
import fcntl
import json
import os
import signal
import termios
import time

import pytest

from conftest import HERE, PATIENCE, processes_with, wait_until

UNRULY = HERE / "servers" / "unruly"
ENDS = 15  # seconds: LIMIT_DRAIN_QUIET_MS, and what a loaded machine adds
FREE = ("ENOSPC", "EROFS", "EACCES", "ENOENT", "EDQUOT")


@pytest.fixture(autouse=True)
def installed(world):
    result = world.run("install", str(UNRULY))
    assert result.returncode == 0, result.stderr


def start(world, *words, flags=(), **more):
    """Up: its first line has come."""
    process = world.start(*flags, str(UNRULY), *words, **more)
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return process, json.loads(line)["params"]


def ends(process, status, seconds=ENDS, by_itself=False):
    """With this status, and nobody holds its pipes; what it still said: (stdout, stderr). by_itself: while the client
    listens."""
    began = time.monotonic()
    if not by_itself:
        process.stdin.close()
    out, err = process.stdout.read(), process.stderr.read()
    assert process.wait(PATIENCE) == status, err
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    assert time.monotonic() - began < seconds
    return out, err.decode(errors="replace")


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_one_that_hears_nothing_is_ended_by_a_signal(world, number, status):
    process, _ = start(world, "deaf")
    process.send_signal(number)
    assert ends(process, status)[0] == b""


def test_one_that_hears_nothing_is_ended_after_the_clients_end_of_input(world):
    process, _ = start(world, "deaf")
    out, err = ends(process, 0, seconds=3 * ENDS)
    assert out == b"" and "did not end after the client closed its side" in err


def test_what_holds_stdout_ends_with_the_client(world):
    process, _ = start(world, "daemons")
    assert ends(process, 0)[0] == b""
    assert wait_until(lambda: not world.leftovers())


def test_what_holds_stdout_ends_with_the_server(world):
    process = world.start(str(UNRULY), "daemons", "7")
    _, err = ends(process, 7, by_itself=True)
    assert f"{UNRULY} ended by itself with status 7" in err
    assert wait_until(lambda: not world.leftovers())


def test_forks_stop_at_the_limit(world):
    """Bounded by itself as well: where no limit is enforced it stops at its own number."""
    process, seen = start(world, "forks", "700")
    assert 0 < seen["count"] <= 700
    assert len(processes_with(world.marker)) < 800
    ends(process, 0)
    assert wait_until(lambda: not world.leftovers())


def test_full_directories_harm_nobody(world):
    before = os.statvfs(world.home)
    process, seen = start(world, "fills", flags=("--memory", "2g"))
    assert {name: one["code"] for name, one in seen.items() if one["code"] not in FREE} == {}
    assert sum(one["bytes"] for one in seen.values()) < 2 << 30
    assert before.f_bavail - os.statvfs(world.home).f_bavail < (1 << 30) // before.f_frsize
    ends(process, 0)
    assert wait_until(lambda: not world.leftovers())


@pytest.mark.parametrize("reads", [True, False])
def test_a_signal_ends_the_session_while_the_server_shouts(world, reads):
    process, _ = start(world, "shouts")
    if reads:
        got = 0
        while got < 16 << 20:
            got += len(os.read(process.stderr.fileno(), 1 << 16))
    else:
        assert wait_until(lambda: is_full(process.stderr))
    process.send_signal(signal.SIGTERM)
    assert process.wait(ENDS) == 143
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()


def is_full(pipe):
    """As full as pages that are not all filled to the last byte let it be."""
    held = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, held)
    return held[0] > fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) * 3 // 4


def test_one_that_never_reads(world):
    process, _ = start(world, "never-reads")
    os.set_blocking(process.stdin.fileno(), False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while sent < 64 << 20:
            sent += os.write(process.stdin.fileno(), b"x" * (1 << 16))
    assert sent < 16 << 20  # what waits for it has a ceiling
    process.send_signal(signal.SIGTERM)
    os.set_blocking(process.stdin.fileno(), True)
    assert process.wait(PATIENCE) == 143
    process.stdout.close()
    process.stderr.close()
    process.stdin.close()


def test_a_reply_that_is_half_written(world):
    process = world.start(str(UNRULY), "half", "5")
    out, err = ends(process, 5, by_itself=True)
    assert f"{UNRULY} ended by itself with status 5" in err
    assert out.splitlines()[1:] in ([], [b'{"jsonrpc":"2.0","id":1,"res'])


def test_memory_ends_at_the_limit(world):
    words = ("--memory", "200m", str(UNRULY))
    if b"memory: not enforced" in world.run("inspect", *words).stdout:
        pytest.skip("the launcher itself says that the limit is not enforced: no cgroup may be made here")
    process = world.start(*words, "eats", "600")
    _, err = ends(process, 137, seconds=PATIENCE, by_itself=True)
    assert f"{UNRULY} ended by itself with status 137 (signal 9" in err
