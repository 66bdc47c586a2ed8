"""Directories of HOME that a package keeps from one session to the next (storage.home)."""

import json
import os
import shutil
import stat
import subprocess

import pytest

from conftest import PROBE_KEY, TOP

KEPT = {"storage": {"home": [".mcp-auth", ".config/x"]}}


def kept_of(world, *parts):
    return world.home.joinpath(".local/share/npxc/home", PROBE_KEY, *parts)


def shell(client, script):
    return client.call("spawn", command="sh", args=["-c", script])["value"]


def test_what_is_written_there_is_there_at_the_next_start_and_nothing_else_of_home(world, inside):
    world.configure_probe(KEPT)
    first = inside()
    home = first.call("whoami")["value"]["home"]
    for name in (".mcp-auth/token", ".config/x/state", ".config/other", ".lost"):
        assert first.call("write", path=f"{home}/{name}", text="1")["ok"], name
    first.close()
    again = inside()
    assert again.call("read", path=f"{home}/.mcp-auth/token")["value"] == "1"
    assert again.call("read", path=f"{home}/.config/x/state")["value"] == "1"
    assert again.call("read", path=f"{home}/.config/other")["code"] == "ENOENT"
    assert again.call("read", path=f"{home}/.lost")["code"] == "ENOENT"
    assert kept_of(world, ".config%2Fx", "state").read_text() == "1"
    assert not (world.home / ".mcp-auth").exists() and not (world.home / ".config/x").exists()


def test_on_the_host_it_is_private(world, inside):
    world.configure_probe(KEPT)
    inside().close()
    for directory in (kept_of(world), kept_of(world, ".mcp-auth"), kept_of(world, ".config%2Fx")):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700, directory


@pytest.fixture
def apple(world):
    """The replay shim as Apple's CLI."""
    cli = world.home / "cli"
    cli.mkdir()
    shutil.copy(TOP / "build/shim/container", cli / "container")
    (cli / "shim.json").write_text(json.dumps({
        "cassette": str(TOP / "fixtures/cassettes/container-1.2.2.json"), "state": "../shim-state",
        "journal": "../journal.jsonl", "path": os.environ["PATH"]}))
    world.write_config("npxc.json", {"defaults": {"runtime": "apple", "container_cli": str(cli / "container")},
                                     "paths": {"strategies": ["config"]}})
    world.env["XDG_CACHE_HOME"] = str(world.home / "cache")  # what runs on this machine is not for a real sandbox
    yield world
    subprocess.run([str(cli / "container"), "--shim-end"], capture_output=True, timeout=60)
    for directory in (world.home / "cache").rglob("*"):
        if directory.is_dir() and not directory.is_symlink():
            directory.chmod(0o755)  # what is installed is read-only


def test_apples_cli_is_given_a_volume_for_each_and_a_tmpfs_for_what_lies_between(apple, probe):
    apple.configure_probe(KEPT)
    for text in ("first", "second"):
        result = apple.run(probe, "args", text)
        assert result.returncode == 0, result.stderr
    run = [json.loads(line)["argv"] for line in (apple.home / "journal.jsonl").read_text().splitlines()]
    run = [argv for argv in run if "run" in argv[:2]][-1]
    home = str(apple.home)
    for directory, path in ((".mcp-auth", ".mcp-auth"), (".config%2Fx", ".config/x")):
        volume = f"{kept_of(apple, directory)}:{home}/{path}"
        assert run[run.index(volume) - 1] == "-v"
    tmpfs = [run[at + 1] for at, word in enumerate(run) if word == "--tmpfs"]
    assert tmpfs.index(home) < tmpfs.index(f"{home}/.config") and f"{home}/.mcp-auth" not in tmpfs


def test_two_sessions_at_once_share_it(world, inside):
    world.configure_probe(KEPT)
    first, second = inside(), inside()
    home = first.call("whoami")["value"]["home"]
    assert first.call("write", path=f"{home}/.mcp-auth/token", text="1")["ok"]
    assert second.call("read", path=f"{home}/.mcp-auth/token")["value"] == "1"


def test_a_link_that_a_server_left_there_leads_nobody_out(world, inside):
    """Neither the next session's mount, nor `list`: what stands above the trees is npxc's, what is in them is not read."""
    world.configure_probe(KEPT)
    secret = world.home / "secret"
    secret.mkdir()
    (secret / "id").write_text("PRIVATE" * 100000)
    first = inside()
    assert shell(first, f"ln -s {world.home} ~/.mcp-auth/out; rmdir ~/.mcp-auth; mv ~/.mcp-auth ~/y; "
                        "ln -s /etc ~/.config/x/y")["status"] == 0
    first.close()
    again = inside()
    assert shell(again, "cat ~/.mcp-auth/out/secret/id")["status"] != 0
    rows = json.loads(world.run("list", "--json").stdout)
    kept = next(row["keeps"] for row in rows if row["key"] == PROBE_KEY)
    assert all(one["bytes"] < 300000 for one in kept)


def test_one_replaced_by_a_link_of_the_host_is_refused(world, probe, inside):
    world.configure_probe(KEPT)
    inside().close()
    (world.home / "private").mkdir()
    kept_of(world, ".mcp-auth").rmdir()
    kept_of(world, ".mcp-auth").symlink_to(world.home / "private")
    result = world.run(probe)
    assert result.returncode == 1 and result.stdout == b""
    assert "storage.home" in result.stderr and "is a symbolic link" in result.stderr


def test_inspect_shows_where_and_makes_nothing(world, probe, inside):
    world.configure_probe(KEPT)
    world.run("install", probe)
    plan = json.loads(world.run("inspect", "--json", probe).stdout)
    home = str(world.home)
    mounts = {mount["container"]: mount for mount in plan["mounts"] if mount["origin"] == "storage.home"}
    assert mounts[f"{home}/.mcp-auth"]["host"] == str(kept_of(world, ".mcp-auth"))
    assert mounts[f"{home}/.config/x"]["mode"] == "rw"
    text = world.run("inspect", probe).stdout.decode()
    assert f"{kept_of(world, '.mcp-auth')} as {home}/.mcp-auth read-write (storage.home)" in text
    assert not kept_of(world).exists()


def test_list_tells_it_with_its_size_also_when_the_package_is_gone(world, probe, inside):
    world.configure_probe({"storage": {"home": [".mcp-auth"], "persist": True}})
    client = inside()
    home = client.call("whoami")["value"]["home"]
    assert client.call("write", path=f"{home}/.mcp-auth/token", text="x" * 100000)["ok"]
    client.close()
    rows = json.loads(world.run("list", "--json").stdout)
    kept = {one["inside"]: one for one in next(row["keeps"] for row in rows if row["key"] == PROBE_KEY)}
    assert set(kept) == {"/data", "~/.mcp-auth"}
    assert kept["~/.mcp-auth"]["bytes"] >= 100000 and kept["~/.mcp-auth"]["complete"]
    assert kept["~/.mcp-auth"]["directory"] == str(kept_of(world, ".mcp-auth"))
    assert "~/.mcp-auth" in world.run("list").stdout.decode()
    own = {"XDG_CACHE_HOME": str(world.home / "cache")}  # an empty store
    rows = json.loads(world.run("list", "--json", env=own).stdout)
    assert [row["key"] for row in rows] == [PROBE_KEY] and len(rows[0]["keeps"]) == 2


@pytest.mark.parametrize("value, word", [
    ("/abs", "not a directory of HOME"), ("~/.x", "not a directory of HOME"), ("", "not a directory of HOME"),
    (".", "write it plainly"), ("..", "write it plainly"), ("a/../b", "write it plainly"), ("a//b", "write it plainly"),
    ("a/", "write it plainly"), ("./a", "write it plainly"), ("x" * 81, "longer than"),
    (".ssh", "holds secrets"), (".ssh/x", "holds secrets"), (".config/git", "holds secrets"), ("a/.aws/b", "holds secrets"),
    (".bashrc", "holds secrets")])
def test_a_directory_that_is_none_of_homes_own_is_refused(world, probe, value, word):
    world.configure_probe({"storage": {"home": [value]}})
    result = world.run(probe)
    assert (result.returncode, result.stdout) == (1, b"")
    assert "storage.home[0]" in result.stderr and word in result.stderr


@pytest.mark.parametrize("values", [["a", "a/b"], ["A", "a"], [".config/x", ".Config"]])
def test_directories_that_lie_in_each_other_are_refused(world, probe, values):
    world.configure_probe({"storage": {"home": values}})
    result = world.run(probe)
    assert (result.returncode, result.stdout) == (1, b"") and "keep one of them" in result.stderr


@pytest.mark.parametrize("home, flags, what", [
    ("project/state", (), "the working directory"), ("project", (), "the working directory"),
    ("other/x", ("--mount", "{home}/other"), "the mount at"), ("other", ("--mount", "{home}/other/x"), "the mount at")])
def test_one_that_would_cover_what_is_shown_is_refused(world, probe, home, flags, what):
    (world.home / "other/x").mkdir(parents=True)
    world.configure_probe({"storage": {"home": [home]}})
    result = world.run(*(flag.format(home=world.home) for flag in flags), probe)
    assert (result.returncode, result.stdout) == (1, b"")
    assert what in result.stderr and "leave one of them out" in result.stderr


@pytest.mark.parametrize("cwd", ["project", "."])
@pytest.mark.parametrize("persist", [False, True])
def test_a_server_that_writes_beside_its_package_is_told_what_keeps_it(world, probe, inside, persist, cwd):
    """Once, also where the working directory (HOME) shows nothing."""
    file = world.configure_probe({"storage": {"persist": persist}})
    client = world.client(probe, cwd=world.home / cwd)
    client.handshake()
    for _ in range(2):
        assert client.call("write", path=f"{probe}/state.json", text="1")["code"] == "EROFS"
    _, _, err = client.close()
    lines = [line for line in err.splitlines() if "beside its package" in line]
    assert len(lines) == 1 and "/data" in lines[0] and "sees" not in err
    assert ('"storage": {"persist": true} in %s' % file in lines[0]) == (not persist)


def test_no_mount_may_show_where_they_are_kept(world, probe):
    kept_of(world).mkdir(parents=True)
    result = world.run("--mount", f"{kept_of(world)}:rw", probe)
    assert result.returncode == 1 and os.listdir(kept_of(world)) == []
