"""`npxc <spec>` as a client starts it."""

import json
import os
import select
import signal
import socket
import time

import pytest

from conftest import PATIENCE, wait_until


def test_handshake_tools_and_a_normal_end(world, probe):
    client = world.client(probe)
    assert client.handshake()["serverInfo"]["name"] == "npxc-probe"
    status, out, err = client.close()
    assert (status, out) == (0, b"")
    assert "probe npxc-probe ready" in err


def test_every_byte_passes_both_ways(world, probe):
    payload = (
        b'{"big":9007199254740993,"a":1,"a":2,"esc":"\\u0000\\/\\ud83d\\ude00","s" : [ 1,2 ]}\r\n'
        + "{\"text\":\"Grüße 😀\"}\n".encode()
        + bytes(range(256)) + b"\n"
        + os.urandom(3 << 20)
    )
    # Most of this is no message, and would go to stderr.
    world.configure_probe({"stdout_guard": False})
    result = world.run(probe, "echo", stdin=payload)
    assert result.returncode == 0
    assert result.stdout == payload


def test_a_line_of_64_mib_passes_both_ways(world, probe):
    payload = b'{"x":"' + b"y" * (64 << 20) + b'"}\n'
    result = world.run(probe, "echo", stdin=payload)
    assert result.returncode == 0
    assert result.stdout == payload


def test_end_of_input_loses_no_reply(world, probe):
    requests = b"".join(
        json.dumps({"jsonrpc": "2.0", "id": n, "method": "tools/list"}).encode() + b"\n" for n in range(200))
    result = world.run(probe, stdin=requests)
    assert result.returncode == 0
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == list(range(200))


def test_a_reply_that_comes_after_end_of_input_is_delivered(world, probe):
    result = world.run(probe, "slow-eof", "1500")
    assert (result.returncode, result.stdout) == (0, b'{"late":true}\n')


def test_arguments_arrive_as_npx_would_pass_them(world, probe):
    words = ["a b", "--", "-y", "--json", "", "$HOME", "*", "é", "--flag=x", "-p"]
    result = world.run(probe, "args", *words)
    assert json.loads(result.stdout) == words


def test_bytes_pass_through_sockets_as_stdio(world, probe):
    """Node's child_process gives a child UNIX sockets, not pipes."""
    # No message, and no line ends: what is echoed must not be kept back.
    world.configure_probe({"stdout_guard": False})
    ours, theirs = socket.socketpair()
    process = world.start(probe, "echo", stdin=theirs, stdout=theirs)
    theirs.close()
    payload = os.urandom(1 << 19).hex().encode()
    got = b""
    ours.setblocking(False)
    sent = 0
    end = time.monotonic() + PATIENCE
    while len(got) < len(payload) and time.monotonic() < end:
        try:
            if sent < len(payload):
                sent += ours.send(payload[sent:])
        except BlockingIOError:
            pass
        try:
            got += ours.recv(1 << 16)
        except BlockingIOError:
            time.sleep(0.001)
    assert got == payload
    ours.shutdown(socket.SHUT_WR)
    assert process.wait(PATIENCE) == 0
    process.stdin = None
    ours.close()
    process.stderr.close()


# ---- exit status ----

@pytest.mark.parametrize("status", [0, 1, 2, 3, 42, 127, 200, 255])
def test_the_servers_own_status(world, probe, status):
    process = world.start(probe, "exit", str(status))
    assert process.wait(PATIENCE) == status
    err = process.stderr.read().decode()
    assert f"{probe} ended by itself" in err
    assert process.stdout.read() == b""
    process.stdin.close()


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGABRT"])
def test_a_server_that_a_signal_ends(world, probe, name):
    process = world.start(probe, "signal", name)
    assert process.wait(PATIENCE) == 128 + getattr(signal, name)
    assert f"signal {int(getattr(signal, name))}" in process.stderr.read().decode()
    process.stdin.close()
    process.stdout.close()


def test_zero_after_the_client_closed_whatever_the_server_says(world, probe):
    client = world.client("-e", "PROBE_EXIT_STATUS=1", probe)
    client.handshake()
    status, _, _ = client.close()
    assert status == 0


def rest_of(pipe):
    """What is still in it; its end has to come."""
    rest = b""
    while select.select([pipe], [], [], PATIENCE)[0]:
        piece = pipe.read1()
        if not piece:
            return rest
        rest += piece
    raise AssertionError("somebody holds the pipe, in which was %r" % rest)


@pytest.mark.parametrize("number, expected", [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("mode", ["serve", "stubborn", "fork"])
def test_signals_end_the_session(world, probe, number, expected, mode):
    process = world.start(probe, mode)
    if mode == "stubborn":
        assert process.stdout.readline()
    else:
        process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n')
        process.stdin.flush()
        assert process.stdout.readline()
    process.send_signal(number)
    out, _ = rest_of(process.stdout), rest_of(process.stderr)  # closed pipes: nobody holds them any more
    assert process.wait(PATIENCE) == expected
    assert out == b""
    process.stdin.close()
    assert wait_until(lambda: not world.leftovers())


@pytest.mark.parametrize("whole_group", [False, True])
@pytest.mark.parametrize("mode", ["serve", "stubborn", "fork"])
def test_sigkill_of_the_launcher_leaves_nothing(world, probe, mode, whole_group):
    process = world.start(probe, mode, start_new_session=True)
    if mode == "stubborn":
        assert process.stdout.readline()
    else:
        process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n')
        process.stdin.flush()
        assert process.stdout.readline()
    assert len(world.leftovers()) >= 2
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.stdout.read()
    process.stderr.read()
    process.wait(PATIENCE)
    process.stdin.close()
    assert wait_until(lambda: not world.leftovers(), 20)


def test_a_client_that_closes_stdout_ends_the_session(world, probe):
    process = world.start(probe, "stubborn")
    assert process.stdout.readline()
    process.stdout.close()
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    process.stderr.close()


def test_nothing_of_a_variable_is_in_an_argument_list(world, probe):
    secret = "s3cret-" + world.marker
    client = world.client("-e", "API_KEY", probe, env={"API_KEY": secret})
    client.handshake()
    assert client.call("env")["value"]["API_KEY"] == secret
    holders = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                if secret.encode() in file.read():
                    holders.append(entry)
        except OSError:
            continue
    assert holders == []
    client.close()


def test_two_sessions_of_one_package_at_once(world, probe):
    clients = [world.client(probe) for _ in range(4)]
    for client in clients:
        client.handshake()
    for client in clients:
        assert client.close()[0] == 0
