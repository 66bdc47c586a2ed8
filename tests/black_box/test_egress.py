"""An allowlist on bubblewrap, as a user meets it: what is reached, what is said about the rest, what is left behind.

Attacks on it are in conformance/attacks; here everything is on this machine's loopback (host.npxc.internal).
"""

import json
import os
import pathlib
import signal
import tempfile

import pytest

from conftest import PROBE, RUNTIME, Echo, processes_with, wait_until

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="other runtimes: tests/live")

LINKS = ["netns", "socket"]


def configure(world, link, *allow):
    return world.configure_probe({"network": {"mode": "allowlist", "link": link, "allow": list(allow)}})


def records(world):
    files = list((world.home / ".local/state/npxc/egress").glob("npxc-probe-*.jsonl"))
    assert len({file.name.split(".")[0] for file in files}) == 1 and {file.stat().st_mode & 0o777 for file in files} == {0o600}
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def egress_processes(world):
    return [pid for pid in processes_with(world.marker)
            if pathlib.Path(f"/proc/{pid}/comm").read_text() == "npxc-egress\n"]


@pytest.mark.parametrize("link", LINKS)
def test_what_a_rule_names_is_reached(world, probe, link):
    with Echo() as echo:
        configure(world, link, f"host.npxc.internal:{echo.port}")
        client = world.client(probe)
        client.handshake()
        assert client.call("talk", host="host.npxc.internal", port=echo.port, text="over here") == {
            "ok": True, "value": "over here"}
        status, _, err = client.close()
        assert (status, "refused" in err) == (0, False)
    allowed, = records(world)
    assert (allowed["verdict"], allowed["host"], allowed["port"], allowed["ip"], allowed["up"], allowed["down"]) == (
        "allow", "host.npxc.internal", echo.port, "127.0.0.1", 9, 9)


@pytest.mark.parametrize("link, name_code, address_code", [("netns", "ENOTFOUND", "ECONNRESET"),
                                                           ("socket", "EACCES", "EACCES")])
def test_the_rest_is_refused_with_the_rule_to_add(world, probe, link, name_code, address_code):
    with Echo() as echo:
        file = configure(world, link, f"host.npxc.internal:{echo.port}")
        client = world.client(probe)
        client.handshake()
        assert client.call("talk", host="unlisted.test", port=443, text="x")["code"] == name_code
        assert client.call("talk", host="203.0.113.7", port=echo.port, text="x")["code"] == address_code
        status, _, err = client.close()
    assert status == 0
    said = [line for line in err.splitlines() if "refused" in line]
    assert len(said) == 2
    assert 'add "unlisted.test:443"' in said[0] and str(file) in said[0]
    assert f'add "203.0.113.7:{echo.port}"' in said[1]
    assert [(r["verdict"], r["code"]) for r in records(world) if r.get("flow") or r["kind"] == "dns"][:2] == [
        ("deny", "EACCES")] * 2


@pytest.mark.parametrize("also", [[], ["other.test"]], ids=["alone", "beside a rule for every port"])
@pytest.mark.parametrize("link", LINKS)
def test_a_port_of_this_machine_is_refused_while_nobody_listens(world, probe, link, also):
    with Echo() as echo:
        port = echo.port
    configure(world, link, f"host.npxc.internal:{port}", *also)
    client = world.client(probe)
    client.handshake()
    talk = {"host": "host.npxc.internal", "port": port, "text": "over here"}
    for _ in range(3):
        assert client.call("talk", **talk)["code"] == "ECONNREFUSED"
        with Echo(port) as echo:
            assert client.call("talk", **talk) == {"ok": True, "value": "over here"}
            assert echo.connections == 1, "nobody else looks at who listens by connecting"
    status, _, err = client.close()
    assert (status, "refused" in err) == (0, False), err


def test_a_refusal_that_no_rule_cures_names_none(world, probe):
    """What is said inside of an allowed flow has to agree with it: port 443 is TLS."""
    configure(world, "socket", "api.example.test:443")
    client = world.client(probe)
    client.handshake()
    result = client.call("spawn", command="node", args=["-e", """
        const socket = require('net').connect('/run/npxc/egress.sock', () =>
          socket.write('CONNECT api.example.test:443 HTTP/1.1\\r\\n\\r\\nGET / HTTP/1.1\\r\\n\\r\\n'));
        socket.pipe(process.stdout);"""])
    assert result["value"]["stdout"].startswith("HTTP/1.1 400 npxc\r\nNpxc-Error: EPROTO\r\n"), result
    _, _, err = client.close()
    assert f"npxc: {PROBE}: connection refused: api.example.test:443: not TLS\n" in err
    assert "to allow it" not in err


@pytest.mark.parametrize("link", LINKS)
def test_the_guests_own_loopback_stays_its_own(world, probe, link):
    with Echo() as echo, Echo() as other:
        configure(world, link, f"host.npxc.internal:{echo.port}")
        client = world.client(probe)
        client.handshake()
        for port in (echo.port, other.port):
            assert client.call("talk", host="127.0.0.1", port=port, text="x")["code"] in ("ECONNREFUSED", "ECONNRESET")
        client.close()


@pytest.mark.parametrize("link", LINKS)
def test_an_empty_list_denies_everything(world, probe, link):
    with Echo() as echo:
        configure(world, link)
        client = world.client(probe)
        client.handshake()
        assert not client.call("talk", host="host.npxc.internal", port=echo.port, text="x")["ok"]
        assert client.close()[0] == 0


def test_a_rule_without_a_port_leads_every_port_to_npxc(world, probe):
    with Echo() as echo:
        configure(world, "netns", "203.0.113.0/24", f"host.npxc.internal:{echo.port}")
        client = world.client(probe)
        client.handshake()
        assert client.call("talk", host="host.npxc.internal", port=echo.port, text="here")["value"] == "here"
        assert client.call("talk", host="198.51.100.1", port=7, text="x")["code"] == "ECONNRESET"
        # The guest's own loopback is none of npxc's business then.
        assert client.call("talk", host="127.0.0.1", port=echo.port, text="x")["code"] == "ECONNREFUSED"
        _, _, err = client.close()
    assert 'add "198.51.100.1:7"' in err


@pytest.mark.parametrize("link", LINKS)
def test_inspect_names_the_link_and_starts_nothing(world, probe, link):
    assert world.run("install", probe).returncode == 0
    configure(world, link, "api.example.test:443")
    result = world.run("inspect", "--json", probe)
    network = json.loads(result.stdout)["network"]
    assert (network["link"], network["allow"]) == (link, ["api.example.test:443"])
    assert not (world.home / ".local/state/npxc/egress").exists()
    argv = json.loads(result.stdout)["argv"]
    assert ("--unshare-net" in argv) == (link == "socket")
    assert any("npxc-<dir>/egress.sock" in word for word in argv) == (link == "socket")


@pytest.mark.parametrize("link", LINKS)
def test_its_process_dies_with_a_killed_launcher(world, probe, link):
    configure(world, link, "api.example.test:443")
    client = world.client(probe)
    client.handshake()
    assert len(egress_processes(world)) == 1
    client.process.kill()
    assert wait_until(lambda: not world.leftovers(), 10)
    client.process.communicate()


@pytest.mark.parametrize("both", [False, True], ids=["janitor", "gc"])
def test_its_process_goes_with_the_session_when_it_hangs(world, probe, both):
    """It cannot see that its launcher has died: the janitor kills it, and gc when there is no janitor either."""
    configure(world, "netns", "api.example.test:443")
    client = world.client(probe)
    client.handshake()
    session, = json.loads(world.run("ps", "--json").stdout)
    pid, = egress_processes(world)
    assert {"kind": "process", "name": str(pid)} in session["holds"]
    os.kill(pid, signal.SIGSTOP)
    if both:
        os.kill(session["janitor_pid"], signal.SIGSTOP)
    client.process.kill()
    client.process.communicate()
    if both:
        os.kill(session["janitor_pid"], signal.SIGKILL)
        assert wait_until(lambda: processes_with(world.marker) == [pid])
        report = json.loads(world.run("gc", "--json", env={"PATH": str(world.home)}).stdout)
        assert [one["id"] for one in report["released"]] == [session["id"]]
    assert wait_until(lambda: not world.leftovers(), 10)


def test_its_process_is_held_as_long_as_it_lives(world, probe):
    """try shows what was refused after the end of the process: the janitor has let go of it by then."""
    configure(world, "netns", "api.example.test:443")
    result = world.run("try", probe, env={"NPXC_LOG": "debug"})
    assert result.returncode == 0 and "janitor: process" not in result.stderr


@pytest.mark.parametrize("link", LINKS)
def test_its_death_ends_the_way_out_and_not_the_session(world, probe, link):
    with Echo() as echo:
        configure(world, link, f"host.npxc.internal:{echo.port}")
        client = world.client(probe)
        client.handshake()
        pid, = egress_processes(world)
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not egress_processes(world))
        assert not client.call("talk", host="host.npxc.internal", port=echo.port, text="x")["ok"]
        assert client.call("interfaces")["value"] == ["lo"]
        status, _, err = client.close()
    assert status == 0
    assert "the egress process has ended" in err


def test_its_process_holds_nothing_of_the_clients(world, probe):
    configure(world, "socket", "api.example.test:443")
    client = world.client(probe)
    client.handshake()
    pid, = egress_processes(world)
    ours = {os.readlink(f"/proc/{client.process.pid}/fd/{n}") for n in (0, 1, 2)}
    theirs = {os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
    assert not ours & theirs and {"/dev/null"} <= theirs
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                  if ":\t" in line)
    assert (status["CapEff"], status["NoNewPrivs"], status["Seccomp"]) == ("0" * 16, "1", "2")
    client.close()


def test_no_directory_stays(world, probe):
    with tempfile.TemporaryDirectory(prefix="npxc-tmp-") as temporary:
        os.chmod(temporary, 0o755)
        configure(world, "socket", "api.example.test:443")
        client = world.client(probe, env={"TMPDIR": temporary})
        client.handshake()
        assert [p.name for p in pathlib.Path(temporary).glob("*/egress.sock")] == ["egress.sock"]
        client.close()
        assert os.listdir(temporary) == []


def test_try_says_what_was_refused(world, cache):
    with tempfile.TemporaryDirectory(prefix="npxc-tmp-") as temporary:
        package = pathlib.Path(temporary)
        package.chmod(0o755)
        (package / "package.json").write_text(json.dumps(
            {"name": "npxc-caller", "version": "1.0.0", "bin": {"npxc-caller": "main.cjs"}}))
        (package / "main.cjs").write_text(
            "#!/usr/bin/env node\n"
            "const probe = require('net').connect(443, 'telemetry.test');\n"
            "probe.on('error', () => {});\n"
            "require('readline').createInterface({ input: process.stdin }).on('line', (line) => {\n"
            "  const { id, method } = JSON.parse(line);\n"
            "  const result = method === 'initialize'\n"
            "    ? { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 'c', version: '1' } }\n"
            "    : { tools: [] };\n"
            "  if (id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, result }));\n"
            "});\n")
        result = world.run("try", "--network", "allowlist", "--allow", "api.test:443", temporary)
    assert result.returncode == 0, result.stderr
    assert 'add "telemetry.test:443"' in result.stderr
    assert b"link      netns" in result.stdout
