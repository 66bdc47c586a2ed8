"""An installation goes on when the npxc that began it is killed, and the next start waits for it; who means to end it can."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios

import pytest

from conftest import PATIENCE, RUNTIME, wait_until
from test_directories import package
from test_fetched import install, registry, store_of

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="other runtimes: tests/live")

# Tells that it has begun, and ends when it is told how: by words that the registry keeps.
SCRIPT = """
const url = %s, get = async path => (await fetch(url + path)).json().catch(() => null)
;(async () => {
  await get('-/mark/begun')
  for (;;) {
    const marks = await get('-/marks')
    if (marks.includes('go')) return
    if (marks.includes('fail')) { console.error('Error: the sky is falling'); process.exit(3) }
    await new Promise(done => setTimeout(done, 50))
  }
})()
"""


@pytest.fixture
def slow(alone):
    """A world, a registry, and in it a package whose installation ends when it is told to."""
    with registry() as npm:
        npm.ask("-/add", json.dumps({"slow": {"1.0.0": [
            {"bin": "x.js", "scripts": {"postinstall": "node wait.js"}}, {"wait.js": SCRIPT % json.dumps(npm.url)}]}}).encode())
        alone.env["npm_config_registry"] = npm.url
        yield alone, npm
        npm.ask("-/mark/go")


def begin(world, npm, *words, **more):
    process = world.start(*words, **more)
    assert wait_until(lambda: "begun" in npm.ask("-/marks")), process.communicate()
    return process


def leases(world):
    return list((world.home / ".local/state/npxc/sessions").glob("*"))


def sessions(world):
    return json.loads(world.run("ps", "--json").stdout)


def nothing_left(world):
    return not leases(world) and not list((store_of(world) / "staging").iterdir())


def ended(world):
    return wait_until(lambda: not world.leftovers() and nothing_left(world), 20)


@pytest.mark.parametrize("words", [["install", "slow"], ["slow"], ["try", "slow"]], ids=lambda words: words[0])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, "group"])
def test_whoever_kills_npxc_the_next_start_waits_for_what_it_began(slow, words, how):
    world, npm = slow
    first = begin(world, npm, *words, start_new_session=True)
    installing, = sessions(world)
    assert installing["state"] == "live" and installing["name"] == "" and installing["pid"] != first.pid
    if how == "group":
        os.killpg(first.pid, signal.SIGKILL)
    else:
        first.send_signal(how)
    _, errors = first.communicate(timeout=PATIENCE)  # and nobody else holds the client's pipes
    killed = how in ("group", signal.SIGKILL)
    assert first.returncode == (-signal.SIGKILL if killed else 128 + how)
    assert killed or b"the installation of slow goes on; the next start waits for it" in errors
    second = world.start("install", "slow")
    assert b"waiting for another npxc that installs the same" in second.stderr.readline()
    assert [one["id"] for one in sessions(world)] == [installing["id"]]
    npm.ask("-/mark/go")
    out, errors = second.communicate(timeout=PATIENCE)
    assert (second.returncode, out) == (0, b"slow 1.0.0 is installed already\n"), errors
    assert npm.ask("-/marks").count("begun") == 1
    assert ended(world)


def test_nobody_needs_to_wait_for_it(slow):
    world, npm = slow
    first = begin(world, npm, "slow")
    first.kill()
    first.communicate()
    npm.ask("-/mark/go")
    assert wait_until(lambda: b"slow" in world.run("list").stdout) and ended(world)


def test_what_a_directory_depends_on_is_waited_for_by_the_next_start_of_the_directory(slow):
    world, npm = slow
    d = package(world.home / "d", "console.error(require('slow/package.json').version)", {"dependencies": {"slow": "1.0.0"}})
    first = begin(world, npm, d)
    first.kill()
    first.communicate()
    second = world.start(d)
    assert b"waiting for another npxc that installs the same" in second.stderr.readline()
    npm.ask("-/mark/go")
    out, errors = second.communicate(timeout=PATIENCE)
    assert (second.returncode, out) == (0, b"") and errors.splitlines()[-1:] == [b"1.0.0"], errors
    assert npm.ask("-/marks").count("begun") == 1 and not (d / "node_modules").exists()
    there = [path.name for path in (store_of(world) / "packages").glob("*/*/node_modules/[!.]*")]
    assert there == ["slow"]  # and no copy of the directory
    assert ended(world)


def test_stop_ends_it_by_its_id_and_only_so(slow):
    world, npm = slow
    first = begin(world, npm, "slow")
    first.kill()
    first.communicate()
    id = sessions(world)[0]["id"]
    assert world.run("stop", "slow").returncode == 1
    assert world.run("stop", "--all").stdout == b"no session is running\n"
    assert world.run("stop", id).stdout == f"stopped {id}\n".encode()
    assert ended(world) and not list((store_of(world) / "packages").glob("slow"))


def test_who_waits_is_told_when_it_is_stopped(slow):
    world, npm = slow
    first = begin(world, npm, "install", "slow")
    world.run("stop", sessions(world)[0]["id"])
    out, errors = first.communicate(timeout=PATIENCE)
    assert (first.returncode, out) == (3, b"")
    assert b"install failed: slow: the installation was told to end; start it again" in errors
    assert ended(world)


@pytest.mark.parametrize("words", [["install", "slow"], ["slow"]], ids=lambda words: words[0])
def test_ctrl_c_on_a_terminal_ends_it(slow, words):
    world, npm = slow
    outer, inner = pty.openpty()
    first = begin(world, npm, *words, stdin=inner, start_new_session=True)
    os.close(inner)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=PATIENCE)
    assert first.returncode == 130
    assert ended(world) and not list((store_of(world) / "packages").glob("slow"))
    os.close(outer)


def test_a_failure_is_told_to_all_that_waited_and_the_next_start_tries_again(slow):
    world, npm = slow
    first = begin(world, npm, "install", "slow")
    second = world.start("install", "slow")
    assert b"waiting for another npxc" in second.stderr.readline()
    npm.ask("-/mark/fail")
    told = [process.communicate(timeout=PATIENCE)[1] + bytes([process.returncode]) for process in (first, second)]
    failed = b"npxc: install failed: slow: the install script of slow failed: Error: the sky is falling\n\x03"
    assert all(one.endswith(failed) for one in told), told
    assert npm.ask("-/marks").count("begun") == 1
    install(world, npm, "slow", status=3)
    assert npm.ask("-/marks").count("begun") == 2
    assert ended(world)


@pytest.mark.parametrize("both", [False, True])
def test_when_it_is_killed_nothing_of_it_stays_and_the_next_start_begins_anew(slow, both):
    world, npm = slow
    first = begin(world, npm, "install", "slow")
    session, = sessions(world)
    for pid in (session["pid"], session["janitor_pid"])[:1 + both]:
        os.kill(pid, signal.SIGSTOP)
    for pid in (session["pid"], session["janitor_pid"])[:1 + both]:
        os.kill(pid, signal.SIGKILL)
    _, errors = first.communicate(timeout=PATIENCE)
    assert first.returncode == 3
    assert b"slow: the process that installed it has ended unexpectedly; start it again" in errors
    if both:
        assert world.run("gc").returncode == 0
    assert ended(world)
    npm.ask("-/mark/go")
    install(world, npm, "slow")
    assert npm.ask("-/marks").count("begun") == 2


def test_another_version_waits_for_its_turn_and_is_installed_by_itself(slow):
    world, npm = slow
    first = begin(world, npm, "install", "slow")
    urls = npm.ask("-/add", json.dumps({"other": {"1.0.0": [{"bin": "x.js"}]}}).encode())
    assert urls is True and world.run("install", "other").returncode == 0  # another key does not wait at all
    second = world.start("install", "slow@1.0.0")
    assert b"waiting for another npxc" in second.stderr.readline()
    npm.ask("-/mark/go")
    assert first.communicate(timeout=PATIENCE) and first.returncode == 0
    assert second.communicate(timeout=PATIENCE) and second.returncode == 0
    assert npm.ask("-/marks").count("begun") == 1


# ---- what is shown meanwhile ----

def test_where_stderr_is_no_terminal_each_phase_is_one_line(slow):
    world, npm = slow
    npm.ask("-/mark/go")
    assert install(world, npm, "slow").stderr == (
        "npxc: installing slow (once; later starts use what is stored)\nnpxc: installing slow: install scripts\n")
    assert install(world, npm, "plain").stderr == "npxc: installing plain (once; later starts use what is stored)\n"


class Terminal:
    def __init__(self, columns):
        self.outer, self.inner = pty.openpty()
        self.shown = b""
        self.resize(columns)

    def resize(self, columns):
        fcntl.ioctl(self.inner, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))

    def has(self, condition):
        while select.select([self.outer], [], [], 0)[0]:
            self.shown += os.read(self.outer, 4096)
        return condition(self.shown)

    def drawings(self):
        """What stood there, one after another, without what took the one before away."""
        return [part.decode() for part in re.split(rb"\r(?:\x1b\[\d+A\x1b\[J|\x1b\[K)", self.shown) if part]


@pytest.mark.parametrize("joins", [False, True])
def test_on_a_terminal_one_line_is_drawn_over_and_fits_when_the_terminal_becomes_narrower(slow, joins):
    world, npm = slow
    first = begin(world, npm, "slow") if joins else None
    terminal = Terminal(80)
    process = begin(world, npm, "install", "slow", stderr=terminal.inner, start_new_session=True)
    wide = re.compile(rb"npxc: installing slow: install scripts, \d+ s")
    assert wait_until(lambda: terminal.has(wide.search)), terminal.shown
    terminal.resize(20)
    assert wait_until(lambda: terminal.has(lambda shown: re.search(rb"\r\x1b\[2A\x1b\[Jnpxc: installing sl$", shown))), terminal.shown
    terminal.resize(60)
    assert wait_until(lambda: terminal.has(lambda shown: re.search(rb"\r\x1b\[Knpxc: installing slow: install scripts, \d+ s$", shown)))
    npm.ask("-/mark/go")
    assert process.wait(PATIENCE) == 0
    assert terminal.has(lambda shown: shown.endswith(b"\r\x1b[K")), terminal.shown
    drawn = [one for one in terminal.drawings() if one.startswith("npxc: installing")]
    assert all(one != before for one, before in zip(drawn[1:], drawn)) and max(map(len, drawn)) < 80
    if first is not None:
        assert first.communicate(timeout=PATIENCE) and first.returncode == 0
