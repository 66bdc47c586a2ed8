"""`npxc learn`: a run like any other, and what it proposes afterwards. Everything is on this machine's loopback."""

import hashlib
import json
import signal

import pytest

from conftest import PROBE, RUNTIME, Echo

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="other runtimes: tests/live")

FILE = "packages/npxc-probe.json"
OWN = f"packages/probe-{hashlib.sha256(str(PROBE).encode()).hexdigest()[:8]}.json"  # made by npxc


def learn(world, probe, calls, *words):
    """Runs the probe under learn, makes the calls; status, stderr."""
    client = world.client("learn", *words, probe)
    client.handshake()
    for host, port in calls:
        client.call("talk", host=host, port=port, text="x")
    status, out, err = client.close()
    assert out == b""  # MCP's, and the client has read its answers
    return status, err


def node(client, script):
    result = client.call("spawn", command="node", args=["-e", script])["value"]
    assert result["status"] == 0, result
    return result["stdout"]


def proposal(err):
    return json.loads(err.splitlines()[-1])["learn"]


def test_a_refused_connection_becomes_a_rule(world, probe):
    status, err = learn(world, probe, [("api.learn.test", 8443), ("api.learn.test", 8443), ("93.184.216.7", 5432)])
    file = world.config / OWN
    assert status == 0
    assert f"""
--- /dev/null
+++ {file}
@@ -0,0 +1,10 @@
+{{
+  "package_dir": "{probe}",
+  "network": {{
+    "mode": "allowlist",
+    "allow": [
+      "93.184.216.7:5432",
+      "api.learn.test:8443"
+    ]
+  }}
+}}
""" in err
    assert f"learn: 2 rules would be added for {probe}; with --write it is:" in err
    assert not file.exists()


@pytest.mark.parametrize("link", ["netns", "socket"])
def test_each_link_tells_host_and_port(world, probe, link):
    world.configure_probe({"network": {"link": link}})
    _, err = learn(world, probe, [("api.learn.test", 9999), ("2606:4700::7", 77)], "--json")
    assert proposal(err)["allow"] == ["[2606:4700::7]:77", "api.learn.test:9999"]
    assert f'npxc: {probe}: connection refused: api.learn.test:9999 is not in the allow list\n' in err
    assert "to allow it" not in err  # the proposal says that, once


def test_what_is_allowed_works_and_is_not_proposed(world, probe):
    text = (f'// mine\n{{\n  "package_dir": "{PROBE}",\n' '  "network": {\n    "mode": "open", // for now\n'
            '    "allow": ["*.learn.test:443"] // and more?\n  }\n}\n')
    file = world.write_config(FILE, text)
    file.chmod(0o640)
    with Echo() as echo:
        alias = f"host.npxc.internal:{echo.port}"
        client = world.client("learn", "--write", "--json", "--allow", alias, probe)
        client.handshake()
        assert client.call("talk", host="host.npxc.internal", port=echo.port, text="in")["value"] == "in"
        assert not client.call("talk", host="b.learn.test", port=80, text="x")["ok"]
        client.call("talk", host="b.learn.test", port=443, text="x")  # allowed, and of no use: nobody is there
        status, _, err = client.close()
    said = proposal(err)
    assert (status, said["written"], said["allow"]) == (0, True, ["b.learn.test:80", alias])
    assert file.read_text() == text.replace('"open"', '"allowlist"').replace(
        '"*.learn.test:443"]', f'"*.learn.test:443", "b.learn.test:80", "{alias}"]')
    assert file.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_the_second_time_there_is_nothing_to_add(world, probe):
    with Echo() as echo:
        alias = f"host.npxc.internal:{echo.port}"
        calls = [("host.npxc.internal", echo.port)]
        assert proposal(learn(world, probe, calls, "--json", "--write")[1])["allow"] == [alias]
        file = world.config / OWN
        text = file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
        status, err = learn(world, probe, calls, "--write")
        assert (status, file.read_text()) == (0, text)
        assert f"npxc: learn: {probe} was refused nothing that one more rule would allow\n" in err
        client = world.client(probe)  # and the run that this was for
        client.handshake()
        assert client.call("talk", host="host.npxc.internal", port=echo.port, text="over")["value"] == "over"
        assert client.close()[0] == 0


def test_what_no_rule_would_allow_is_told_with_the_reason(world, probe):
    world.configure_probe({"network": {"link": "socket"}})
    # what a program inside says to the socket itself
    client = world.client("learn", "--json", probe)
    client.handshake()
    for target in ("127.0.0.1:631", "foo.localhost:80", "224.0.0.1:1"):
        answer = node(client, "const s = require('net').connect('/run/npxc/egress.sock', () => "
                              f"s.write('CONNECT {target} HTTP/1.1\\r\\n\\r\\n')); s.pipe(process.stdout)")
        assert answer.startswith("HTTP/1.1 403 ")
    status, _, err = client.close()
    said = proposal(err)
    assert (status, said["allow"]) == (0, [])
    reasons = {entry["what"]: entry["why"] for entry in said["no_rule"]}
    assert list(reasons) == ["127.0.0.1:631", "foo.localhost:80", "224.0.0.1:1"]
    assert "host.npxc.internal:PORT" in reasons["127.0.0.1:631"]
    assert "sandbox itself" in reasons["foo.localhost:80"]
    assert "multicast" in reasons["224.0.0.1:1"]


@pytest.mark.parametrize("link", ["netns", "socket"])
def test_what_could_be_written_and_never_work_is_not_proposed(world, probe, link):
    world.configure_probe({"network": {"link": link}})
    calls = [("203.0.113.7", 443), ("2001:db8::1", 443), ("api.learn.invalid", 443), ("10.1.2.3", 5432), ("api.learn.test", 443)]
    said = proposal(learn(world, probe, calls, "--json")[1])
    assert said["allow"] == ["10.1.2.3:5432", "api.learn.test:443"]
    reasons = {entry["what"]: entry["why"] for entry in said["no_rule"]}
    assert list(reasons) == ["203.0.113.7:443", "[2001:db8::1]:443", "api.learn.invalid:443"]
    assert all("documentation" in reasons[each] for each in list(reasons)[:2])


def test_a_name_that_is_only_looked_up_is_told_and_not_proposed(world, probe):
    client = world.client("learn", "--json", probe)
    client.handshake()
    # answered inside, with an address that stands for the name: nobody outside was asked
    assert node(client, "require('dns').lookup('only.learn.test', 4, (_, ip) => console.log(ip))").startswith("198.1")
    client.call("talk", host="both.learn.test", port=443, text="x")
    said = proposal(client.close()[2])
    assert (said["allow"], said["looked_up"]) == (["both.learn.test:443"], ["only.learn.test"])


def test_a_signal_ends_it_with_the_proposal(world, probe):
    client = world.client("learn", "--write", probe)
    client.handshake()
    client.call("talk", host="api.learn.test", port=443, text="x")
    client.process.send_signal(signal.SIGTERM)
    out, err = client.process.communicate(timeout=10)
    assert (client.process.returncode, out) == (143, b"")
    assert b'+      "api.learn.test:443"' in err
    assert json.loads((world.config / OWN).read_text())["network"]["allow"] == ["api.learn.test:443"]


def test_a_file_that_was_changed_meanwhile_counts_as_it_is(world, probe):
    client = world.client("learn", "--write", "--json", probe)
    client.handshake()
    client.call("talk", host="a.learn.test", port=443, text="x")
    client.call("talk", host="b.learn.test", port=443, text="x")
    file = world.configure_probe({"network": {"mode": "allowlist", "allow": ["a.learn.test:443"]}})
    assert proposal(client.close()[2])["allow"] == ["b.learn.test:443"]
    assert json.loads(file.read_text())["network"]["allow"] == ["a.learn.test:443", "b.learn.test:443"]


def test_a_broken_file_is_an_error_and_stays(world, probe):
    client = world.client("learn", "--write", probe)
    client.handshake()
    client.call("talk", host="a.learn.test", port=443, text="x")
    broken = f'{{"package_dir": "{PROBE}", "network": {{"allow": ["a"'
    file = world.write_config(FILE, broken)
    status, _, err = client.close()
    assert (status, file.read_text()) == (1, broken)
    assert f"{file}:1" in err


def test_a_link_to_the_file_stays_a_link(world, probe):
    elsewhere = world.home / "dotfiles.json"
    elsewhere.write_text(json.dumps({"package_dir": str(PROBE)}))
    file = world.config / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(elsewhere)
    learn(world, probe, [("a.learn.test", 443)], "--write")
    assert file.is_symlink() and "a.learn.test:443" in elsewhere.read_text()


@pytest.mark.parametrize("words, mode, why", [
    (["--network", "open"], None, "leave --network out"),
    (["--network", "none"], None, "leave --network out"),
    ([], "lab", 'network.mode is named(lab), a network of the runtime; `npxc learn --network allowlist`'),
])
def test_other_networks_are_refused(world, probe, words, mode, why):
    if mode:
        world.configure_probe({"network": {"mode": mode}})
    result = world.run("learn", *words, probe)
    assert (result.returncode, result.stdout) == (1, b"")
    assert why in result.stderr


def test_its_flags_are_its_own(world, probe):
    for words in (["--write", probe], ["try", "--write", probe], ["list", "--probe"], ["--denied", probe]):
        result = world.run(*words)
        assert result.returncode == 1 and "does not go with" in result.stderr, words


def test_ps_shows_it_as_what_it_is(world, probe):
    client = world.client("learn", probe)
    client.handshake()
    session, = json.loads(world.run("ps", "--json").stdout)
    assert client.close()[0] == 0
    assert (session["package"], session["policy"], session["link"]) == (probe, "allowlist(0 rules)", "netns")
