"""The guest's preload as servers meet it: real Node releases and real client libraries in a sandbox without a network.

Everything that a guest reaches runs on this machine: servers.cjs and a CONNECT proxy on loopback, outside the sandbox.
Inside, bubblewrap leaves nothing but a loopback of its own and the one socket, so what works came through the proxy.
"""

import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("NPXC_BUILD", TOP / "build")).resolve()
PRELOAD = BUILD / "guest" / "egress.cjs"
CACHE = pathlib.Path(os.environ.get("NPXC_TEST_CACHE", BUILD / f"test-cache-{os.getuid()}")) / "guest"
NODES = {18: "18.20.8", 20: "20.20.2", 22: "22.23.3", 24: "24.21.0", 26: "26.12.1"}
MAJORS = [int(word) for word in os.environ.get("NPXC_TEST_NODES", "18,26").split(",")]

PATIENCE = 120
RELAY_PORT = 3128
# What rules allow; evil.test has the same servers, so that only the rule keeps a guest from them.
RULES = ("api.test", "*.api.test:443", "nowhere.test", "slow.test", "[2606:4700::1]:7", "192.0.2.7:7")


def npm(directory, *words):
    subprocess.run(["npm", *words, "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"],
                   cwd=directory, check=True, timeout=PATIENCE * 3, stdout=subprocess.DEVNULL)


def once(name, make):
    """A directory of the cache that `make` fills; it appears under its name when it is complete."""
    directory = CACHE / name
    if not directory.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = pathlib.Path(tempfile.mkdtemp(prefix="part-", dir=CACHE))
        try:
            make(part)
            part.chmod(0o755)
            part.rename(directory)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return directory


def node_of(major):
    package = f"node-linux-{ {'x86_64': 'x64', 'aarch64': 'arm64'}[platform.machine()] }"
    made = once(f"node-{NODES[major]}",
                lambda part: npm(part, "install", "--prefix", ".", "--no-save", f"{package}@{NODES[major]}"))
    return made / "node_modules" / package


@pytest.fixture(scope="session")
def clients():
    lock = (HERE / "clients" / "package-lock.json").read_bytes()

    def make(part):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "clients" / name, part)
        npm(part, "ci")

    import hashlib
    return once(f"clients-{hashlib.sha256(lock).hexdigest()[:12]}", make) / "node_modules"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """ca.pem, and server.pem with server.key for the names that the servers go by."""
    directory = tmp_path_factory.mktemp("certificates")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, stderr=subprocess.DEVNULL)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=api.test")
    (directory / "names").write_text("subjectAltName=DNS:api.test,DNS:*.api.test,DNS:evil.test\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "server.pem")
    return directory


class Started:
    """A program that prints a first line when it is ready, and ends when its stdin does."""

    def __init__(self, words, **more):
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, **more)
        self.line = self.process.stdout.readline()
        assert self.line, f"{words[0]} did not start"

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(PATIENCE) == 0


@pytest.fixture(scope="session")
def servers(certificates, clients):
    """A file that maps the ports that clients name to ports of 127.0.0.1."""
    started = Started([node_of(max(MAJORS)) / "bin" / "node", HERE / "servers.cjs", certificates, clients])
    hosts = certificates / "hosts.json"
    hosts.write_text(started.line)
    yield hosts
    started.end()


class Proxy:
    """Some CONNECT proxy on a UNIX socket, with a list of rules. `token`: what it wants to see, as on link gateway."""

    def __init__(self, directory, hosts, rules=RULES, token=None):
        self.socket = directory / "egress.sock"
        env = dict(os.environ, **({"NPXC_EGRESS_TOKEN": token} if token else {}))
        self.started = Started([sys.executable, HERE / "proxy.py", f"unix:{self.socket}", hosts, *rules], env=env)
        self.token = token

    def end(self):
        self.started.end()


@pytest.fixture
def directory():
    made = pathlib.Path(tempfile.mkdtemp(prefix="npxc-guest-"))  # short: a socket's path has 108 bytes
    yield made
    shutil.rmtree(made)


@pytest.fixture
def proxy(directory, servers):
    started = Proxy(directory, servers)
    # its lines are for tests that ask for them; nobody else reads the pipe
    import threading
    drain = threading.Thread(target=lambda: [None for _ in started.started.process.stdout], daemon=True)
    drain.start()
    yield started
    started.started.process.stdin.close()
    assert started.started.process.wait(PATIENCE) == 0
    drain.join(PATIENCE)
    started.started.process.stdout.close()


class Guest:
    """A sandbox with one Node release, no network, and as the way out what `proxy` gives; None: nothing."""

    def __init__(self, major, proxy, certificates, clients, preload=PRELOAD):
        self.major = major
        self.proxy = proxy
        node = node_of(major)
        self.sandbox = [
            "bwrap", "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL",
            "--die-with-parent", "--new-session", "--clearenv", "--ro-bind", "/usr", "/usr",
            *(word for name in ("bin", "sbin", "lib", "lib64") if pathlib.Path("/", name).is_symlink()
              for word in ("--symlink", f"usr/{name}", f"/{name}")),
            "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run",
            "--ro-bind", HERE / "hosts", "/etc/hosts", "--ro-bind", node, "/node", "--ro-bind", certificates / "ca.pem", "/guest/ca.pem",
            "--ro-bind", HERE / "run.cjs", "/guest/run.cjs", "--ro-bind", HERE / "bridge.py", "/guest/bridge.py",
            "--ro-bind", HERE / "cases", "/guest/cases", "--ro-bind", clients, "/guest/node_modules",
            "--chdir", "/tmp",
        ]
        self.env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
        self.env.update((name, "/guest/ca.pem") for name in
                        ("NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "SSL_CERT_FILE"))
        self.before = []
        if proxy:
            self.sandbox += ["--ro-bind", preload, "/run/npxc/egress.cjs",
                             "--ro-bind", proxy.socket, "/run/npxc/egress.sock"]
            self.env.update(NPXC_EGRESS="unix:/run/npxc/egress.sock", NPXC_RELAY_PORT=str(RELAY_PORT),
                            NODE_OPTIONS="--require /run/npxc/egress.cjs")
        if proxy and proxy.token:
            # Link gateway: TCP and a token. 127.0.0.2 stands for the gateway; a bridge in the sandbox leads to the proxy.
            self.env.update(NPXC_EGRESS="tcp:127.0.0.2:3129", NPXC_EGRESS_TOKEN=proxy.token)
            self.before = ["/usr/bin/python3", "/guest/bridge.py", "127.0.0.2", "3129", "/run/npxc/egress.sock"]

    def node(self, *words, env=None):
        variables = {**self.env, **(env or {})}
        set_all = [word for name, value in variables.items() for word in ("--setenv", name, value)]
        return subprocess.run([str(word) for word in (*self.sandbox, *set_all, "--", *self.before, "/node/bin/node", *words)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)

    def run(self, file, *host, env=None, flags=()):
        """What came of each kind of a file, by name."""
        done = self.node(*flags, "/guest/run.cjs", f"/guest/cases/{file}", *host, env=env)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert lines and lines[-1] == {"end": True}, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, done.stderr
        return {line["kind"]: line for line in lines[:-1]}


@pytest.fixture
def guest(proxy, certificates, clients):
    return lambda major: Guest(major, proxy, certificates, clients)
