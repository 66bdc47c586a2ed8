"""Homes and machines that are shared: what another machine, another container or another home of the same user holds."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

from conftest import NPXC, PATIENCE, World, wait_until
from test_sessions import (cgroups_of, gone, held, kill_both, listed, make_cli, names_of, npxc, running, sessions_of,
                           tools, write_lease)  # tools is a fixture

assert tools
NETWORK = "npxc-00112233445546778899aabbccddeeff"


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def live_lease(world, session):
    return lines_of(sessions_of(world) / (session["id"] + ".lease"))


def processes_of(lines):
    """The lines of a lease by which its processes are found."""
    return [line for line in lines if "sandbox" in line or line.get("hold", {}).get("kind") == "process"]


def unshared(flags, *words):
    """A command in namespaces of its own, also for an ordinary user."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own, *flags, *map(str, words)]


def can_unshare():
    return subprocess.run(unshared(["--pid", "--fork", "--mount-proc"], "true"), stderr=subprocess.DEVNULL).returncode == 0


needs_namespaces = pytest.mark.skipif(not can_unshare(), reason="no pid namespaces for this user here")


# ---- another pid namespace ----

def test_a_lease_says_whose_processes_it_means(world, probe):
    client, session = running(world, probe)
    header = live_lease(world, session)[0]
    assert header["pids"] == os.stat("/proc/self/ns/pid").st_ino
    machine = pathlib.Path("/etc/machine-id")
    assert header["machine"] == (machine.read_text().strip() if machine.exists() else "")
    client.close()


@pytest.mark.parametrize("foreign", [False, True])
def test_a_dead_lease_of_another_pid_namespace_ends_nobody_here(world, probe, tools, foreign):
    """Two containers with one home: pids and the moments of their starts were the same in both, seven times of seven."""
    client, session = running(world, probe)
    lines = live_lease(world, session)
    header = {**lines[0], "id": "0123abcd", "pids": lines[0]["pids"] + 1 if foreign else lines[0]["pids"]}
    twin = write_lease(world, *processes_of(lines), header=header)
    assert processes_of(lines)
    report = listed(world, "gc", tools=tools)
    if not foreign:  # the control: these are the processes of the server
        assert [one["id"] for one in report["released"]] == ["0123abcd"]
        client.process.stdin.close()
        assert client.process.wait(PATIENCE) != 0
        return
    alone, = report["left_alone"]
    assert alone["file"] == str(twin) and "pid namespace" in alone["why"]
    shown = [one for one in listed(world, "ps") if one["state"] == "elsewhere"]
    assert [one["file"] for one in shown] == [str(twin)]
    assert [one["id"] for one in listed(world, "stop", session["id"])] == [session["id"]]
    assert client.close()[0] == 128 + signal.SIGTERM
    assert twin.exists()
    twin.unlink()


@needs_namespaces
def test_gc_in_another_pid_namespace_leaves_a_session_of_this_one_alone(world, probe, tools):
    client, session = running(world, probe)
    result = subprocess.run(unshared(["--pid", "--fork", "--mount-proc"], NPXC, "gc", "--json"), capture_output=True,
                            env={**world.env, "PATH": str(tools) + ":/usr/bin:/bin"}, check=True)
    report = json.loads(result.stdout)
    assert report["released"] == [] and report["kept"] == []
    assert ["pid namespace" in one["why"] for one in report["left_alone"] if one.get("file")] == [True]
    assert client.request("tools/list")["result"]
    kill_both(session)
    client.process.wait(PATIENCE)
    result = subprocess.run(unshared(["--pid", "--fork", "--mount-proc"], NPXC, "gc", "--json"), capture_output=True,
                            env={**world.env, "PATH": str(tools) + ":/usr/bin:/bin"}, check=True)
    assert json.loads(result.stdout)["released"] == [] and names_of(world) != []
    assert [one["id"] for one in listed(world, "gc", tools=tools)["released"]] == [session["id"]]  # where it was made
    assert gone(world, session)


# ---- another machine ----

@pytest.mark.parametrize("there", ["00000000000000000000000000000000", ""])
def test_a_lease_of_another_machine_is_reported_and_kept(world, tools, there):
    victim = sessions_of(world) / "npxc-x-0123abcd"
    victim.mkdir(parents=True)
    path = write_lease(world, held("directory", path=str(victim)))
    header = {**lines_of(path)[0], "machine": there}
    write_lease(world, held("directory", path=str(victim)), header=header)
    report = listed(world, "gc", tools=tools)
    if there == "":  # the control: of this machine, before a restart of it
        assert [one["id"] for one in report["released"]] == ["0123abcd"] and not victim.exists()
        return
    alone, = report["left_alone"]
    assert "another machine" in alone["why"] and victim.exists() and path.exists()
    world.run("gc", "--orphans", victim.name)
    assert victim.exists()


@needs_namespaces
def test_the_machines_identity_decides(world, tools, tmp_path):
    """The same lease, seen by a machine of another name: /etc/machine-id is another file there."""
    if not pathlib.Path("/etc/machine-id").exists():
        pytest.skip("this machine has no /etc/machine-id to put another one over")
    victim = sessions_of(world) / "npxc-x-0123abcd"
    victim.mkdir(parents=True)
    write_lease(world, held("directory", path=str(victim)))
    lease = sessions_of(world) / "0123abcd.lease"
    header = {**lines_of(lease)[0], "machine": pathlib.Path("/etc/machine-id").read_text().strip()}
    write_lease(world, held("directory", path=str(victim)), header=header)
    other = tmp_path / "machine-id"
    other.write_text("f" * 32 + "\n")
    command = 'mount --bind "$1" /etc/machine-id && exec "$2" gc --json'
    result = subprocess.run(unshared(["--mount"], "sh", "-c", command, "sh", other, NPXC), capture_output=True,
                            env={**world.env, "PATH": str(tools) + ":/usr/bin:/bin"}, check=True)
    assert "another machine" in json.loads(result.stdout)["left_alone"][0]["why"] and victim.exists()
    assert [one["id"] for one in listed(world, "gc", tools=tools)["released"]] == ["0123abcd"]
    assert not victim.exists()


# ---- file systems without something ----

def preload(tmp_path, source):
    """A library that stands before libc's; npxc is linked dynamically."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler to make another libc's answer with")
    (tmp_path / "before.c").write_text(source)
    library = tmp_path / "before.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "before.c", "-ldl"], check=True)
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    return {"LD_PRELOAD": str(library)}


NO_LOCKS = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int flock(int fd, int how) {
  char name[64], path[4096] = "";
  snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
  if (readlink(name, path, sizeof(path) - 1) > 0 && strstr(path, ".lease") != NULL) { errno = ENOLCK; return -1; }
  return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(fd, how);
}
"""
NO_SYNC = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
int fsync(int fd) {
  struct stat s;
  if (fstat(fd, &s) == 0 && S_ISDIR(s.st_mode)) { errno = EINVAL; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
"""


def test_without_locks_nothing_starts_and_no_lease_is_left(world, probe, tmp_path):
    npxc(world, "install", probe)
    env = preload(tmp_path, NO_LOCKS)
    result = world.run(probe, env=env)
    said = [line for line in result.stderr.splitlines() if "lock" in line]
    assert result.returncode == 4 and len(said) == 1 and "XDG_STATE_HOME" in said[0], result.stderr
    assert names_of(world) == []
    path = write_lease(world)
    result = world.run("gc", "--json", env=env)
    alone, = [one for one in json.loads(result.stdout)["left_alone"] if one.get("file")]
    assert "cannot be locked" in alone["why"] and path.exists()
    path.unlink()


def test_a_directory_that_cannot_be_synced_holds_up_no_start(world, probe, tmp_path):
    npxc(world, "install", probe)
    client = world.client("--log-level", "debug", probe, env=preload(tmp_path, NO_SYNC))
    client.handshake()
    status, _, errors = client.close()
    assert status == 0, errors
    assert names_of(world) == []


# ---- another home of this user ----

@pytest.fixture
def second(cache, tmp_path):
    home = pathlib.Path(tempfile.mkdtemp(prefix="npxc-home-"))
    home.chmod(0o755)
    world = World(home, cache)
    yield world
    assert wait_until(lambda: not world.leftovers(), 20)
    shutil.rmtree(home, ignore_errors=True)


def test_what_another_home_of_this_user_runs_is_nobodys_orphan(world, second, probe, tools):
    client, session = running(second, probe)
    held_there = [one["name"] for one in session["holds"]]
    report = listed(world, "gc", tools=tools)
    assert not [one for one in report["orphans"] if one["name"] in held_there]
    assert session["name"] not in npxc(world, "gc", tools=tools).stdout.decode()
    result = npxc(world, "gc", "--orphans", session["name"], tools=tools, status=1)
    assert "nothing called" in result.stderr
    assert client.request("tools/list")["result"]
    # the control: once nobody lives, and no lease tells of it, the same things are orphans and go
    kill_both(session)
    client.process.wait(PATIENCE)
    assert wait_until(lambda: not second.leftovers())
    (sessions_of(second) / (session["id"] + ".lease")).unlink()
    cgroups = cgroups_of(session["name"])
    orphans = [one["name"] for one in listed(world, "gc", tools=tools)["orphans"] if session["name"] in one["name"]]
    assert len(orphans) == len(cgroups)
    if cgroups:
        npxc(world, "gc", "--orphans", session["name"], tools=tools)
        assert cgroups_of(session["name"]) == []


def test_a_cgroup_with_a_process_in_it_is_neither_offered_nor_removed(world, probe, tools):
    client, session = running(world, probe)
    cgroups = cgroups_of(session["name"])
    client.close()
    if not cgroups:
        pytest.skip("no cgroups for this user here")
    name = "npxc-x-" + os.urandom(4).hex()
    directory = pathlib.Path(cgroups[0]) / name
    process = subprocess.Popen(["sleep", "1000"])
    try:
        (directory / "below").mkdir(parents=True)
        (directory / "below/cgroup.procs").write_text(str(process.pid))
        report = listed(world, "gc", tools=tools)
        assert name not in json.dumps(report["orphans"])
        assert [one["why"] for one in report["left_alone"] if name in one["name"]] == ["it has processes"]
        result = npxc(world, "gc", "--orphans", name, tools=tools, status=1)
        assert "has processes" in result.stderr and directory.exists() and process.poll() is None
        process.kill()
        process.wait()
        assert wait_until(lambda: not (directory / "below/cgroup.procs").read_text())
        npxc(world, "gc", "--orphans", name, tools=tools)
        assert not directory.exists()
    finally:
        process.kill()
        process.wait()
        for path in (directory / "below", directory):
            if path.exists():
                path.rmdir()


PODMAN = """echo "$*" >>%s
case $1 in
version) echo '{"Client":{"Version":"4.3.1"}}';;
ps) printf '%%s\\t%%s\\t%%s\\n' npxc-x-0000000a %s %s npxc-x-0000000c exited %s;;
network) [ "$2" != ls ] || printf '%%s\\n' %s;;
esac
"""


@pytest.mark.parametrize("state", ["running", "paused", "restarting", "stopping"])
def test_a_container_that_lives_and_its_network_are_left_alone(world, tools, state):
    calls = tools / "calls"
    make_cli(tools, "podman", PODMAN % (calls, state, NETWORK, "podman", NETWORK))
    report = listed(world, "gc", tools=tools)
    alone = {one["name"]: one["why"] for one in report["left_alone"] if "name" in one}
    assert alone["npxc-x-0000000a"] == "it runs" and "container that runs" in alone[NETWORK]
    assert [one["name"] for one in report["orphans"] if one["kind"] != "cgroup"] == ["npxc-x-0000000c"]
    for name in ("npxc-x-0000000a", NETWORK):
        assert name in npxc(world, "gc", "--orphans", "npxc-x-0000000c", name, tools=tools, status=1).stderr
    assert not [line for line in calls.read_text().splitlines() if " rm" in " " + line]
    make_cli(tools, "podman", PODMAN % (calls, "exited", NETWORK, "podman", NETWORK))
    npxc(world, "gc", "--orphans", "npxc-x-0000000a", NETWORK, tools=tools)
    assert len([line for line in calls.read_text().splitlines() if line.startswith(("rm ", "network rm"))]) == 2


def test_what_came_to_life_after_the_look_is_not_removed(world, tools):
    """It is looked at again at the moment of removal."""
    calls = tools / "calls"
    states = '"$([ "$(grep -c ^ps %s)" -gt 1 ] && echo running || echo exited)"' % calls
    make_cli(tools, "podman", PODMAN % (calls, states, NETWORK, "podman", NETWORK))
    (tools / "grep").symlink_to(shutil.which("grep"))
    result = npxc(world, "gc", "--orphans", "npxc-x-0000000a", tools=tools, status=1)
    assert "it runs" in result.stderr
    assert "rm -f" not in calls.read_text()


# ---- stop ----

def test_an_installation_is_stopped_by_its_id_only(world, tmp_path):
    package = tmp_path / "slow"
    package.mkdir()
    (package / "package.json").write_text(json.dumps(
        {"name": "npxc-slow", "version": "1.0.0", "bin": "x.js", "scripts": {"install": "sleep 1000"}}))
    (package / "x.js").write_text("#!/usr/bin/env node\n")
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    process = world.start("install", str(package), env={"XDG_CACHE_HOME": str(world.home / "own-cache")})
    assert wait_until(lambda: any("sandbox" in path.read_text() for path in sessions_of(world).glob("*.lease")))
    session, = listed(world, "ps")
    assert listed(world, "stop", "--all") == []
    for word in (session["package"], "npxc-slow"):
        assert "no session of" in npxc(world, "stop", word, status=1).stderr
    assert process.poll() is None
    outcome, = listed(world, "stop", session["id"])
    assert outcome["outcome"] == "stopped"
    _, errors = process.communicate()
    assert process.returncode == 3 and b"the installation was told to end; start it again" in errors, errors
    assert wait_until(lambda: not world.leftovers())


