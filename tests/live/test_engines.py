"""What only a real engine shows: networks, limits, statuses, and that nothing stays behind, however a session ends."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import time

import pytest

from black_box import PATIENCE, Echo, wait_until
from conftest import ENGINE, engine, oci_states, ours, processes, remove

BUSY = {"podman": "has associated containers", "docker": "has active endpoints"}
NETWORK = re.compile(r"npxc-[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}\Z")


@pytest.fixture(autouse=True)
def installed(world, probe):
    """Nothing but the session itself in a test's time."""
    result = world.run("install", probe)
    assert result.returncode == 0, result.stderr


def new_names(kind, before):
    return {name.split(" ", 1)[1] for name in ours() - before if name.startswith(kind + " ")}


# ---- networks ----

def raw_connect(client, host, port):
    """By a program that knows nothing of npxc's way out: what it says; empty when it came through."""
    done = client.call("spawn", command="bash", args=["-c", 'exec 3<>"/dev/tcp/$0/$1"', host, str(port)])["value"]
    assert (done["status"] == 0) == (done["stderr"] == ""), done
    return done["stderr"]



def test_network_none_has_no_way_out(world, probe):
    client = world.client(probe)
    client.handshake()
    assert client.call("interfaces")["value"] == ["lo"]
    assert client.call("connect", host="192.0.2.1", port=80)["code"] == "ENETUNREACH"
    assert client.close()[0] == 0


def test_a_named_network_is_used_and_stays(world, probe):
    name = f"live-test-{os.getpid()}"
    engine("network", "create", "--internal", name)
    try:
        client = world.client("--network", name, probe)
        client.handshake()
        assert client.call("interfaces")["value"] != ["lo"]
        assert client.close()[0] == 0
        assert name in engine("network", "ls", "--format", "{{.Name}}").split()
    finally:
        engine("network", "rm", name)


def test_an_allowlist_gets_a_network_of_its_own_with_the_host_as_gateway(world, probe, allowlist):
    before = ours()
    listener = socket.create_server(("0.0.0.0", 0))
    client = world.client(probe)
    client.handshake()
    names = new_names("network", before)
    assert len(names) == 1 and NETWORK.match(*names)
    described = json.loads(engine("network", "inspect", *names))[0]
    if ENGINE == "podman":
        assert described["internal"] is True and described["dns_enabled"] is False
        gateway = described["subnets"][0]["gateway"]
    else:
        assert described["Internal"] is True
        gateway = described["IPAM"]["Config"][0]["Gateway"]
    assert raw_connect(client, gateway, listener.getsockname()[1]) == ""
    peer, _ = listener.accept()
    peer.close()
    listener.close()
    assert "Network is unreachable" in raw_connect(client, "192.0.2.1", 80)
    assert "resolution" in raw_connect(client, "example.org", 80)
    assert client.call("connect", host="192.0.2.1", port=80)["code"] == "EACCES"
    status, _, err = client.close()
    assert status == 0
    assert "this host's services that listen on all addresses" in err
    # All of it is gone when npxc is: nobody has to wait for the janitor here.
    assert not new_names("network", before) and not new_names("container", before)


def test_link_netns_is_refused(world, probe):
    world.configure_probe({"network": {"mode": "allowlist", "link": "netns"}})
    result = world.run(probe)
    assert (result.returncode, result.stdout) == (1, b"")
    assert "bubblewrap" in result.stderr and "network.link" in result.stderr


@pytest.mark.parametrize("link", ["gateway", "socket"])
def test_what_a_rule_names_is_reached_and_nothing_else(world, probe, link):
    with Echo() as echo:
        world.configure_probe({"network": {
            "mode": "allowlist", "link": link, "allow": [f"host.npxc.internal:{echo.port}"]}})
        temporary = world.home / "t"
        temporary.mkdir()
        client = world.client(probe, env={"TMPDIR": str(temporary)})
        client.handshake()
        asked = dict(host="host.npxc.internal", text="over here")
        assert client.call("talk", port=echo.port, **asked) == {"ok": True, "value": "over here"}
        refused = client.call("talk", port=echo.port + 1, **asked)
        assert refused["code"] == "EACCES" and "not in the allow list" in refused["message"], refused
        assert client.call("interfaces")["value"] == (["lo"] if link == "socket" else ["lo", "eth0"])
        status, _, err = client.close()
        assert status == 0
        assert f'add "host.npxc.internal:{echo.port + 1}" to network.allow' in err
    assert not list(temporary.glob("npxc-*"))


# ---- what is inside ----

def test_sockets_of_other_families_are_refused(world, probe):
    client = world.client(probe)
    client.handshake()
    script = "socket(S, $ARGV[0], 1, 0) ? exit 0 : exit $!+0"
    tried = {family: client.call("spawn", command="perl", args=["-e", script, str(family)])["value"]["status"]
             for family in (1, 2, 40)}  # AF_UNIX, AF_INET, AF_VSOCK
    assert tried == {1: 0, 2: 0, 40: 1}
    client.close()


def test_processes_are_limited(world, probe):
    client = world.client(probe)
    client.handshake()
    # Its children hold no pipe, or the end of them all would be waited for.
    script = "n=0; while [ $n -lt 600 ]; do sleep 600 >/dev/null 2>&1 & n=$((n+1)); echo $n; done"
    said = client.call("spawn", command="sh", args=["-c", script])["value"]
    assert "Cannot fork" in said["stderr"] and said["status"] == 2
    assert 400 < int(said["stdout"].split()[-1]) < 512
    assert client.close()[0] == 0


def test_a_run_uses_what_inspect_prints(world, probe, allowlist):
    before = ours()
    (world.project / "f").write_text("x")
    flags = ["--mount", "/usr/share/doc", "-e", "A=value-of-a", "--memory", "300m"]
    plan = json.loads(world.run("inspect", "--json", *flags, probe, "serve", "f").stdout)
    client = world.client(*flags, probe, "serve", "f")
    client.handshake()
    container, network = new_names("container", before), new_names("network", before)
    seen = [argv for _, argv in processes(ENGINE) if "run" in argv and container & set(argv)]
    client.close()
    [container], [network] = container, network
    session = container.rsplit("-", 1)[1]
    [directory] = {found.group(1) for word in seen[0] if (found := re.search(r"/npxc-([0-9a-f]{8})/egress\.cjs:", word))}
    planned = [word.replace("<session>", session).replace("<network>", network).replace("<dir>", directory)
               for word in plan["argv"]]
    assert seen == [planned]
    assert "value-of-a" not in json.dumps(plan)


# ---- statuses ----

def test_a_server_that_ends_by_itself_gives_its_status(world, probe):
    process = world.start(probe, "exit", "3")
    assert process.wait(PATIENCE) == 3
    process.communicate()


def test_a_server_that_is_killed_gives_128_and_the_signal(world, probe):
    process = world.start(probe, "signal", "SIGKILL")
    assert process.wait(PATIENCE) == 128 + 9
    process.communicate()


def test_a_network_that_is_not_there_is_the_runtimes_failure(world, probe):
    result = world.run("--network", "surely-not-there", probe)
    assert (result.returncode, result.stdout) == (4, b"")
    assert "surely-not-there" in result.stderr


def test_an_image_that_is_not_there_is_the_runtimes_failure(world, probe):
    world.write_config("npxc.json", {"defaults": {"runtime": ENGINE, "node_image": "localhost/npxc-nothing:1"}})
    result = world.run(probe)
    assert (result.returncode, result.stdout) == (4, b"")
    assert "localhost/npxc-nothing:1" in result.stderr


# ---- endings ----

def ready(process):
    line = process.stdout.readline()
    assert json.loads(line)["method"] == "notifications/ready"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_server_that_ignores_it(world, probe, allowlist, number):
    before = ours()
    process = world.start(probe, "stubborn")
    ready(process)
    process.send_signal(number)
    status = process.wait(PATIENCE)
    # The sandbox is gone with npxc; a network may follow.
    assert not new_names("container", before) and not new_names(ENGINE, before)
    assert status == 128 + number
    process.communicate()


def test_a_server_that_ignores_the_end_of_input_is_told_to_end(world, probe, allowlist):
    process = world.start(probe, "stubborn")
    ready(process)
    process.stdin.close()
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("whole_group", [False, True])
def test_sigkill_of_the_launcher(world, probe, allowlist, whole_group):
    process = world.start(probe, "stubborn", start_new_session=True)
    ready(process)
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


# A container's start takes a third of a second: every part of it is cut.
CUTS = list(range(0, 520, 65))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("ms", CUTS)
def test_a_start_that_is_cut_leaves_nothing(world, probe, allowlist, number, ms):
    process = world.start(probe, "stubborn")
    time.sleep(ms / 1000)  # where it is then is what varies
    process.send_signal(number)
    assert process.wait(PATIENCE) in (-number, 128 + number)
    process.communicate()


KILLS = int(os.environ.get("NPXC_LIVE_KILLS", "30"))


def test_many_that_are_killed_leave_nothing(world, probe, allowlist):
    """At random moments, and without waiting for one janitor before the next session is killed."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    moments = random.Random(seed)
    children = []
    for number in range(KILLS):
        process = world.start(*(["--network", "none"] if number % 2 else []), probe, "stubborn", start_new_session=True)
        children.append(process)
        time.sleep(moments.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
    for process in children:
        assert process.wait(PATIENCE) == -signal.SIGKILL
        process.communicate()


def test_sessions_at_once_have_networks_of_their_own(world, probe, allowlist):
    before = ours()
    clients = [world.client(probe) for _ in range(6)]
    for client in clients:
        client.handshake()
    assert len(new_names("network", before)) == len(new_names("container", before)) == 6
    assert [client.close()[0] for client in clients] == [0] * 6


def test_a_busy_network_is_warned_about_once_and_goes_later(world, probe, allowlist):
    before = ours()
    client = world.client(probe)
    client.handshake()
    [network] = new_names("network", before)
    guest = f"live-test-guest-{os.getpid()}"
    engine("run", "-d", "--rm", "--name", guest, "--network", network, "--entrypoint", "sleep", "node:lts-slim", "600")
    try:
        status, _, err = client.close()
        assert status == 0
        warnings = [line for line in err.splitlines() if network in line and "warning" in line]
        assert len(warnings) == 1 and "after 5 attempts" in warnings[0] and BUSY[ENGINE] in warnings[0]
        assert new_names("network", before) == {network}
    finally:
        remove(guest)
    assert wait_until(lambda: not new_names("network", before))


# ---- installs ----

def package(world, name, manifest, **files):
    directory = world.home / name
    directory.mkdir()
    (directory / "package.json").write_text(json.dumps({"name": name, "version": "1.0.0", **manifest}))
    for file, text in files.items():
        (directory / f"{file}.js").write_text(text)
    return directory


def test_an_install_runs_in_the_image_with_its_node_and_npm(world):
    script = """
const fs = require("fs");
fs.writeFileSync("seen.json", JSON.stringify({ node: process.version, agent: process.env.npm_config_user_agent,
  uid: process.getuid(), home: process.env.HOME, secret: process.env.SECRET || null,
  host: fs.existsSync(process.argv[2]) }));
"""
    bare = package(world, "live-scripted", {
        "bin": "bin.js", "scripts": {"install": f"node install.js {world.home}"}},
        install=script, bin="#!/usr/bin/env node\n")
    result = world.run("install", "--json", str(bare), env={"SECRET": "x"})
    assert result.returncode == 0, result.stderr
    [entry] = json.loads(result.stdout)
    with open(f"{entry['directory']}/node_modules/live-scripted/seen.json") as file:
        seen = json.load(file)
    image = engine("run", "--rm", "--network", "none", "--entrypoint", "node", "node:lts-slim", "--version").strip()
    assert seen["node"] == image and f"node/{image}" in seen["agent"]
    assert seen["uid"] != 0 and seen["secret"] is None and seen["host"] is False
    assert entry["platform"].startswith("linux-")
    # Who runs inside may not change what is installed.
    assert os.stat(entry["directory"]).st_uid == os.getuid()


def test_a_node_that_the_image_has_not_is_an_error_that_names_it(world):
    bare = package(world, "live-demanding", {"bin": "bin.js", "engines": {"node": ">=99"}}, bin="")
    result = world.run("install", str(bare))
    assert result.returncode == 3
    assert "node_image" in result.stderr and ">=99" in result.stderr


def test_nothing_of_the_hosts_node_is_needed(world, probe):
    """Without node and npm on PATH a server is installed and runs."""
    path = world.home / "bin"
    path.mkdir()
    for program in (ENGINE, "runc", "conmon", "iptables", "nft", "ip6tables"):
        found = subprocess.run(["sh", "-c", f"command -v {program}"], capture_output=True, text=True).stdout.strip()
        if found:
            (path / program).symlink_to(found)
    client = world.client(probe, env={"PATH": str(path), "XDG_CACHE_HOME": str(world.home / "cache")})
    assert client.handshake()["serverInfo"]["name"] == "npxc-probe"
    assert client.close()[0] == 0


def test_the_oci_runtime_can_be_listed():
    """Or all the evidence above would be of nothing."""
    before = oci_states()
    name = f"live-test-{os.getpid()}"
    engine("run", "-d", "--rm", "--name", name, "--network", "none", "--entrypoint", "sleep", "node:lts-slim", "600")
    try:
        assert len(oci_states() - before) == 1
    finally:
        remove(name)
