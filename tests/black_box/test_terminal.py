"""What a guest writes, where stderr is somebody's terminal: nothing of it acts, and nothing of it passes for npxc's."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time

import pytest

from conftest import NPXC, PATIENCE
from test_sessions import HEADER

SAYS = r"""#!/usr/bin/env node
process.stderr.write('\x1b]0;owned\x07\x1b]52;c;eA==\x07npxc: forged\n  npxc: forged too\nbar\rnpxc: forged again\n')
process.stdout.write('\x1b[31mstray\x1b[2J\rnpxc: forged as well\n')
const bytes = Buffer.from('\x1b[8mcut \u202e\u009b')
let at = 0
const timer = setInterval(() => {
  if (at < bytes.length) return process.stderr.write(bytes.subarray(at, ++at))
  process.stderr.write('\n')
  clearInterval(timer)
}, 2)
process.stdin.on('data', () => process.exit(3)).on('end', () => process.exit(3))
"""
# what acts on a terminal, in any of the bytes above
ACTS = re.compile(rb"\x1b[\]P_^X]|\x1b\[(?!0;1m|0m|K)|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]")


@pytest.fixture
def package(world):
    directory = world.home / "talks"
    directory.mkdir()
    (directory / "package.json").write_text(json.dumps({"name": "talks", "version": "1.0.0", "bin": "says.js"}))
    (directory / "says.js").write_text(SAYS)
    (directory / "says.js").chmod(0o755)
    assert world.run("install", directory).returncode == 0  # its progress is no part of this
    return directory


def on_terminal(world, argv, done, stdout_too=False, columns=0, sends=b""):
    """All that a terminal gets as stderr (and stdout) of a program whose stdin stays open until `done` is seen."""
    outer, inner = pty.openpty()
    if columns:
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    process = subprocess.Popen(list(map(str, argv)), cwd=world.project, env={**world.env, "TERM": "xterm"}, stdin=subprocess.PIPE,
                               stdout=inner if stdout_too else subprocess.DEVNULL, stderr=inner, start_new_session=True)
    os.close(inner)
    process.stdin.write(sends)
    process.stdin.flush()
    shown, end = b"", time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if done in shown and process.stdin and not process.stdin.closed:
            process.stdin.close()
        if select.select([outer], [], [], 0.1)[0]:
            try:
                shown += os.read(outer, 65536)
            except OSError:  # nobody has the other end any more
                break
        elif process.poll() is not None:
            break
    process.stdin.close()
    process.wait(PATIENCE)
    os.close(outer)
    return shown


def test_a_terminal_gets_the_sequences_from_the_bare_server(world, package):
    shown = on_terminal(world, [shutil.which("node"), package / "says.js"], b"cut")
    assert ACTS.search(shown)


@pytest.mark.parametrize("command", [[], ["learn"]])
def test_what_a_guest_writes_acts_on_no_terminal_and_passes_for_nothing_of_npxcs(world, package, command):
    shown = on_terminal(world, [NPXC, *command, package], b"\\xc2\\x9b")
    assert not ACTS.search(shown), shown
    lines = shown.replace(b"\r\n", b"\n").split(b"\n")
    forged = [line for line in lines if b"forged" in line]
    assert len(forged) == 4 and all(line.startswith(b"| ") for line in forged), forged
    assert b"| \\x1b]0;owned\\x07\\x1b]52;c;eA==\\x07npxc: forged" in lines
    assert any(b"\\x1b[31mstray\\x1b[2J" in line and line.startswith(b"| ") for line in lines)
    assert b"| \\x1b[8mcut \\xe2\\x80\\xae\\xc2\\x9b" in lines


def test_npxcs_own_lines_begin_with_a_reset(world, package):
    shown = on_terminal(world, [NPXC, "--log-level", "info", package], b"\\xc2\\x9b")
    own = [line for line in shown.replace(b"\r\n", b"\n").split(b"\n") if b"npxc: info" in line]
    assert own and all(b"\x1b[0;1mnpxc: info" in line and line.endswith(b"\x1b[0m") for line in own), own


def test_what_is_told_of_paths_begins_with_a_reset_too(world, package):
    world.configure({})
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {"p": "/etc/hostname"}}}
    shown = on_terminal(world, [NPXC, package], b"never", sends=json.dumps(call).encode() + b"\n")
    told = [line for line in shown.split(b"\n") if b": the server cannot see /etc/hostname: " in line]
    assert len(told) == 1 and told[0].startswith(b"\x1b[0;1mnpxc: "), shown


def test_try_shows_a_servers_words_as_text(world, package):
    shown = on_terminal(world, [NPXC, "try", package], b"it says", stdout_too=True)
    assert b"it says" in shown and b"owned" in shown, shown
    assert not ACTS.search(shown), shown


def test_where_stderr_is_no_terminal_every_byte_passes(world, package):
    process = world.start(package)
    said = b""
    while b"cut \xe2\x80\xae\xc2\x9b\n" not in said:
        assert select.select([process.stderr], [], [], PATIENCE)[0]
        got = os.read(process.stderr.fileno(), 65536)
        assert got, said
        said += got
    process.stdin.close()
    process.stdout.read()
    process.wait(PATIENCE)
    assert b"\x1b]0;owned\x07\x1b]52;c;eA==\x07npxc: forged\n  npxc: forged too\nbar\rnpxc: forged again\n" in said
    assert b"\x1b[31mstray\x1b[2J\rnpxc: forged as well\n" in said
    assert b"\x1b[8mcut \xe2\x80\xae\xc2\x9b\n" in said


def test_what_stands_in_leases_and_logs_is_shown_as_text_everywhere(world):
    bad = "owned\x1b]0;owned\x07\u202e\u009b\x7f"
    sessions = world.home / ".local/state/npxc/sessions"
    sessions.mkdir(parents=True)
    lease = sessions / "0123abcd.lease"
    facts = dict.fromkeys(("name", "package", "version", "runtime", "policy", "link"), bad)
    lease.write_text(json.dumps(HEADER) + "\n" + json.dumps({"facts": facts}, ensure_ascii=False) + "\n")
    lease.chmod(0o600)
    audit = world.home / ".local/state/npxc/egress"
    audit.mkdir()
    record = {**dict.fromkeys(("ts", "verdict", "code", "package", "host", "why"), bad), "port": 443}
    (audit / "a.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n")
    for words in ("ps", "ps --json", "log", "log --json", "gc"):
        out = world.run(*words.split()).stdout
        assert b"owned" in out and not ACTS.search(out), (words, out)
        if words == "ps --json":
            assert json.loads(out)[0]["package"] == bad


@pytest.mark.parametrize("columns", [40, 0])
def test_progress_stays_in_one_line_of_the_terminal(world, stored, columns):
    """A drawn line that wraps would not be drawn over: each drawing would stay."""
    shown = on_terminal(world, [NPXC, "install", "--force", stored], b"never", columns=columns)
    drawn = [part.split(b"\r")[0].split(b"\n")[0] for part in shown.split(b"\r\x1b[K")[1:]]
    assert any(line.startswith(b"npxc: installing ") for line in drawn), shown
    longest = max(len(line) for line in drawn if line.startswith(b"npxc: installing "))
    assert longest == columns - 1 if columns else longest < 80
