"""What stands between a sandbox's process 1 and the server: the first program, and the shell of an image."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
FIRST = TOP / "build/guest/first"
BWRAP = shutil.which("bwrap")
PYTHON = "/usr/bin/python3"

pytestmark = pytest.mark.skipif(sys.platform != "linux" or not BWRAP, reason="process 1 is played in a namespace")

# A container's init: starts one process, passes on what it is sent, ends with 128+n for a signal as tini and catatonit do.
INIT = """
import os, signal, sys
assert os.getpid() == 1
child = os.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: os.kill(child, number))
status = os.waitpid(child, 0)[1]
os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
"""

WATCHES = """
import os, signal, sys
got = []
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), lambda number, frame: got.append(number))
print(os.getpid(), os.getppid(), flush=True)
for line in sys.stdin:
    if line.startswith("parent "):
        os.kill(os.getppid(), getattr(signal, line.split()[1]))
    if line.startswith("init "):
        os.kill(1, getattr(signal, line.split()[1]))
        while not got:
            signal.pause()
    print([signal.Signals(n).name for n in got], flush=True)
"""


def shell_parent():
    """The script, as the source has it."""
    text = (TOP / "src/runtime/container.h").read_text().partition("#define CONTAINER_SHELL_PARENT")[2].partition("#endif")[0]
    text = text.replace("FIRST_PREFIX FIRST_CANNOT_FIND", '"npxc-first: cannot find "')
    return "".join(json.loads('"%s"' % part) for part in re.findall(r'"((?:[^"\\]|\\.)*)"', text))


SHELLS = [shell for shell in (["/bin/sh"], ["bash", "--posix"], ["busybox", "sh"]) if shutil.which(shell[0])]
PARENTS = {"first": [str(FIRST), "--"], **{" ".join(shell): [*shell, "-c", shell_parent(), "npxc-first"] for shell in SHELLS}}


def in_a_namespace(parent, *command):
    argv = [BWRAP, "--unshare-user", "--unshare-pid", "--as-pid-1", "--die-with-parent", "--dev-bind", "/", "/", "--proc", "/proc",
            "--", PYTHON, "-c", INIT, *PARENTS[parent], *command]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
                            env={"PATH": "/usr/bin:/bin"})


def ran(parent, *command, given=""):
    process = in_a_namespace(parent, *command)
    out, err = process.communicate(given, timeout=30)
    return process.returncode, out, err


@pytest.fixture(params=PARENTS)
def parent(request):
    if request.param == "first" and FIRST.stat().st_size == 0:
        pytest.skip("no first program on this processor")
    return request.param


def test_the_command_is_neither_process_1_nor_its_child(parent):
    status, out, _ = ran(parent, PYTHON, "-c", WATCHES)
    pid, ppid = map(int, out.split())
    assert status == 0 and pid > 1 and ppid > 1


@pytest.mark.parametrize("script, status", [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137),
                                            ("kill -TERM $$", 143), ("kill -SEGV $$", 139)])
def test_it_ends_as_the_command_does(parent, script, status):
    got, out, err = ran(parent, "sh", "-c", script)
    assert (got, out, err) == (status, "", "")


def test_the_three_descriptors_and_the_words_are_the_commands_own(parent):
    got, out, err = ran(parent, "sh", "-c", 'cat; printf "[%s]" "$@" >&2; ls /proc/self/fd | wc -l', "zero", "a b", "", "-c", "$x",
                        given="all\nof it\n")
    assert (got, out, err) == (0, "all\nof it\n4\n", "[a b][][-c][$x]")


def test_nobody_else_holds_what_the_command_closes(parent):
    process = subprocess.Popen([*PARENTS[parent], "sh", "-c", "read line; exec <&- >&- 2>&-; exec sleep 60"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.stdout.read() == b"" and process.stderr.read() == b"" and process.poll() is None
        with pytest.raises(BrokenPipeError):
            process.stdin.write(b"x")
            process.stdin.flush()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_what_process_1_passes_on_arrives_once(parent, name):
    process = in_a_namespace(parent, PYTHON, "-c", WATCHES, name)
    process.stdout.readline()
    process.stdin.write("init %s\n" % name)
    assert json.loads(process.stdout.readline().replace("'", '"')) == [name]
    process.stdin.write("again\n")
    assert json.loads(process.stdout.readline().replace("'", '"')) == [name]
    process.stdin.close()
    assert process.wait(timeout=30) == 0


def test_a_command_that_dies_of_it_says_so(parent):
    process = in_a_namespace(parent, "sh", "-c", "kill -TERM 1; read line")
    assert process.wait(timeout=30) == 143
    process.communicate()


def test_signals_of_anybody_else_do_not_end_the_first_program():
    if FIRST.stat().st_size == 0:
        pytest.skip("no first program on this processor")
    process = in_a_namespace("first", PYTHON, "-c", WATCHES, "SIGTERM", "SIGINT", "SIGUSR1")
    process.stdout.readline()
    for name in ("SIGTERM", "SIGINT", "SIGUSR1"):
        process.stdin.write("parent %s\n" % name)
        assert process.stdout.readline() == "[]\n"
    process.stdin.close()
    assert process.wait(timeout=30) == 0


def test_a_status_survives_an_ignored_sigchld():
    if FIRST.stat().st_size == 0:
        pytest.skip("no first program on this processor")
    assert subprocess.run(["sh", "-c", "trap '' CHLD; exec \"$@\"", "sh", str(FIRST), "--", "sh", "-c", "exit 9"],
                          timeout=30).returncode == 9


def test_a_command_that_is_not_there_is_named(parent):
    status, out, err = ran(parent, "no-such-command")
    assert (status, out, err) == (213, "", "npxc-first: cannot find no-such-command\n")
