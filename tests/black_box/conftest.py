"""The launcher as a user and a client see it: a program with arguments, pipes, an environment and an exit status."""

import hashlib
import json
import os
import pathlib
import select
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(TOP / "tests" / "record"))

from stored import stored_copy  # noqa: E402

NPXC = pathlib.Path(os.environ.get("NPXC", TOP / "build" / "npxc")).resolve()
PROBE = TOP / "conformance" / "servers" / "probe"
PROBE_KEY = "dir=0" + hashlib.sha256(str(PROBE).encode()).hexdigest()[:32]  # of its data
STORED = stored_copy(PROBE)
RUNTIME = os.environ.get("NPXC_TEST_RUNTIME")  # another one than this machine's ordinary one

# Whoever started this may ignore them, as a shell does for what it starts in the background. What is tried would inherit
# that, and npxc keeps to it.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)

# How long a test waits for an event before it is called missing. Not a figure about npxc: machines are slow and shared.
PATIENCE = 60


def processes_with(marker):
    """pids of the processes whose arguments or environment hold the marker (zombies have neither)."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
        except OSError:
            continue
        if marker.encode() in text:
            found.append(int(entry.name))
    return found


def wait_until(condition, patience=PATIENCE):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


class World:
    """A home of its own, with configuration, data and state in it; the store is shared, so that installs are few."""

    def __init__(self, home, cache):
        self.home = home
        self.project = home / "project"
        self.project.mkdir()
        self.marker = home.name  # stands in every HOME, and so in arguments and environment of every process
        keep = ("PATH", "NODE_EXTRA_CA_CERTS", "LANG", "TERM", "DOCKER_HOST")
        self.env = {name: os.environ[name] for name in keep if name in os.environ}
        self.env.update({name: value for name, value in os.environ.items() if name.lower().startswith("npm_config_")})
        self.env.update(HOME=str(home), XDG_CACHE_HOME=str(cache))
        self.config = home / ".config" / "npxc"
        # The probe's tools are asked about paths of the sandbox, which look like paths of the host: only arguments that
        # a test names itself count as paths, unless it wants the ordinary strategies.
        self.configure({"strategies": ["config"]})

    def configure(self, paths):
        """npxc.json, with these rules about paths."""
        self.write_config("npxc.json", {"defaults": {"runtime": RUNTIME} if RUNTIME else {}, "paths": paths})

    def write_config(self, name, value):
        path = self.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    def configure_probe(self, value, directory=PROBE):
        """The file of the probe, which is a directory: it names that, whatever the probe calls itself."""
        return self.write_config("packages/npxc-probe.json", {"package_dir": str(directory), **value})

    def start(self, *words, env=None, cwd=None, **more):
        streams = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        streams.update(more)
        env = env or {}
        if words[:1] == ("gc",) and os.geteuid() != 0:  # an ordinary user's podman, once asked, leaves a process of its own
            env = {"PATH": str(self.home), **env}
        return subprocess.Popen([str(NPXC), *map(str, words)], cwd=str(cwd or self.project),
                                env={**self.env, **env}, **streams)

    def run(self, *words, stdin=b"", env=None, cwd=None, patience=PATIENCE * 5):
        process = self.start(*words, env=env, cwd=cwd)
        out, err = process.communicate(stdin, timeout=patience)
        return subprocess.CompletedProcess(words, process.returncode, out, err.decode(errors="replace"))

    def leftovers(self):
        return processes_with(self.marker)

    def client(self, *words, **more):
        return Client(self.start(*words, **more))


class Client:
    """A plain MCP client: one request, one answer."""

    def __init__(self, process):
        self.process = process
        self.id = 0
        self.buffered = b""

    def read_line(self):
        while b"\n" not in self.buffered:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
            assert ready, "no answer"
            got = os.read(self.process.stdout.fileno(), 1 << 16)
            assert got, "stdout closed: " + self.process.stderr.read().decode(errors="replace")
            self.buffered += got
        line, self.buffered = self.buffered.split(b"\n", 1)
        return line

    def request(self, method, **params):
        self.id += 1
        message = {"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            answer = json.loads(self.read_line())
            if answer.get("id") == self.id:
                return answer

    def handshake(self):
        answer = self.request("initialize", protocolVersion="2025-06-18", capabilities={},
                              clientInfo={"name": "test", "version": "0"})
        return answer["result"]

    def call(self, name, **arguments):
        """The probe's own result: {ok, value} or {ok, code, message}."""
        answer = self.request("tools/call", name=name, arguments=arguments)
        return json.loads(answer["result"]["content"][0]["text"])

    def close(self):
        """As an SDK closes: end of input, then wait for the end of the process and of both pipes."""
        self.process.stdin.close()
        out = self.buffered + self.process.stdout.read()
        err = self.process.stderr.read().decode(errors="replace")
        return self.process.wait(PATIENCE), out, err


class Echo:
    """A server on this machine's loopback that gives back what it gets."""

    def __init__(self, port=0):
        self.port = port
        self.connections = 0

    def __enter__(self):
        self.server = EchoServer(("127.0.0.1", self.port), EchoHandler)
        self.server.echo = self
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class EchoHandler(socketserver.BaseRequestHandler):
    def handle(self):
        self.server.echo.connections += 1
        while got := self.request.recv(1 << 16):
            self.request.sendall(got)


def without_limits(stderr):
    """Not every machine can hold them, and npxc says so."""
    return "".join(line for line in stderr.splitlines(True) if ": not all limits hold on this machine: " not in line)


@pytest.fixture(scope="session")
def cache():
    """The store of all tests, so that each package is installed once."""
    directory = pathlib.Path(os.environ.get("NPXC_TEST_CACHE", TOP / "build" / f"test-cache-{os.getuid()}"))
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@pytest.fixture
def world(cache):
    # not below pytest's directory of mode 0700: a session that root starts runs as another user
    home = pathlib.Path(tempfile.mkdtemp(prefix="npxc-home-"))
    home.chmod(0o755)
    world = World(home, cache)
    yield world
    gone = wait_until(lambda: not world.leftovers(), 20)
    left = world.leftovers()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(home, ignore_errors=True)
    assert gone, f"left behind: {left}"


@pytest.fixture
def alone(world):
    """A store of its own."""
    with tempfile.TemporaryDirectory(prefix="npxc-cache-") as cache:
        os.chmod(cache, 0o755)
        world.env["XDG_CACHE_HOME"] = cache
        yield world


@pytest.fixture
def probe(cache):
    """The probe as a directory spec, in a place that every user can read."""
    return str(PROBE)


@pytest.fixture
def stored():
    """STORED, as a directory spec."""
    return str(STORED)


@pytest.fixture
def inside(world, probe):
    """A handshaken client; `inside(...)` starts it with flags before the spec and arguments after."""
    clients = []

    def start(*flags, arguments=(), **more):
        client = world.client(*flags, probe, *arguments, **more)
        clients.append(client)
        client.handshake()
        return client

    yield start
    for client in clients:
        client.close()
