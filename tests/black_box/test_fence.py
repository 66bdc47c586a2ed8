"""What of the machine a server reaches without a network: sockets, FIFOs, signals, and what the kernel counts for a user.

The guest runs the system's own Python, which the tests run too; each act is tried outside first, where nothing stops it.
"""

import ctypes
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import pytest

from conftest import RUNTIME, processes_with, wait_until

pytestmark = pytest.mark.skipif(RUNTIME is not None or not sys.platform.startswith("linux"), reason="bubblewrap's fence")

PYTHON = "/usr/bin/python3"


def landlock():
    """The ABI of this kernel's Landlock; 0: none. landlock_create_ruleset has number 444 everywhere."""
    return max(0, ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1))


def answer(text):
    """In the guest: runs it and says what it says."""
    return f"""
import os, socket, json
def attempt(action):
    try: return action() or "done"
    except OSError as error: return __import__("errno").errorcode[error.errno]
print(json.dumps({text}))
"""


def ask(client, text):
    result = client.call("spawn", command=PYTHON, args=["-c", answer(text)])["value"]
    assert result["status"] == 0, result
    return json.loads(result["stdout"])


def here(text):
    return json.loads(subprocess.run([PYTHON, "-c", answer(text)], capture_output=True, check=True).stdout)


REACH = "attempt(lambda: (s := socket.socket(socket.AF_UNIX), s.settimeout(5), s.connect({0!r}), s.recv(99).decode())[3])"


class Service:
    """Says hello to whoever connects."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(address)
        self.socket.listen()
        if not address.startswith("\0"):
            os.chmod(address, 0o666)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.sendall(b"hello from outside")
            connection.close()


@pytest.fixture
def shared():
    """A directory that no writable place of the sandbox lies above."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="npxc-shared-", dir="/var/tmp"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize("network", ["none", "open"])
def test_an_abstract_socket_of_the_host_is_not_reached_and_the_guests_own_is(world, probe, inside, network):
    name = f"\0{world.marker}"
    service = Service(name)
    assert here(REACH.format(name)) == "hello from outside"
    client = inside("--network", network)
    reached = ask(client, REACH.format(name))
    if network == "open" and landlock() < 6:
        plan = json.loads(world.run("--network", "open", "inspect", "--json", probe).stdout)
        assert any(line.startswith("abstract UNIX sockets") for line in plan["remains"])
    else:
        assert reached in ("EPERM", "ECONNREFUSED")
    own = f"\0{world.marker}-own"
    assert ask(client, f"(s := socket.socket(socket.AF_UNIX), s.bind({own!r}), s.listen(), "
                       f"socket.socket(socket.AF_UNIX).connect({own!r}), 'reached')[4]") == "reached"
    service.socket.close()


def test_what_lies_in_a_mounted_tree_at_the_start_is_hidden(inside, shared):
    service = Service(str(shared / "sock"))
    os.mkfifo(shared / "fifo")
    (shared / "fifo").chmod(0o666)
    assert here(REACH.format(str(shared / "sock"))) == "hello from outside"
    client = inside("--mount", str(shared))
    for name in ("sock", "fifo"):
        assert client.call("read", path=str(shared / name)) == {"ok": True, "value": ""}
        assert not client.call("write", path=str(shared / name), text="x")["ok"]
    assert ask(client, REACH.format(str(shared / "sock"))) == "ECONNREFUSED"
    service.socket.close()


# Not blocking: whoever opens a FIFO waits for the other side.
FIFO = "[attempt(lambda: os.write(os.open(path, how | os.O_NONBLOCK), b'x') and 'written') " \
       "for how in (os.O_WRONLY, os.O_RDWR) for path in ({0!r}, '/proc/self/fd/%d' % os.open({0!r}, os.O_PATH))]"


@pytest.mark.skipif(landlock() < 2, reason="needs Landlock ABI 2 (Linux 5.19)")
def test_a_fifo_that_appears_later_is_not_written_through_a_read_only_mount(inside, shared):
    fifo = str(shared / "fifo")
    (shared / "file").write_text("1")
    (shared / "file").chmod(0o666)
    read_only, writable = inside("--mount", str(shared)), inside("--mount", f"{shared}:rw")
    os.mkfifo(fifo)
    os.chmod(fifo, 0o666)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    # the control: through a writable mount the server may
    assert here(FIFO.format(fifo)) == ask(writable, FIFO.format(fifo)) == ["written"] * 4
    assert os.read(reader, 99) == b"x" * 8
    assert ask(read_only, FIFO.format(fifo)) == ["EACCES"] * 4
    with pytest.raises(BlockingIOError):
        # open for writing here too, or the end of the stream would look the same as nothing written
        keep = os.open(fifo, os.O_WRONLY)
        try:
            os.read(reader, 99)
        finally:
            os.close(keep)
    # a regular file fails as ever
    assert read_only.call("write", path=str(shared / "file"), text="2")["code"] == "EROFS"
    os.close(reader)


def test_a_sealed_sandbox_still_writes_and_renames_where_it_may(inside, shared):
    client = inside("--mount", f"{shared}:/srv/shared:rw")
    home = client.call("whoami")["value"]["home"]
    assert ask(client, f"""[attempt(lambda: (os.makedirs(top + '/a/b'), os.mkdir(top + '/c'),
        open(top + '/a/b/f', 'w').write('x'), os.rename(top + '/a/b/f', top + '/c/g'), os.link(top + '/c/g', top + '/a/h'),
        open(top + '/c/g', 'r+').truncate(0), os.mkfifo(top + '/p'), os.close(os.open(top + '/p', os.O_RDWR)))[7])
        for top in ('/tmp', '/run', '/dev/shm', {home!r}, '/srv/shared')]""") == ["done"] * 5
    assert ask(client, """[attempt(lambda: open(path, 'w').write(''))
        for path in ('/dev/null', '/dev/zero', '/dev/full', '/proc/self/comm', '/proc/self/fd/%d' % os.pipe()[1],
                     '/dev/fd/%d' % os.memfd_create('x'))]""") == ["done"] * 6
    assert (shared / "c" / "g").read_text() == ""


def test_a_socket_that_appears_later_is_not_reached_or_said_to_be(world, probe, inside, shared):
    client = inside("--mount", str(shared))
    services = [Service(str(shared / "late"))]
    assert here(REACH.format(str(shared / "late"))) == "hello from outside"
    reached = ask(client, REACH.format(str(shared / "late")))
    remains = json.loads(world.run("--mount", shared, "inspect", "--json", probe).stdout)["remains"]
    said = any(line.startswith("a UNIX socket that a service makes beneath ") and str(shared) in line for line in remains)
    if landlock() >= 9:
        assert (reached, said) == ("EACCES", False)
    else:
        assert said
    for service in services:
        service.socket.close()


# All that there are, taken and held by a process that then ends.
INOTIFY = "(lambda c: sum(1 for _ in iter(lambda: c.inotify_init1(0) >= 0, False)))(__import__('ctypes').CDLL(None))"


def test_a_server_gets_a_share_of_what_is_counted_for_the_user(world, probe, inside):
    client = inside()
    count = ask(client, INOTIFY)
    whole = int(pathlib.Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    kernel = json.loads(world.run("inspect", "--json", probe).stdout)["kernel"]
    if kernel["inotify_bounded"]:
        assert 0 < count <= whole // 4
    # the control: outside there is more than that
    assert here(INOTIFY) > whole // 4
    # pipes grow no further than they are, as for a user who has used up his pages
    grow = "(lambda ends: attempt(lambda: __import__('fcntl').fcntl(ends[1], 1031, 1 << 20) and None))(os.pipe())"
    assert here(grow) == "done"
    assert ask(client, grow) == "EPERM"
    hard = ask(client, "__import__('resource').getrlimit(7)[1]")
    assert 0 < hard <= 65536


def test_the_egress_process_counts_where_the_guest_counts(world, probe):
    plan = json.loads(world.run("inspect", "--json", probe).stdout)
    if not plan["limits"]["memory_enforced"]:
        pytest.skip("no cgroup may be made here: " + plan["limits"]["text"])
    client = world.client("--network", "allowlist", "--allow", "api.example.test:443", probe)
    client.handshake()
    egress, = [pid for pid in processes_with(world.marker)
               if pathlib.Path(f"/proc/{pid}/comm").read_text() == "npxc-egress\n"]
    guest, = [pid for pid in processes_with(world.marker) if pathlib.Path(f"/proc/{pid}/root").exists()
              and b"\0/opt/npxc/_npx/package" in b"\0" + pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
              and not pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("bwrap")][-1:]
    lines = [{line for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines() if "/npxc-" in line}
             for pid in (egress, guest)]
    assert lines[0] and lines[0] == lines[1]
    client.close()
    assert wait_until(lambda: not world.leftovers())
