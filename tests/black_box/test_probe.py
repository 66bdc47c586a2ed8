"""`npxc doctor --probe`: a guest on each link says what it reaches, and that decides about Apple's link socket."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from conftest import NPXC, PATIENCE, RUNTIME, TOP, wait_until

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap") or sys.platform != "linux",
                                reason="other runtimes: tests/live")

SHIM = TOP / "build" / "shim" / "container"


def seen(world):
    file = world.home / ".local/state/npxc/probe.json"
    assert file.stat().st_mode & 0o777 == 0o600
    return {(entry["runtime"], entry["version"], entry["link"]): entry["ok"]
            for entry in json.loads(file.read_text())["seen"]}


def findings(result):
    return json.loads(result.stdout)["findings"]


def has_way_out(pid):
    """Whether it has an egress process: of an ordinary user's, no more than this is to be seen."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        if name == "npxc-egress" and int(rest.split()[1]) == pid:
            return True
    return False


def test_links_of_this_machine_keep_an_allowlist(world):
    with tempfile.TemporaryDirectory(prefix="npxc-tmp-") as temporary:
        os.chmod(temporary, 0o755)
        result = world.run("doctor", "--probe", env={"TMPDIR": temporary})
        assert os.listdir(temporary) == []
    # Limits that this machine cannot keep are doctor's to tell too.
    assert (result.returncode, result.stderr) == (2 if b"FAIL  limits" in result.stdout else 0, "")
    said = [line.split(" (")[0] for line in result.stdout.decode().splitlines() if line[6:].startswith("link ")]
    assert said == [f"ok    link {link}: {what}" for link in ("netns", "socket") for what in (
        "what a rule allows is reached", "a name of no rule is refused", "an address of no rule is refused",
        "no way around npxc to 192.0.2.1", "no way around npxc to 2001:db8::1",
        "this machine's loopback is not the guest's")]
    assert seen(world) == {("bwrap", "", "netns"): True, ("bwrap", "", "socket"): True}
    # Nobody's server: nothing of it in the audit log, and of its sessions nothing at all.
    assert [entry.name for entry in (world.home / ".local/state/npxc").iterdir() if entry.name != "sessions"] == [
        "probe.json"]


def test_doctor_names_what_a_link_does_not_stop(world):
    plain = world.run("doctor")
    assert b"note  allowlist on link socket: programs that are neither Node nor take" in plain.stdout
    assert not (world.home / ".local/state/npxc/probe.json").exists()
    noted = [f["what"] for f in findings(world.run("doctor", "--json")) if f.get("note")]
    noted = [what for what in noted if not what.startswith("limits: ")]  # of those that this user cannot set
    assert len(noted) == 1 and noted[0].startswith("allowlist on link socket: ")


def test_a_guest_that_cannot_start_is_a_failure(world):
    with tempfile.TemporaryDirectory(prefix="npxc-bin-") as bin_directory:
        os.chmod(bin_directory, 0o755)
        os.symlink(shutil.which("bwrap"), f"{bin_directory}/bwrap")
        node = pathlib.Path(bin_directory, "node")  # found first, and none
        node.write_text("#!/bin/sh\nexit 1\n")
        node.chmod(0o755)
        result = world.run("doctor", "--probe", "--json", env={"PATH": bin_directory,
                                                               "XDG_CACHE_HOME": str(world.home / "cache")})
    assert result.returncode == 2
    failed = [f["what"] for f in findings(result) if not f["ok"] and f["what"].startswith("link ")]
    assert len(failed) == 2
    assert failed[0].startswith("link netns: ") and failed[1].startswith("link socket: ") and "/node does not work" in failed[0]
    assert set(seen(world).values()) == {False}


def test_a_signal_ends_it(world):
    process = world.start("doctor", "--probe")
    assert wait_until(lambda: has_way_out(process.pid))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert not (world.home / ".local/state/npxc/probe.json").exists()


def test_a_killed_one_leaves_nobody(world):
    process = world.start("doctor", "--probe")
    assert wait_until(lambda: has_way_out(process.pid))
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert wait_until(lambda: not world.leftovers())


# ---- Apple's CLI, replayed: its guests run on this machine, with no wall around them ----

@pytest.fixture
def apple(world):
    cli = world.home / "cli"
    cli.mkdir()
    shutil.copy(SHIM, cli / "container")
    (cli / "shim.json").write_text(json.dumps({
        "cassette": str(TOP / "fixtures/cassettes/container-1.2.2.json"), "state": "../shim-state",
        "journal": "../journal.jsonl", "path": os.environ["PATH"]}))
    world.write_config("npxc.json", {"defaults": {"runtime": "apple", "container_cli": str(cli / "container")}})
    yield world
    subprocess.run([str(cli / "container"), "--shim-end"], capture_output=True, timeout=PATIENCE)


def link_of(world, probe):
    result = world.run("inspect", "--json", probe)
    assert result.returncode == 0, result.stderr
    network = json.loads(result.stdout)["network"]
    return network["link"], network["link_why"]


def write_seen(world, text):
    file = world.home / ".local/state/npxc/probe.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text if isinstance(text, str) else json.dumps(text))


def entry(**changes):
    return {"format": 1, "seen": [{"runtime": "apple", "version": "1.2.2", "link": "socket", "ok": True,
                                   "when": "2026-01-01T00:00:00Z", **changes}]}


def test_auto_takes_apples_socket_only_where_it_was_seen_to_work(apple, probe):
    own = {"XDG_CACHE_HOME": str(apple.home / "cache")}
    apple.env.update(own)
    assert apple.run("install", probe).returncode == 0
    apple.configure_probe({"network": {"mode": "allowlist"}})
    unseen = ("gateway", "link socket has not been seen to work here: npxc doctor --probe")
    assert link_of(apple, probe) == unseen
    write_seen(apple, entry())
    assert link_of(apple, probe) == ("socket", "npxc doctor --probe has seen it work")
    for other in (entry(ok=False), entry(version="1.2.1"), entry(link="gateway"), entry(runtime="podman"),
                  {**entry(), "format": 2}, entry(more=1), "{", ""):
        write_seen(apple, other)
        assert link_of(apple, probe) == unseen


def test_a_guest_without_walls_is_seen(apple):
    """The positive control. In a network namespace with loopback alone, so that nothing it tries leaves the machine."""
    command = ["bwrap", "--unshare-net", "--dev-bind", "/", "/", str(NPXC), "doctor", "--probe", "--json"]
    write_seen(apple, entry())
    result = subprocess.run(command, cwd=apple.project, env=apple.env, capture_output=True, timeout=PATIENCE * 5)
    assert result.returncode == 2, result.stderr
    failed = [f["what"] for f in findings(result) if not f["ok"]]
    for link in ("socket", "gateway"):
        assert f"link {link}: this machine's loopback is not the guest's: not so (connected, SAID)" in failed
    assert seen(apple) == {("apple", "1.2.2", "socket"): False, ("apple", "1.2.2", "gateway"): False}
