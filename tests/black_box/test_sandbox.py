"""What the server sees from inside."""

import pathlib
import socket

from conftest import PROBE_KEY, RUNTIME


def status_field(client, name):
    for line in client.call("status")["value"].splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    raise AssertionError(name)


def test_no_privileges(inside):
    client = inside()
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status_field(client, name), 16) == 0, name
    assert status_field(client, "NoNewPrivs") == "1"
    assert status_field(client, "Seccomp") == "2"
    who = client.call("whoami")["value"]
    assert who["uid"] != 0 and who["gid"] != 0


def test_home_is_set_writable_and_in_passwd(inside, world):
    client = inside()
    who = client.call("whoami")["value"]
    assert who["home"] == client.call("env")["value"]["HOME"]
    assert client.call("write", path=who["home"] + "/x", text="1")["ok"]
    assert not (world.home / "x").exists()
    assert who["user"] in client.call("read", path="/etc/passwd")["value"]


def test_the_environment_is_empty_but_for_what_is_promised(inside):
    client = inside("-e", "ASKED=1", env={"SECRET": "x", "AWS_PROFILE": "y", "LD_PRELOAD": ""})
    names = set(client.call("env")["value"])
    if RUNTIME == "podman":
        names.remove("HOSTNAME")  # the container's own; podman cannot be told to leave it out
    assert names - {"TERM"} == {"PATH", "HOME", "TMPDIR", "LANG", "ASKED", "PWD"} - ({"PWD"} - names)
    assert client.call("env")["value"]["ASKED"] == "1"


def test_the_root_is_read_only_and_the_temporary_places_are_not(inside):
    client = inside()
    for path in ("/x", "/usr/x", "/etc/x", "/opt/x", "/opt/npxc/_npx/package/x", "/var/x", "/proc/sys/kernel/core_pattern"):
        result = client.call("write", path=path, text="x")
        assert not result["ok"] and result["code"] in ("EROFS", "EACCES", "ENOENT", "EPERM"), (path, result)
    for path in ("/tmp/x", "/run/x"):
        assert client.call("write", path=path, text="x")["ok"], path


def test_every_writable_tmpfs_has_a_size(inside):
    client = inside()
    sizes = {}
    for line in client.call("mounts")["value"].splitlines():
        left, right = line.split(" - ")
        fields = left.split()
        if right.startswith("tmpfs ") and "rw" in fields[5].split(",") and \
                client.call("write", path=fields[4] + "/x", text="")["ok"]:
            sizes[fields[4]] = "size=" in right
    assert {"/tmp", "/run", "/dev/shm", client.call("env")["value"]["HOME"]} <= set(sizes)
    assert all(sizes.values()), sizes


def test_the_hosts_files_are_not_there(inside, world):
    secrets = [world.home / ".ssh" / "id_ed25519", world.home / ".npmrc", world.home / "other" / "file"]
    for path in secrets:
        path.parent.mkdir(exist_ok=True)
        path.write_text("secret")
    beside = world.project / "not-named.txt"
    beside.write_text("secret")
    client = inside()
    hosts = [*secrets, beside, pathlib.Path("/etc/shadow"), pathlib.Path("/root/.npmrc")]
    if not RUNTIME:  # a container has one of its own
        hosts.append(pathlib.Path("/etc/hostname"))
    for path in hosts:
        result = client.call("read", path=str(path))
        assert not result["ok"] and result["code"] in ("ENOENT", "EACCES"), (path, result)


def test_other_processes_are_not_there(inside):
    assert inside().call("processes")["value"] <= 4


def test_no_network(inside):
    listener = socket.create_server(("127.0.0.1", 0))
    client = inside()
    assert client.call("connect", host="127.0.0.1", port=listener.getsockname()[1])["code"] == "ECONNREFUSED"
    assert client.call("connect", host="192.0.2.1", port=80)["code"] == "ENETUNREACH"
    listener.close()


def test_network_open_is_the_hosts_on_bwrap_only(inside):
    listener = socket.create_server(("127.0.0.1", 0))
    client = inside("--network", "open")
    assert client.call("connect", host="127.0.0.1", port=listener.getsockname()[1])["ok"] == (RUNTIME is None)
    listener.close()


def test_a_named_file_is_there_and_its_neighbours_are_not(inside, world):
    named = world.project / "named.txt"
    named.write_text("hello")
    (world.project / "other.txt").write_text("secret")
    named.chmod(0o644)
    client = inside(arguments=["serve", str(named)])
    assert client.call("read", path=str(named))["value"] == "hello"
    assert client.call("cwd")["value"] == str(world.project)
    assert client.call("read", path="named.txt")["value"] == "hello"
    assert client.call("read", path=str(world.project / "other.txt"))["code"] == "ENOENT"
    assert not client.call("write", path=str(named), text="changed")["ok"]
    assert named.read_text() == "hello"


def test_a_file_outside_is_not_mounted_and_the_flag_is_named(world, probe):
    outside = world.home / "outside.txt"
    outside.write_text("x")
    client = world.client(probe, "serve", str(outside))
    client.handshake()
    assert client.call("read", path=str(outside))["code"] == "ENOENT"
    _, _, err = client.close()
    assert f"--mount {outside}" in err


def test_mount_flags_show_what_they_name_and_writable_only_with_rw(inside, world):
    directory = world.home / "data"
    directory.mkdir()
    directory.chmod(0o777)
    (directory / "f").write_text("1")
    client = inside("--mount", f"{directory}", "--mount", f"{directory}:/srv/data:rw")
    assert client.call("read", path=str(directory / "f"))["value"] == "1"
    assert not client.call("write", path=str(directory / "g"), text="2")["ok"]
    assert client.call("write", path="/srv/data/g", text="2")["ok"]
    assert (directory / "g").read_text() == "2"


def test_project_read_only_and_read_write(inside, world):
    world.project.chmod(0o777)
    (world.project / "a").write_text("1")
    client = inside("--project")
    assert client.call("read", path="a")["value"] == "1"
    assert not client.call("write", path="b", text="2")["ok"]
    client = inside("--project=rw")
    assert client.call("write", path="b", text="2")["ok"]
    assert (world.project / "b").read_text() == "2"


def test_a_socket_in_a_mounted_tree_is_masked(world, probe):
    path = world.project / "s"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    path.chmod(0o777)
    client = world.client("--project", probe)
    client.handshake()
    assert client.call("read", path="s") == {"ok": True, "value": ""}
    _, _, err = client.close()
    assert f"{path} is a socket or FIFO of the host" in err
    listener.close()


def test_storage_is_kept_and_is_the_packages_own(inside, world):
    world.configure_probe({"storage": {"persist": True, "writable": ["/srv/cache"]}})
    client = inside()
    assert client.call("write", path="/data/kept", text="1")["ok"]
    assert client.call("write", path="/srv/cache/x", text="1")["ok"]
    client.close()
    again = inside()
    assert again.call("read", path="/data/kept")["value"] == "1"
    assert again.call("read", path="/srv/cache/x")["code"] == "ENOENT"
    assert (world.home / f".local/share/npxc/packages/{PROBE_KEY}/kept").read_text() == "1"


def test_new_user_namespaces_are_refused(inside):
    result = inside().call("spawn", command="unshare", args=["-U", "true"])["value"]
    assert result["status"] not in (0, None)


def test_memory_is_limited_or_said_not_to_be(world, probe):
    """Where a cgroup can be made the kernel ends a server that takes more; elsewhere npxc says that it does not."""
    plan = world.run("inspect", "--json", "--memory", "256m", probe)
    if plan.returncode != 0:
        world.run("install", probe)
        plan = world.run("inspect", "--json", "--memory", "256m", probe)
    import json
    limits = json.loads(plan.stdout)["limits"]
    if not limits.get("memory_enforced", RUNTIME is not None):
        assert "memory: not enforced" in limits["text"]
        return
    client = world.client("--memory", "256m", probe)
    client.handshake()
    client.id += 1
    client.process.stdin.write(b'{"jsonrpc":"2.0","id":99,"method":"tools/call","params":{"name":"allocate","arguments":{"mib":512}}}\n')
    client.process.stdin.flush()
    assert client.process.wait(120) == 128 + 9
    client.process.stdin.close()
    client.process.stdout.close()
