"""A network of our own, in which a launcher can be attacked: nothing in it leaves the machine.

Two network namespaces with a cable between them. In `host` the launcher runs, with an ordinary user's machine around it:
loopback, one interface with a public and a private address of each family, a default route, a resolver. `internet` is
everything else: *every* address that is not on the cable answers there, so that an address rule is judged by the real
code and by real packets, and whatever gets out is seen. Its servers write down each connection, byte and question.

Neither namespace has a name: each lives as long as the process that holds it (servers.py), and that ends with its stdin,
so that nothing is left even when this process is killed. Root, Linux.
"""

import contextlib
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 30  # seconds; how long anything is waited for before it counts as missing

# The cable. Public-looking, so that only "on link" and "one's own" can be what speaks against them.
HOST_V4, GATEWAY_V4, NEIGHBOUR_V4 = "203.0.115.2", "203.0.115.1", "203.0.115.77"
HOST_V6, GATEWAY_V6, NEIGHBOUR_V6 = "2a0e:4000:1::2", "2a0e:4000:1::1", "2a0e:4000:1::77"
HOST_LAN, NEIGHBOUR_LAN = "10.66.0.2", "10.66.0.77"
RESOLVER = "203.0.114.53"

# What the kernel keeps for a reader that does not read counts as taken, so let that be little.
SMALL = """
for f in rmem wmem; do echo 4096 65536 262144 >/proc/sys/net/ipv4/tcp_$f; done
"""

# Answers for every address: a local default route. What is narrower than that has to stand in the same table.
INTERNET_SETUP = """
for f in all default; do echo 0 >/proc/sys/net/ipv6/conf/$f/accept_dad; done
ip link set lo up
@SMALL@
"""

HOST_SETUP = f"""
ip link set lo up
@SMALL@
ip link add eth0 type veth peer name eth0 netns @INTERNET@
ip addr add {HOST_V4}/24 dev eth0
ip addr add {HOST_LAN}/24 dev eth0
ip -6 addr add {HOST_V6}/64 dev eth0 nodad
ip link set eth0 up
ip route add default via {GATEWAY_V4}
ip -6 route add default via {GATEWAY_V6}
mount --bind @FILES@/resolv.conf $(readlink -f /etc/resolv.conf)
mount --bind @FILES@/hosts $(readlink -f /etc/hosts)
mount --bind @FILES@/nsswitch.conf $(readlink -f /etc/nsswitch.conf)
"""

CABLE_SETUP = f"""
ip addr add {GATEWAY_V4}/24 dev eth0
ip addr add {NEIGHBOUR_V4}/24 dev eth0
ip addr add {NEIGHBOUR_LAN}/24 dev eth0
ip -6 addr add {GATEWAY_V6}/64 dev eth0 nodad
ip -6 addr add {NEIGHBOUR_V6}/64 dev eth0 nodad
ip link set eth0 up
ip route add 203.0.115.0/24 dev eth0 table local
ip route add 10.66.0.0/24 dev eth0 table local
ip route add blackhole 203.0.116.0/24 table local
ip route add unreachable 203.0.117.0/24 table local
ip route add local default dev lo table local
ip -6 route add 2a0e:4000:1::/64 dev eth0 table local
ip -6 route add fe80::/64 dev eth0 table local
ip -6 route add local default dev lo table local
"""


class Broken(Exception):
    """The machine lacks something that a world needs."""


class Ledger:
    """What the servers of one namespace saw, in the order in which they saw it."""

    def __init__(self):
        self.events = []
        self.changed = threading.Condition()
        self.over = False

    def add(self, event):
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def end(self):
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def await_(self, condition, patience=PATIENCE):
        """The first event that fulfils it; None: there was none in time."""
        def find():
            return next((event for event in self.events if condition(event)), None)
        with self.changed:
            self.changed.wait_for(lambda: find() is not None or self.over, patience)
            return find()

    def position(self):
        with self.changed:
            return len(self.events)

    def since(self, position):
        with self.changed:
            return self.events[position:]


class Namespace:
    def __init__(self, name, mounts=False):
        self.name = name
        self.ledger = Ledger()
        own_mounts = ("--mount", "--propagation", "slave") if mounts else ()
        self.process = subprocess.Popen(["unshare", "--net", *own_mounts, "--", sys.executable, "-B", str(HERE / "servers.py")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.enter = ["nsenter", "--target", str(self.process.pid), "--net", *(("--mount",) if mounts else ()), "--"]
        self.syncs = 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if self.ledger.await_(lambda event: event["kind"] == "up") is None:
            self.close()
            raise Broken("no network namespace can be made here")

    def _read(self):
        for line in self.process.stdout:
            self.ledger.add(json.loads(line))
        self.ledger.end()

    def order(self, **order):
        self.process.stdin.write((json.dumps(order) + "\n").encode())
        self.process.stdin.flush()

    def shell(self, script):
        done = subprocess.run([*self.enter, "sh", "-ec", script], capture_output=True, text=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Broken("namespace %s: %s" % (self.name, done.stderr.strip()))
        return done.stdout

    def serve(self, orders):
        """Returns when all of them listen."""
        position = self.ledger.position()
        for order in orders:
            self.order(**order)
        self.ledger.await_(lambda _: sum(event["kind"] in ("ready", "failed") for event in self.ledger.events[position:]) >= len(orders))
        failed = [event["why"] for event in self.ledger.since(position) if event["kind"] == "failed"]
        if failed:
            raise Broken("namespace %s: %s" % (self.name, "; ".join(failed)))

    def sync(self):
        """{"open": connections that are still there, "sent": bytes of floods}, when everything before it is taken down."""
        self.syncs += 1
        number = self.syncs
        self.order(sync=number)
        found = self.ledger.await_(lambda event: event["kind"] == "sync" and event["n"] == number)
        if found is None:
            raise Broken("namespace %s does not answer" % self.name)
        return found

    def close(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()


class World:
    """`zone`: what the names stand for (names.py). `internet`, `host`: what is served there (servers.py)."""

    def __init__(self, zone, internet, host):
        self.zone, self.orders = zone, {"internet": internet, "host": host}

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="npxc-world-"))
        self.directory.chmod(0o755)
        self.namespaces = []
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self):
        (self.directory / "resolv.conf").write_text("nameserver %s\nsearch corp.test\noptions timeout:2 attempts:2\n" % RESOLVER)
        (self.directory / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        (self.directory / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
        self.internet = self._hold(Namespace("internet"))
        self.host = self._hold(Namespace("host", mounts=True))
        self.internet.shell(INTERNET_SETUP.replace("@SMALL@", SMALL))
        self.host.shell(HOST_SETUP.replace("@SMALL@", SMALL).replace("@INTERNET@", str(self.internet.process.pid)).replace("@FILES@", str(self.directory)))
        self.internet.shell(CABLE_SETUP)
        self.internet.serve([{"zone": self.zone}] + self.orders["internet"])
        self.host.serve(self.orders["host"])

    def _hold(self, namespace):
        self.namespaces.append(namespace)
        return namespace

    def __exit__(self, *_):
        for namespace in reversed(self.namespaces):
            namespace.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- running something in `host` --

    def command(self, words, directory="/", uid=None, env=None):
        """The words that run these in `host`; uid None: as root. Execs all the way: the process is the command's own."""
        as_user = [] if uid is None else ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--inh-caps", "-all", "--"]
        return [*self.host.enter, *as_user, "env", "-i", "-C", str(directory), *("%s=%s" % pair for pair in (env or {}).items()), *map(str, words)]

    def rewind(self):
        """Names that change with each question begin anew."""
        self.internet.serve([{"zone": self.zone}])

    # -- looking --

    def quiet(self, patience=10):
        """Waits until no connection is open at any server; True when it came to that."""
        end = time.monotonic() + patience
        while True:
            found = [namespace.sync()["open"] for namespace in self.namespaces]
            if not any(found):
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.02)

    def position(self):
        return {namespace.name: namespace.ledger.position() for namespace in self.namespaces}

    def since(self, position):
        """[Hit] and [question] of both namespaces since then."""
        hits, questions = [], []
        for namespace in self.namespaces:
            of = {}
            for event in namespace.ledger.since(position[namespace.name]):
                kind = event["kind"]
                if kind == "open":
                    of[event["id"]] = Hit(namespace.name, event["proto"], *event["at"], event["from"])
                    hits.append(of[event["id"]])
                elif kind == "data" and event["id"] in of:
                    of[event["id"]].bytes += bytes.fromhex(event["bytes"])
                elif kind == "plain" and event["id"] in of:
                    of[event["id"]].plain += bytes.fromhex(event["bytes"])
                elif kind == "sni" and event["id"] in of:
                    of[event["id"]].names.append(event["name"])
                elif kind == "udp":
                    hit = Hit(namespace.name, "udp", *event["at"], event["from"])
                    hit.bytes = bytes.fromhex(event["bytes"])
                    hits.append(hit)
                elif kind == "dns":
                    questions.append((event["name"], event["type"], event["at"][0]))
        return hits, questions


class Hit:
    """A connection, or a datagram, that a server got."""

    def __init__(self, namespace, proto, address, port, peer):
        self.namespace, self.proto, self.address, self.port, self.peer = namespace, proto, address, port, peer
        self.bytes = b""
        self.plain = b""  # decrypted
        self.names = []

    def __repr__(self):
        return "%s %s [%s]:%s from %s: %r" % (self.namespace, self.proto, self.address, self.port, self.peer, self.bytes[:60])


def kill(process):
    """One process that we started."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.wait()
