"""The world in which the attacks are played, the malicious package, and the processes that play them: in a sandbox, and
bare beside it."""

import base64
import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(HERE / "world"))

import certificates
import names  # noqa: F401
import world as worlds
from world import GATEWAY_V4, HOST_LAN, HOST_V4, HOST_V6, NEIGHBOUR_LAN, NEIGHBOUR_V4, NEIGHBOUR_V6  # noqa: F401

USER = 64321  # an ordinary user that nobody else is
PATIENCE = 60
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
API_V4, API_V6 = "203.0.114.10", "2a0e:5000::10"
ABSTRACT = "@npxc-world-%d" % os.getpid()

# A name's address that no rule for a name may lead to -> (its record, where a connection to it is seen).
REFUSED = {
    "loopback": ("127.0.0.1", "127.0.0.1"),
    "loopback-net": ("127.8.8.8", "127.8.8.8"),
    "zero": ("0.0.0.0", "127.0.0.1"),
    "zero-net": ("0.1.2.3", "0.1.2.3"),
    "ten": ("10.1.2.4", "10.1.2.4"),
    "carrier": ("100.64.0.9", "100.64.0.9"),
    "metadata": ("169.254.169.254", "169.254.169.254"),
    "172.16": ("172.16.0.9", "172.16.0.9"),
    "192.168": ("192.168.0.9", "192.168.0.9"),
    "protocols": ("192.0.0.9", "192.0.0.9"),
    "documentation-1": ("192.0.2.9", "192.0.2.9"),
    "documentation-2": ("198.51.100.9", "198.51.100.9"),
    "documentation-3": ("203.0.113.9", "203.0.113.9"),
    "6to4-relay": ("192.88.99.9", "192.88.99.9"),
    "benchmark": ("198.18.0.9", "198.18.0.9"),
    "reserved": ("240.0.0.9", "240.0.0.9"),
    "v6-loopback": ("::1", "::1"),
    "v6-any": ("::", "::1"),
    "v6-mapped-loopback": ("::ffff:127.0.0.1", "127.0.0.1"),
    "v6-mapped-ten": ("::ffff:10.1.2.4", "10.1.2.4"),
    "v6-compatible": ("::7f00:1", "::7f00:1"),
    "v6-nat64-loopback": ("64:ff9b::7f00:1", "64:ff9b::7f00:1"),
    "v6-nat64-ten": ("64:ff9b::a01:204", "64:ff9b::a01:204"),
    "v6-discard": ("100::9", "100::9"),
    "v6-unique-local": ("fd00::9", "fd00::9"),
    "v6-site-local": ("fec0::9", "fec0::9"),
    "v6-6to4": ("2002:a01:204::9", "2002:a01:204::9"),
    "v6-teredo": ("2001:0:7f00:1::9", "2001:0:7f00:1::9"),
    "v6-orchid": ("2001:20::9", "2001:20::9"),
    "v6-documentation": ("2001:db8::9", "2001:db8::9"),
    "v6-documentation-2": ("3fff::9", "3fff::9"),
}
OWN = {
    "own": (HOST_V4, HOST_V4),
    "own-lan": (HOST_LAN, HOST_LAN),
    "own-v6": (HOST_V6, HOST_V6),
    "own-gateway": (GATEWAY_V4, GATEWAY_V4),
    "own-neighbour": (NEIGHBOUR_V4, NEIGHBOUR_V4),
    "own-neighbour-lan": (NEIGHBOUR_LAN, NEIGHBOUR_LAN),
    "own-neighbour-v6": (NEIGHBOUR_V6, NEIGHBOUR_V6),
}


def record(*addresses):
    return {"A": [a for a in addresses if ":" not in a], "AAAA": [a for a in addresses if ":" in a]}


def place_name(word):
    return "at-%s.test" % word.replace(".", "-")


ZONE = {
    "api.test": record(API_V4, API_V6),
    "evil.test": record(API_V4, API_V6),  # another virtual host of the same machine
    "wild.test": record(API_V4),
    "notwild.test": record(API_V4),
    "below.api.test": record(API_V4),
    "api.test.evil.test": record(API_V4),
    "*.wild.test": record(API_V4),
    "v6only.test": record(API_V6),
    "halfdead.test": record("203.0.117.9", API_V4),  # the first does not answer
    "alias.test": {"CNAME": "api.test"},
    "alias-lan.test": {"CNAME": "lan.test"},
    "lan.test": record("10.1.2.4"),
    "mixed.test": record("10.1.2.4", API_V4, "127.0.0.1"),
    "rebind.test": {"turns": [[API_V4], ["127.0.0.1"]]},
    "rebind-lan.test": {"turns": [["10.1.2.4"], ["127.0.0.1"]]},
    "blackhole.test": record("203.0.116.9"),
    "silent.test": {"silent": True},
    "*.exfil.test": record("203.0.114.99"),
    "git.test": record(API_V4),
    "searched.test.corp.test": record(API_V4),  # what a list of domains to search makes of a name that does not exist
    "many.test": record(*("10.1.2.%d" % n for n in range(40, 60))),
} | {place_name(word): record(address) for word, (address, _) in (REFUSED | OWN).items()}

# Names whose IPv6 addresses take packets and answer none (see Link.families), and how many of them.
DROPPED = "2a0e:5000:dead::"
FAMILIES = {"dropped-2.test": 2, "dropped-4.test": 4, "dropped-8.test": 8}
ZONE |= {name: record(*(DROPPED + str(n + 1) for n in range(count)), API_V4) for name, count in FAMILIES.items()}

NAMED = ["api.test", "alias.test", "alias-lan.test", "mixed.test", "rebind.test", "rebind-lan.test", "v6only.test", "halfdead.test",
         "blackhole.test", "silent.test", "many.test", "nowhere.test", "searched.test", "git.test"]
API_PORTS = (80, 444, 445, 7001, 8080, 2526)
RAW_PORTS = (7000, 2525, 9000)  # of protocols that are neither TLS nor HTTP, as their rules say
ALLOW = ([name + ":443" for name in NAMED] + ["api.test:%d" % port for port in API_PORTS] +
         ["api.test:%d/raw" % port for port in RAW_PORTS] +
         [place_name(word) + ":443" for word in REFUSED | OWN] +
         ["*.wild.test:443", "*.wild.test:80", "git.test:80", "203.0.114.7:5432", "203.0.114.128/25:7000", "[2a0e:5000::7]:5432",
          "10.1.2.3:5432", "host.npxc.internal:11434"])
# Names that the rules name, so that a question for them is no offence.
LISTED = {rule.rpartition(":")[0] for rule in ALLOW}
# Where anything may arrive at all.
ALLOWED_PLACES = ({(address, port) for address in (API_V4, API_V6) for port in (443, *API_PORTS, *RAW_PORTS)} |
                  {("203.0.114.7", 5432), ("2a0e:5000::7", 5432), ("10.1.2.3", 5432), ("127.0.0.1", 11434)} |
                  {("203.0.114.%d" % n, 7000) for n in range(128, 256)})

LINKS = {
    "bwrap/netns": ("bwrap", "netns"),
    "bwrap/socket": ("bwrap", "socket"),
    "podman/socket": ("podman", "socket"),
    "podman/gateway": ("podman", "gateway"),
}



class Missing(Exception):
    """The machine lacks something that this needs."""


def services(files, hosts):
    both = [("tls", 443, {"hosts": hosts, "files": files}), ("tls", 444, {"hosts": hosts, "curve": "secp384r1"}), ("retry", 445, {}),
            ("http", 80, {"files": files}), ("http", 8080, {}), ("echo", 7000, {}), ("echo", 7001, {}), ("echo", 5432, {}), ("echo", 6666, {}),
            ("banner", 2525, {}), ("banner", 2526, {}), ("flood", 9000, {"bytes": 8 << 20}), ("dns", 53, {}), ("udp-dns", 53, {}),
            ("udp-echo", 7000, {}), ("udp-echo", 5432, {}), ("udp-echo", 443, {}), ("udp-echo", 6666, {})]
    internet = [{"serve": kind, "address": address, "port": port, **more} for address in ("0.0.0.0", "::") for kind, port, more in both]
    host = [{"serve": "echo", "address": address, "port": port} for address in ("0.0.0.0", "::") for port in (80, 443, 5432, 7000, 7102)]
    host += [{"serve": "udp-echo", "address": address, "port": port} for address in ("0.0.0.0", "::") for port in (5432, 7000, 7102)]
    host += [{"serve": "echo", "address": "127.0.0.1", "port": 7101}, {"serve": "echo", "address": "::1", "port": 7103},
             {"serve": "http", "address": "127.0.0.1", "port": 11434}, {"serve": "echo", "address": ABSTRACT}]
    return internet, host


class Stage:
    """The world, with the package, certificates and homes in its directory."""

    def __init__(self, launcher):
        self.launcher = pathlib.Path(launcher).resolve()
        self.env = {}  # of every launcher, besides

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        try:
            return self._make()
        except BaseException:
            self.stack.close()
            raise

    def __exit__(self, *_):
        self.stack.close()

    def _make(self):
        import tempfile
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="npxc-attacks-"))
        self.stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.directory.chmod(0o755)
        keys = self.directory / "keys"
        keys.mkdir()
        self.authority, hosts = certificates.make(keys, {
            "api.test": ["api.test", "*.wild.test", "git.test", "alias.test", "mixed.test", "rebind.test", "v6only.test", "halfdead.test"],
            "evil.test": ["evil.test"]})
        public = self.directory / "public"
        public.mkdir()
        shutil.copy(self.authority, public / "ca.pem")
        self.authority = str(public / "ca.pem")
        self.files = public / "files"
        self.files.mkdir()
        self._repository()
        self.package = self._package()
        # A directory as somebody would mount it, with a service's socket in it.
        self.shared = self.directory / "shared"
        (self.shared / "deep").mkdir(parents=True)
        (self.shared / "note.txt").write_text("ordinary\n")
        internet, host = services(str(self.files), hosts)
        host += [{"serve": "echo", "address": str(self.shared / name)} for name in ("service.sock", "deep/service.sock")]
        self.world = self.stack.enter_context(worlds.World(ZONE, internet, host))
        return self

    def _repository(self):
        """A git repository that any web server can serve."""
        bare, work = self.files / "repo.git", self.directory / "work"
        env = {"PATH": PATH, "HOME": str(self.directory), "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@api.test",
               "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@api.test", "GIT_CONFIG_NOSYSTEM": "1"}
        for words in (["init", "-q", "-b", "main", work], ["-C", work, "commit", "-q", "--allow-empty", "-m", "one"],
                      ["clone", "-q", "--bare", work, bare], ["-C", bare, "update-server-info"]):
            subprocess.run(["git", *map(str, words)], check=True, env=env, capture_output=True, timeout=PATIENCE)

    def _package(self):
        package = self.directory / "package"
        shutil.copytree(HERE / "guest", package, ignore=shutil.ignore_patterns("*.c"))
        done = subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Os", "-static", "-s",
                               str(HERE / "guest" / "raw.c"), "-o", str(package / "raw")], capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode != 0:
            raise Missing("the attacker's helper cannot be compiled: %s" % done.stderr)
        shutil.copy(self.authority, package / "ca.pem")
        return package

    def home(self, name, uid):
        home = self.directory / ("home-%s" % name.replace("/", "-"))
        if not home.exists():
            for path in (home, home / "project", home / "tmp", home / "run", home / ".config" / "npxc" / "packages"):
                path.mkdir(parents=True, exist_ok=True)
            (home / "run").chmod(0o700)
            if uid is not None:
                subprocess.run(["chown", "-R", "%d:%d" % (uid, uid), str(home)], check=True)
            home.chmod(0o755)
        return home

    def bare(self, uid=USER):
        """The attacker outside of any sandbox, in the host's namespace, as the user who would start npxc; None: as root."""
        env = {"PATH": PATH, "HOME": "/tmp", "LANG": "C.UTF-8"}
        return Attacker(self, self.world.command([self.package / "start.sh"], uid=uid, env=env), "bare")

    def sandbox(self, link, network=None, flags=(), label=""):
        """A session of the launcher on that link. `network`: the package's, when not this suite's own."""
        runtime, kind = LINKS[link]
        uid = None if runtime == "podman" else USER
        home = self.home(link + label, uid)
        config = home / ".config" / "npxc"
        (config / "npxc.json").write_text(json.dumps({"defaults": {"runtime": runtime}}))
        network = network or {"mode": "allowlist", "link": kind, "allow": ALLOW}
        (config / "packages" / "npxc-attacker.json").write_text(json.dumps({"package_dir": str(self.package), "network": network}))
        cache = self.directory / ("cache-" + runtime)
        if not cache.exists():
            cache.mkdir()
            if uid is not None:
                os.chown(cache, uid, uid)
        env = {"PATH": PATH, "HOME": str(home), "TMPDIR": str(home / "tmp"), "XDG_RUNTIME_DIR": str(home / "run"),
               "XDG_CACHE_HOME": str(cache), "LANG": "C.UTF-8", **self.env}
        words = [self.launcher, "--runtime", runtime, *flags, self.package]
        attacker = Attacker(self, self.world.command(words, home / "project", uid, env), link)
        attacker.home = home
        return attacker


class Attacker:
    """One process of the malicious server, wherever it runs, and its client."""

    def __init__(self, stage, words, name):
        self.stage, self.name = stage, name
        self.numbers = itertools.count(1)
        self.answers, self.err = {}, bytearray()
        self.odd = []  # what came on stdout and is no answer
        self.over = False
        self.changed = threading.Condition()
        self.lock = threading.Lock()
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, start_new_session=True)
        self.threads = [threading.Thread(target=self._out, daemon=True), threading.Thread(target=self._err, daemon=True)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _out(self):
        for line in self.process.stdout:
            with self.changed:
                try:
                    answer = json.loads(line)
                    self.answers[answer["id"]] = answer
                except (ValueError, KeyError):
                    self.odd.append(line[:200])
                self.changed.notify_all()
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def _err(self):
        while data := os.read(self.process.stderr.fileno(), 65536):
            self.err += data

    def do(self, patience=PATIENCE, **job):
        """What the attacker saw; {"problem": ...} when it could not even try."""
        number = next(self.numbers)
        line = json.dumps({"jsonrpc": "2.0", "id": number, "method": "attack/do",
                           "params": {"job": base64.b64encode(json.dumps(job).encode()).decode()}}) + "\n"
        try:
            with self.lock:
                self.process.stdin.write(line.encode())
                self.process.stdin.flush()
        except (OSError, ValueError):
            return {"problem": "the session is over: %s" % self.last_words()}
        with self.changed:
            self.changed.wait_for(lambda: number in self.answers or self.over, patience)
            answer = self.answers.pop(number, None)
        if answer is None:
            return {"problem": "no answer within %s s%s" % (patience, ": " + self.last_words() if self.over else "")}
        if "error" in answer:
            return {"problem": str(answer["error"])}
        return json.loads(base64.b64decode(answer["result"]["seen"]))

    def do_all(self, jobs, wide=12, patience=PATIENCE):
        with concurrent.futures.ThreadPoolExecutor(wide) as pool:
            return list(pool.map(lambda job: self.do(patience, **job), jobs))

    def last_words(self):
        return bytes(self.err[-600:]).decode(errors="replace").strip()

    def descendants(self):
        """Process numbers below the launcher, with it."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    text = pathlib.Path("/proc", entry, "stat").read_text()
                    parents[int(entry)] = int(text.rpartition(")")[2].split()[1])
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def close(self, patience=20):
        """Its exit status."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.odd.append(b"did not end within %d s of its client's last word" % patience)
            worlds.kill(self.process)
        for thread in self.threads:
            thread.join(5)
        with contextlib.suppress(OSError):
            self.process.stdout.close()
        return self.process.returncode


def now():
    return time.monotonic()
