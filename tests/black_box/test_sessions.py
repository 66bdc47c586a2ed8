"""What sessions hold, on disk and in fact: leases, `npxc ps`, `npxc stop`, `npxc gc`, and ends of every kind."""

import json
import os
import pathlib
import signal
import time

import pytest

from conftest import PATIENCE, processes_with, wait_until

HEADER = {"lease": 1, "npxc": "0.4.0", "id": "0123abcd", "boot": "another", "started_at": 1700000000000, "started_boot": 1,
          "launcher": {"pid": 2, "started": 3}, "janitor": {"pid": 2, "started": 3},
          "client": {"pid": 2, "started": 3, "name": "client"}}
NETWORK = "npxc-00112233445546778899aabbccddeeff"


def sessions_of(world):
    return world.home / ".local/state/npxc/sessions"


def names_of(world):
    directory = sessions_of(world)
    return sorted(entry.name for entry in directory.iterdir()) if directory.exists() else []


def cgroups_of(name):
    """os.walk passes over what goes meanwhile: other sessions of this machine."""
    return [root for root, directories, _ in os.walk("/sys/fs/cgroup") if name in directories]


@pytest.fixture
def tools(world, tmp_path):
    """A PATH without container runtimes, so that gc asks none but those that a test puts there."""
    directory = tmp_path / "bin"
    directory.mkdir()
    return directory


def npxc(world, *words, tools=None, status=0):
    result = world.run(*words, env={"PATH": str(tools)} if tools else None)
    assert result.returncode == status, result.stderr
    return result


def listed(world, *words, **more):
    return json.loads(npxc(world, *words, "--json", **more).stdout)


def running(world, probe):
    client = world.client(probe)
    client.handshake()
    session, = listed(world, "ps")
    assert session["state"] == "live"
    return client, session


def write_lease(world, *lines, id="0123abcd", header=None):
    directory = sessions_of(world)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / (id + ".lease")
    path.write_text("".join(json.dumps(line) + "\n" for line in [header or {**HEADER, "id": id}, *lines]))
    path.chmod(0o600)
    return path


def held(kind, **what):
    return {"hold": {"id": 1, "kind": kind, **what}}


def has_ended(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def kill_both(session):
    """Stopped first: neither may see the other die."""
    os.kill(session["janitor_pid"], signal.SIGSTOP)
    os.kill(session["pid"], signal.SIGKILL)
    os.kill(session["janitor_pid"], signal.SIGKILL)
    assert wait_until(lambda: has_ended(session["pid"]) and has_ended(session["janitor_pid"]))


def gone(world, session):
    """Nothing of it is there: processes, cgroups, workspace, lease."""
    return (not processes_with(session["name"]) and not world.leftovers() and not cgroups_of(session["name"])
            and names_of(world) == [])


# ---- ps ----

def test_a_running_session_is_listed(world, probe):
    assert listed(world, "ps") == []
    assert npxc(world, "ps").stdout == b"no session is running\n"
    client, session = running(world, probe)
    assert session["package"] == probe and session["version"] == "1.0.0"
    assert session["policy"] == "none" and session["link"] == ""
    assert session["pid"] == client.process.pid
    assert session["client"]["pid"] == os.getpid()
    assert session["name"] == "npxc-probe-" + session["id"]
    assert 0 <= session["uptime_ms"] < PATIENCE * 1000
    assert abs(session["started_at"] - time.time()) < PATIENCE
    assert {"kind": "directory", "name": str(sessions_of(world) / session["name"])} in session["holds"]
    line, = npxc(world, "ps").stdout.decode().splitlines()
    for word in (session["id"], "live", probe[:50], "1.0.0", "none", "pid %d" % client.process.pid):
        assert word in line
    lease = sessions_of(world) / (session["id"] + ".lease")
    assert oct(lease.stat().st_mode & 0o7777) == "0o600"
    assert oct(sessions_of(world).stat().st_mode & 0o7777) == "0o700"
    assert client.close()[0] == 0
    assert gone(world, session)
    assert listed(world, "ps") == []


def test_looking_leaves_no_lease(world, probe, tools):
    npxc(world, "install", probe)
    assert names_of(world) == []
    npxc(world, "inspect", probe)
    npxc(world, "ps")
    npxc(world, "gc", "--json", tools=tools)  # an ordinary user's podman leaves a process of its own once asked
    assert names_of(world) == []


def test_a_lease_of_another_boot_is_dead(world):
    write_lease(world, held("directory", path=str(sessions_of(world) / "npxc-x-0123abcd")))
    session, = listed(world, "ps")
    assert session["state"] == "dead" and "uptime_ms" not in session
    first, last = npxc(world, "ps").stdout.decode().splitlines()
    assert "dead" in first and "1 thing left" in first and "npxc gc" in last


# ---- stop ----

@pytest.mark.parametrize("word", ["id", "name", "package", "version", "all"])
def test_a_session_is_stopped_as_a_client_does(world, probe, word):
    client, session = running(world, probe)
    other = world.client(probe) if word in ("package", "all") else None
    if other:
        other.handshake()
    words = {"all": "--all", "version": f"{probe}@1.0.0"}.get(word) or session[word]
    outcomes = listed(world, "stop", words)
    expected = 2 if other else 1
    assert [one["outcome"] for one in outcomes] == ["stopped"] * expected
    assert session["id"] in [one["id"] for one in outcomes]
    assert client.close()[0] == 128 + signal.SIGTERM
    if other:
        assert other.close()[0] == 128 + signal.SIGTERM
    assert gone(world, session)


def test_only_the_named_one_is_stopped(world, probe):
    client, session = running(world, probe)
    other = world.client(probe)
    other.handshake()
    assert npxc(world, "stop", session["id"]).stdout.decode() == "stopped %s\n" % session["name"]
    assert client.close()[0] == 128 + signal.SIGTERM
    assert other.request("tools/list")["result"]
    assert other.close()[0] == 0


def test_a_launcher_that_does_not_end_is_killed(world, probe):
    client, session = running(world, probe)
    os.kill(session["pid"], signal.SIGSTOP)
    outcome, = listed(world, "stop", session["id"])
    assert outcome["outcome"] == "killed"
    assert client.process.wait(PATIENCE) == -signal.SIGKILL
    assert gone(world, session)


def test_what_cannot_be_stopped(world):
    write_lease(world)
    for words, says in ((("stop",), "either ids and packages or --all"), (("stop", "--all", "x"), "either ids"),
                        (("stop", "0123abcd"), "no session of `0123abcd` is running"),
                        (("stop", "x", "--orphans"), "--orphans does not go with `npxc stop`"),
                        (("ps", "x"), "takes no words"), (("ps", "--denied"), "--denied does not go with `npxc ps`")):
        result = npxc(world, *words, status=1)
        assert says in result.stderr and result.stdout == b""
    assert npxc(world, "stop", "--all").stdout == b"no session is running\n"
    assert listed(world, "stop", "--all") == []
    assert names_of(world) == ["0123abcd.lease"]


# ---- ends ----

def test_a_killed_launcher_leaves_nothing(world, probe):
    client, session = running(world, probe)
    client.process.kill()
    assert wait_until(lambda: gone(world, session))


def test_a_killed_janitor_leaves_nothing(world, probe):
    client, session = running(world, probe)
    os.kill(session["janitor_pid"], signal.SIGKILL)
    assert client.request("tools/list")["result"]
    status, _, errors = client.close()
    assert status == 0
    assert "another one takes over" in errors
    assert gone(world, session)


def test_what_both_left_goes_by_gc(world, probe, tools):
    client, session = running(world, probe)
    kill_both(session)
    client.process.wait(PATIENCE)
    assert session["name"] in names_of(world)
    dead, = listed(world, "ps")
    assert dead["state"] == "dead" and dead["id"] == session["id"] and dead["holds"]
    report = listed(world, "gc", tools=tools)
    assert report["released"] == [{"id": session["id"], "name": session["name"]}]
    assert report["kept"] == [] and report["left_alone"] == []
    assert gone(world, session)
    assert listed(world, "gc", tools=tools)["released"] == []


def test_what_both_left_goes_with_the_next_start(world, probe):
    client, session = running(world, probe)
    kill_both(session)
    client.process.wait(PATIENCE)
    _, out, _ = world.client(probe).close()
    assert out == b""
    assert wait_until(lambda: gone(world, session))


def children_of(pid):
    """(pid, state) of each."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append((int(entry.parent.name), fields[0]))
    return found


def test_who_swept_at_a_start_does_not_stay_as_a_zombie(world, probe):
    npxc(world, "install", probe)
    path = write_lease(world)
    client, session = running(world, probe)
    assert wait_until(lambda: not path.exists())
    assert wait_until(lambda: not [pid for pid, state in children_of(session["pid"]) if state == "Z"], 5)
    assert children_of(session["pid"])  # the control: janitor and sandbox are seen
    assert client.close()[0] == 0


def test_a_live_session_is_not_touched(world, probe, tools):
    client, session = running(world, probe)
    report = listed(world, "gc", tools=tools)
    assert report["released"] == [] and report["kept"] == []
    assert [one for one in report["orphans"] if one["name"].startswith(str(sessions_of(world)))] == []
    world.client(probe).close()  # whose start sweeps
    assert client.request("tools/list")["result"]
    assert client.close()[0] == 0
    assert gone(world, session)


def test_an_installation_that_both_left_goes(world, tools, tmp_path):
    """Both die while npm runs: the directory it was staged in goes."""
    package = tmp_path / "slow"
    package.mkdir()
    (package / "package.json").write_text(json.dumps(
        {"name": "npxc-slow", "version": "1.0.0", "bin": "x.js", "scripts": {"install": "sleep 1000"}}))
    (package / "x.js").write_text("#!/usr/bin/env node\n")
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    cache = world.home / "own-cache"
    process = world.start("install", str(package), env={"XDG_CACHE_HOME": str(cache)})
    staged = lambda: list((cache / "npxc/store/staging").glob("*")) if cache.exists() else []
    assert wait_until(lambda: staged() and any("sandbox" in line for path in sessions_of(world).glob("*.lease")
                                               for line in path.read_text().splitlines()))
    session, = listed(world, "ps")
    assert session["package"] == str(package) and session["name"] == ""
    kill_both(session)
    process.communicate()
    assert staged()
    assert [one["id"] for one in listed(world, "gc", tools=tools)["released"]] == [session["id"]]
    assert staged() == [] and names_of(world) == []
    assert wait_until(lambda: not world.leftovers())


# ---- gc ----

def make_cli(tools, name, script):
    path = tools / name
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return path


DOWN = "echo 'Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?' >&2; exit 1\n"


def test_what_a_runtime_holds_is_kept_while_it_is_down(world, tools):
    docker = make_cli(tools, "docker", DOWN)
    directory = sessions_of(world) / "npxc-x-0123abcd"
    lease = write_lease(
        world, held("directory", path=str(directory)),
        {"hold": {"id": 2, "kind": "container", "cli": str(docker), "runtime": "docker", "name": "npxc-x-0123abcd",
                  "environment": ["DOCKER_HOST=unix:///x"]}},
        {"hold": {"id": 3, "kind": "network", "cli": str(docker), "runtime": "docker", "name": NETWORK, "environment": []}})
    directory.mkdir()
    report = listed(world, "gc", tools=tools, status=2)
    kept, = report["kept"]
    assert [one["name"] for one in kept["holds"]] == ["npxc-x-0123abcd", NETWORK]
    assert "start the docker daemon" in kept["why"][0]
    assert lease.exists() and not directory.exists()
    text = npxc(world, "gc", tools=tools, status=2).stdout.decode()
    assert text.startswith("kept 0123abcd for a later `npxc gc`:\n") and "docker daemon" in text

    calls = tools / "calls"
    make_cli(tools, "docker", 'echo "$DOCKER_HOST $*" >>%s\n' % calls)
    report = listed(world, "gc", tools=tools)
    assert report["released"] == [{"id": "0123abcd", "name": ""}] and report["kept"] == []
    assert calls.read_text().splitlines()[:2] == ["unix:///x rm -f -v npxc-x-0123abcd", " network rm " + NETWORK]
    assert not lease.exists()


def test_a_network_is_not_deleted_before_its_container(world, tools):
    calls = tools / "calls"
    docker = make_cli(tools, "docker", 'echo "$*" >>%s; case $1 in rm) echo busy >&2; exit 1;; esac\n' % calls)
    lease = write_lease(
        world, held("container", cli=str(docker), runtime="docker", name="npxc-x-0123abcd", environment=[]),
        {"hold": {"id": 2, "kind": "network", "cli": str(docker), "runtime": "docker", "name": NETWORK, "environment": []}})
    kept, = listed(world, "gc", tools=tools, status=4)["kept"]
    assert len(kept["holds"]) == 2 and "busy" in kept["why"][0]
    assert "network rm" not in calls.read_text()
    assert lease.exists()


@pytest.mark.parametrize("text, why", [
    ('{"lease":2,"new":"shape"}\n', "a newer npxc wrote it"),
    ("not a lease\n", "line 1: it is not JSON"),
    (json.dumps(HEADER) + '\n{"hold":{"id":1,"kind":"directory","path":"/etc"}}\n', "line 2: resource 1: the path is a top one"),
    (json.dumps(HEADER) + '\n{"hold":{"id":1,"kind":"container","cli":"/bin/sh","runtime":"podman","name":"db","environment":[]}}\n',
     "not a container that npxc makes"),
])
def test_what_is_not_understood_is_left_alone(world, probe, tools, text, why):
    path = write_lease(world)
    path.write_text(text)
    seen, = listed(world, "ps")
    assert seen["state"] == "unreadable" and seen["file"] == str(path) and why in seen["why"]
    report = listed(world, "gc", tools=tools)
    alone, = report["left_alone"]
    assert alone["file"] == str(path) and why in alone["why"]
    assert why in npxc(world, "gc", tools=tools).stdout.decode()
    world.client(probe).close()
    assert path.read_text() == text


def test_a_lease_that_is_a_link_is_left_alone(world, tools):
    target = world.home / "elsewhere"
    victim = world.home / "victim"
    victim.mkdir()
    path = write_lease(world, held("directory", path=str(victim)))
    path.rename(target)
    path.symlink_to(target)
    alone, = listed(world, "gc", tools=tools)["left_alone"]
    assert "symbolic link" in alone["why"]
    assert victim.exists() and path.is_symlink()


def test_what_has_no_lease_is_only_reported(world, tools):
    make_cli(tools, "podman", """case $1 in
version) echo '{"Client":{"Version":"4.3.1"}}';;
ps) printf '%s\\n' npxc-x-0000000a database;;
network) printf '%s\\n' podman """ + NETWORK + """;;
esac
""")
    make_cli(tools, "docker", DOWN)
    directory = sessions_of(world) / "npxc-x-0000000b"
    directory.mkdir(parents=True)
    (directory / "file").write_text("x")
    report = listed(world, "gc", tools=tools)
    orphans = {(one["kind"], one["name"], one["runtime"]) for one in report["orphans"]}
    assert {("container", "npxc-x-0000000a", "podman"), ("network", NETWORK, "podman"),
            ("directory", str(directory), "")} <= orphans
    assert not any(name == "database" for _, name, _ in orphans)
    assert len(report["not_asked"]) == 1 and report["not_asked"][0].startswith("docker: ")
    assert directory.exists()
    result = npxc(world, "gc", tools=tools)
    assert "`npxc gc --orphans npxc-x-0000000b` removes it" in result.stdout.decode()
    together, = [line for line in result.stdout.decode().splitlines() if line.startswith("all of these: ")]
    assert {"npxc-x-0000000a", "npxc-x-0000000b", NETWORK} <= set(together.strip("`").split())
    assert "not asked for what has no lease: docker" in result.stderr


def test_orphans_go_when_they_are_named(world, tools):
    calls = tools / "calls"
    make_cli(tools, "podman", """echo "$*" >>%s
case $1 in
version) echo '{"Client":{"Version":"4.3.1"}}';;
ps) printf '%%s\\n' npxc-x-0000000a npxc-x-0000000c;;
network) [ "$2" != ls ] || printf '%%s\\n' %s;;
esac
""" % (calls, NETWORK))
    directory = sessions_of(world) / "npxc-x-0000000b"
    other = sessions_of(world) / "npxc-x-0000000c"
    for path in (directory, other):
        path.mkdir(parents=True)
    report = listed(world, "gc", "--orphans", "npxc-x-0000000a", NETWORK, "npxc-x-0000000b", tools=tools)
    assert [one["kind"] for one in report["removed"]] == ["directory", "container", "network"]
    assert not directory.exists() and other.exists()
    removals = [line for line in calls.read_text().splitlines() if line.startswith("rm ") or line.startswith("network rm")]
    assert removals == ["rm -f -v -t 0 --ignore npxc-x-0000000a", "network rm " + NETWORK]
    assert names_of(world) == ["npxc-x-0000000c"]


def test_what_gc_refuses(world, probe, tools):
    client, session = running(world, probe)
    lease = write_lease(world, held("directory", path=str(sessions_of(world) / "npxc-x-0000000d")), id="0000000d")
    before = names_of(world)
    (sessions_of(world) / "npxc-x-0000000e").mkdir()
    for words, status, says in (
            (("gc", "x"), 1, "takes no words"), (("gc", "--orphans"), 1, "needs the names"),
            (("gc", "--all"), 1, "--all does not go with `npxc gc`"),
            (("gc", "--orphans", "database"), 1, "not a name that npxc makes"),
            (("gc", "--orphans", "npxc-x-0000000e", "../x"), 1, "not a name that npxc makes"),
            (("gc", "--orphans", "npxc-x-0000000e", session["name"]), 1, "belongs to a session"),
            (("gc", "--orphans", "npxc-x-0000000d"), 1, "belongs to a session"),
            (("gc", "--orphans", "npxc-x-0000000e", "npxc-x-0000000f"), 1, "nothing called npxc-x-0000000f was found")):
        result = npxc(world, *words, tools=tools, status=status)
        assert says in result.stderr and result.stdout == b""
        assert names_of(world) == sorted([*before, "npxc-x-0000000e"])
    lease.unlink()
    (sessions_of(world) / "npxc-x-0000000e").rmdir()
    assert client.close()[0] == 0
    assert gone(world, session)
