"""npxc as a job of a shell on a terminal, under nohup, and beside container CLIs that never answer."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from conftest import NPXC, PATIENCE, wait_until


class Shell:
    """bash with job control on a terminal of its own."""

    def __init__(self, world):
        self.shown = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(world.project)
                os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {**world.env, "PS1": "prompt$ ", "TERM": "xterm"})
            finally:
                os._exit(127)

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                self.shown += os.read(self.fd, 65536)
            except OSError:
                return False
        return True

    def expect(self, pattern):
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.shown):
            assert time.monotonic() < end and self.read(0.1), self.shown
        found = re.search(pattern, self.shown)
        self.shown = self.shown[found.end():]
        return found

    def close(self):
        os.close(self.fd)  # a hang-up
        os.waitpid(self.pid, 0)


@pytest.fixture
def shell(world):
    if not shutil.which("bash"):
        pytest.skip("no bash to be a job of")
    one = Shell(world)
    one.expect(rb"prompt\$ ")
    yield one
    one.close()


def state_of(pid):
    """The letter of its state, its process group, and the group that has its terminal."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return fields[0], int(fields[2]), int(fields[5])


def program_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@pytest.fixture
def package(world):
    directory = world.home / "job"
    directory.mkdir()
    (directory / "package.json").write_text(json.dumps({"name": "job", "version": "1.0.0", "bin": "job.js"}))
    (directory / "job.js").write_text("""#!/usr/bin/env node
process.stderr.write('server is ready\\n')
process.stdin.on('data', () => process.stderr.write('got a line\\n')).on('end', () => process.exit(0))
""")
    (directory / "job.js").chmod(0o755)
    assert world.run("install", directory).returncode == 0
    return directory


def stop_in_background(world, shell, package):
    """The shell's first job, which has stopped because it read the terminal."""
    shell.type(f"{NPXC} {package} &\n")
    pid = int(shell.expect(rb"\[1\] (\d+)").group(1))
    shell.expect(rb"server is ready")
    shell.type("sleep 1000\n")  # while this is in the foreground nobody else reads the terminal
    assert wait_until(lambda: program_of(state_of(pid)[2]) == "sleep")  # not only forked: the shell's handlers are gone
    shell.type("\n")
    assert wait_until(lambda: state_of(pid)[0] == "T")
    shell.type("\x03")  # which throws the line away as well: after `fg` there is none
    shell.expect(rb"prompt\$ ")
    return pid


def bring_back(shell, pid):
    shell.type("fg\n")
    shell.expect(rb"fg\r\n")
    assert wait_until(lambda: state_of(pid)[0] != "T" and state_of(pid)[2] == pid)


def test_a_job_that_was_stopped_for_reading_ends_at_once_by_ctrl_c(world, shell, package):
    pid = stop_in_background(world, shell, package)
    bring_back(shell, pid)
    shell.type("\x03")
    shell.expect(rb"prompt\$ ")
    shell.type("echo status=$?.\n")
    shell.expect(rb"status=130\.")


def test_a_job_that_was_brought_back_relays_what_is_typed(world, shell, package):
    pid = stop_in_background(world, shell, package)
    bring_back(shell, pid)
    shell.type("{}\n")
    shell.expect(rb"got a line")
    shell.type("\x1a")
    assert wait_until(lambda: state_of(pid)[0] == "T")
    shell.expect(rb"prompt\$ ")
    bring_back(shell, pid)
    shell.type("\x04")
    shell.expect(rb"prompt\$ ")
    shell.type("echo status=$?.\n")
    shell.expect(rb"status=0\.")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_stopped_job_ends_by_a_signal_once_it_is_continued(world, shell, package, number):
    pid = stop_in_background(world, shell, package)
    os.kill(pid, number)
    os.kill(pid, signal.SIGCONT)
    assert wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists())  # the shell has looked at its end
    shell.type("wait %%%% ; echo status=$?.\n".replace("%%%%", str(pid)))
    shell.expect(rb"status=%d\." % (128 + number))


# ---- last words ----

LAST = """#!/usr/bin/env node
const line = word => JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: word } }) + '\\n'
process.stdin.on('data', () => {
  for (let i = 0; i < 200; i++) process.stdout.write(line('before ' + i + 'x'.repeat(200)))
  process.stderr.write('got a line\\n')
})
const say = signal => {
  process.stdout.write(line('after ' + signal))
  process.stderr.write('last words\\n')
  setTimeout(() => { process.stdout.write(line('the end')); process.exit(0) }, 100)
}
process.on('SIGTERM', () => say('SIGTERM'))
process.stdin.on('end', () => setTimeout(() => say('end'), 3000).unref())
setInterval(() => {}, 1000)
process.stderr.write('server is ready\\n')
"""


@pytest.fixture
def talker(world):
    directory = world.home / "talker"
    directory.mkdir()
    (directory / "package.json").write_text(json.dumps({"name": "talker", "version": "1.0.0", "bin": "talker.js"}))
    (directory / "talker.js").write_text(LAST)
    (directory / "talker.js").chmod(0o755)
    assert world.run("install", directory).returncode == 0
    return directory


def words_of(out):
    return [json.loads(line)["params"]["data"].split("x")[0] for line in out.splitlines()]


@pytest.mark.parametrize("bare", [True, False])
def test_what_a_server_says_when_it_is_told_to_end_is_delivered(world, talker, bare):
    if bare:  # the control: what its parent reads without npxc
        process = subprocess.Popen(["node", talker / "talker.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
    else:
        process = world.start(talker)
    read_until(process.stderr, b"server is ready")
    process.stdin.write(b"{}\n")
    process.stdin.flush()
    read_until(process.stderr, b"got a line")
    process.send_signal(signal.SIGTERM)  # with all replies still in the pipes
    out, errors = process.communicate(timeout=PATIENCE)
    assert words_of(out) == [f"before {i}" for i in range(200)] + ["after SIGTERM", "the end"]
    assert b"last words" in errors
    assert process.returncode == (0 if bare else 143)


def test_a_client_that_reads_nothing_holds_up_no_end(world, talker):
    process = world.start(talker)
    read_until(process.stderr, b"server is ready")
    for _ in range(3):  # more than the pipe holds that nobody reads
        process.stdin.write(b"{}\n")
        process.stdin.flush()
        read_until(process.stderr, b"got a line")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 143
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()


# ---- what the parent ignores ----

@pytest.mark.parametrize("number, stays", [(signal.SIGHUP, True), (signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_signal_that_the_parent_ignores_stays_ignored(world, package, number, stays):
    process = world.start(package, preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    read_until(process.stderr, b"server is ready")
    process.send_signal(number)
    if stays:
        process.stdin.write(b"{}\n")
        process.stdin.flush()
        read_until(process.stderr, b"got a line")
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
    else:
        assert process.wait(PATIENCE) == 128 + number


def read_until(stream, text):
    seen = b""
    while text not in seen:
        assert select.select([stream], [], [], PATIENCE)[0], seen
        got = os.read(stream.fileno(), 65536)
        assert got, seen
        seen += got
