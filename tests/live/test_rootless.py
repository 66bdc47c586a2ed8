"""Podman of an ordinary user: none and named networks work, an allowlist with link gateway is refused."""

import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

import pytest

import black_box
from conftest import ENGINE, GONE, processes

USER = "npxc-rootless"
try:
    ENTRY = pwd.getpwnam(USER)
except KeyError:
    ENTRY = None

# The only reasons for which these are skipped.
pytestmark = [
    pytest.mark.skipif(ENGINE != "podman", reason="is about podman"),
    pytest.mark.skipif(os.getuid() != 0, reason=f"only root can become the user {USER}"),
    pytest.mark.skipif(ENTRY is None, reason=f"no user {USER}: ci/podman makes it where rootless podman can work"),
]


def identity():
    return {"user": ENTRY.pw_uid, "group": ENTRY.pw_gid, "extra_groups": []}


class Rootless(black_box.World):
    """A world whose npxc and podman are the ordinary user's; podman keeps its containers where that user has them."""

    def __init__(self, home, cache):
        super().__init__(home, cache)
        self.program = home / "npxc"
        shutil.copy(black_box.NPXC, self.program)
        self.probe = home / "probe"
        shutil.copytree(black_box.PROBE, self.probe)
        storage = home / ".config" / "containers" / "storage.conf"
        storage.parent.mkdir(parents=True)
        storage.write_text("[storage]\ndriver = 'overlay'\n"
                           f"graphroot = '{ENTRY.pw_dir}/.local/share/containers/storage'\n"
                           f"runroot = '{self.runtime_directory}/containers'\n")
        self.env["XDG_RUNTIME_DIR"] = str(self.runtime_directory)
        self.own()

    runtime_directory = pathlib.Path(f"/run/user/{ENTRY.pw_uid if ENTRY else 0}")

    def own(self):
        for entry in (self.home, *self.home.rglob("*")):
            os.chown(entry, ENTRY.pw_uid, ENTRY.pw_gid, follow_symlinks=False)

    def start(self, *words, env=None, cwd=None, **more):
        streams = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return subprocess.Popen([str(self.program), *map(str, words)], cwd=str(cwd or self.project),
                                env={**self.env, **(env or {})}, **{**streams, **identity(), **more})


def plainly(*words, check=True):
    """A program as the user, with nothing of a test in its environment."""
    env = {"PATH": os.environ["PATH"], "HOME": ENTRY.pw_dir, "XDG_RUNTIME_DIR": str(Rootless.runtime_directory)}
    result = subprocess.run(words, capture_output=True, text=True, env=env, cwd="/", timeout=60, **identity())
    assert not check or result.returncode == 0, result.stderr
    return result.stdout


def ours():
    names = set(plainly("podman", "ps", "-a", "--format", "container {{.Names}}").splitlines())
    names |= set(plainly("podman", "network", "ls", "--format", "network {{.Name}}").splitlines())
    listed = plainly("runc", "--root", f"{Rootless.runtime_directory}/runc", "list", "--format", "json")
    names |= {"runc " + entry["id"] for entry in json.loads(listed) or []}
    for program in ("conmon", "podman", "slirp4netns"):
        for pid, _ in processes(program):
            if os.stat(f"/proc/{pid}").st_uid == ENTRY.pw_uid:
                names.add(f"{program} {pid}")
    return names


@pytest.fixture(scope="module")
def engine():
    """The process that keeps the user's namespaces between calls of podman: started plainly, ended at the end."""
    plainly("podman", "ps")
    yield
    plainly("podman", "system", "migrate")


@pytest.fixture(scope="module")
def store(engine):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="npxc-rootless-"))
    os.chown(directory, ENTRY.pw_uid, ENTRY.pw_gid)
    yield directory
    for entry in (directory, *directory.rglob("*")):
        if entry.is_dir() and not entry.is_symlink():
            entry.chmod(0o700)
    shutil.rmtree(directory)


@pytest.fixture
def world(store):
    home = pathlib.Path(tempfile.mkdtemp(prefix="npxc-home-"))
    home.chmod(0o755)
    world = Rootless(home, store)
    before = ours()
    result = world.run("install", world.probe)
    assert result.returncode == 0, result.stderr
    yield world
    gone = black_box.wait_until(lambda: not world.leftovers() and not ours() - before, GONE)
    left = (world.leftovers(), ours() - before)
    for pid in left[0]:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(home)
    assert gone, left


@pytest.fixture(autouse=True)
def nothing_is_left(world):
    """Not root's podman, which the other tests here look at."""


def test_a_server_without_network_has_loopback_only(world):
    client = world.client(world.probe)
    client.handshake()
    assert client.call("whoami")["value"]["uid"] == ENTRY.pw_uid
    assert client.call("interfaces")["value"] == ["lo"]
    assert client.call("connect", host="192.0.2.1", port=80)["code"] == "ENETUNREACH"
    assert client.close()[0] == 0


def test_a_named_network_is_used_and_stays(world):
    name = f"live-test-{os.getpid()}"
    plainly("podman", "network", "create", "--internal", name)
    try:
        client = world.client("--network", name, world.probe)
        client.handshake()
        assert client.call("interfaces")["value"] != ["lo"]
        assert client.call("connect", host="192.0.2.1", port=80)["code"] == "ENETUNREACH"
        assert client.close()[0] == 0
        assert "network " + name in ours()
    finally:
        plainly("podman", "network", "rm", name)


def test_an_allowlist_with_link_gateway_is_refused(world):
    world.configure_probe({"package_dir": str(world.probe), "network": {"mode": "allowlist", "link": "gateway"}})
    world.own()
    result = world.run(world.probe)
    assert (result.returncode, result.stdout) == (1, b"")
    assert "rootless podman" in result.stderr and "its gateway is not this host" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_ignores_its_end(world, number):
    process = world.start(world.probe, "stubborn", start_new_session=True)
    assert json.loads(process.stdout.readline())["method"] == "notifications/ready"
    os.killpg(process.pid, number)
    assert process.wait(black_box.PATIENCE) in (-number, 128 + number)
    process.communicate()


def test_a_named_network_that_is_not_there(world):
    result = world.run("--network", "surely-not-there", world.probe)
    assert (result.returncode, result.stdout) == (4, b"")
    assert "surely-not-there" in result.stderr
