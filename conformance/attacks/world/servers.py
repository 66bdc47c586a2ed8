"""The servers of one network namespace, in one process that holds the namespace: it ends with its stdin, and the
namespace with it. Orders come as JSON lines on stdin; what was seen goes as JSON lines to stdout, at once.

    {"serve": KIND, "address": "0.0.0.0", "port": 443, ...}   -> {"kind": "ready", ...} or {"kind": "failed", "why"}
    {"zone": {name: entry}}                                     of the DNS server
    {"sync": n}                                                 -> {"kind": "sync", "n", "open": connections}

    {"kind": "open", "id", "proto", "at": [address, port], "from": [address, port]}
    {"kind": "data", "id", "bytes": hex}        what came, byte for byte (the first RECORDED of each connection)
    {"kind": "plain", "id", "bytes"}            what a TLS client sent, decrypted
    {"kind": "sni", "id", "name"}               a TLS client wanted that name, as OpenSSL understood it
    {"kind": "close", "id"}
    {"kind": "udp", "at", "from", "bytes"}
    {"kind": "dns", "name", "type", "at"}
"""

import asyncio
import itertools
import json
import os
import pathlib
import socket
import ssl
import struct
import sys

import names

RECORDED = 256 * 1024
NUMBERS = itertools.count(1)
OPEN = {}
ZONE = names.Zone({})
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO, IPV6_FREEBIND = 8, 49, 50, 78
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def tell(kind, **what):
    os.write(1, (json.dumps({"kind": kind, **what}) + "\n").encode())


def plain(address):
    """Without zone and without what a v6 socket puts before an IPv4 address."""
    return address.partition("%")[0].removeprefix("::ffff:")


def who(at):
    """What every answer holds, so that a client knows whom it has reached."""
    return b"npxc-world %s %d" % (at[0].encode(), at[1])


class Tcp(asyncio.Protocol):
    """Takes everything down. What a kind of server does beyond that is in its subclass."""

    def __init__(self, order):
        self.order = order
        self.kept = 0

    def connection_made(self, transport):
        self.transport = transport
        self.id = next(NUMBERS)
        OPEN[self.id] = self
        name, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self.at = [plain(name[0]), name[1]] if isinstance(name, tuple) else [str(name), 0]
        tell("open", id=self.id, proto="tcp" if isinstance(name, tuple) else "unix", at=self.at,
             **{"from": [plain(peer[0]), peer[1]] if isinstance(peer, tuple) else []})
        self.began()

    def data_received(self, data):
        if self.kept < RECORDED:
            tell("data", id=self.id, bytes=data[:RECORDED - self.kept].hex())
            self.kept += len(data)
        self.got(data)

    def eof_received(self):
        return self.ended()

    def connection_lost(self, why):
        OPEN.pop(self.id, None)
        tell("close", id=self.id)

    def send(self, data):
        if not self.transport.is_closing():
            self.transport.write(data)

    def began(self):
        pass

    def got(self, data):
        pass

    def ended(self):
        return False


class Echo(Tcp):
    """Says who it is with the first answer, then gives back what it gets."""

    said = False

    def got(self, data):
        self.send((b"" if self.said else who(self.at) + b"\n") + data)
        self.said = True


class Banner(Tcp):
    """Speaks first, as mail and database servers do."""

    def began(self):
        self.send(b"220 " + who(self.at) + b" ready\r\n")

    def got(self, data):
        self.send(b"250 " + data)


class Flood(Tcp):
    """Sends `order["bytes"]` after the first byte, whether or not anybody reads; tells how far it got when asked."""

    left = 0
    sent = 0

    def got(self, data):
        if not self.left:
            self.left = self.order["bytes"]
            self.transport.set_write_buffer_limits(high=64 * 1024)
            self.more()

    def more(self):
        while self.left and not self.stopped and not self.transport.is_closing():
            part = min(self.left, 64 * 1024)
            self.left -= part
            self.sent += part
            self.send(b"x" * part)

    stopped = False

    def pause_writing(self):
        self.stopped = True

    def resume_writing(self):
        self.stopped = False
        self.more()


class Web:
    """Answers HTTP requests as leniently as it can: bare LF, any method, no Host. What it took for a request is in its
    answer."""

    def __init__(self, owner, send, scheme):
        self.owner, self.send, self.scheme = owner, send, scheme
        self.buffer = b""
        self.skip = 0
        self.raw = False

    def feed(self, data):
        if self.raw:
            self.send(data)
            return
        self.buffer += data
        while True:
            if self.skip:
                taken = min(self.skip, len(self.buffer))
                self.buffer, self.skip = self.buffer[taken:], self.skip - taken
            if self.buffer.startswith(b"PRI * HTTP/2.0"):
                self.send(b"npxc-world took HTTP/2\n")
                self.buffer = b""
            ends = [(at, at + len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := self.buffer.find(mark)) >= 0]
            if not ends:
                return
            at, after = min(ends)
            head, self.buffer = self.buffer[:at], self.buffer[after:]
            self.answer(head)

    def answer(self, head):
        lines = head.strip(b"\r\n").splitlines()
        fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip()
        path = (lines[0].split(b" ") + [b"", b""])[1].decode(errors="replace") if lines else ""
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            self.skip = self.buffer.find(b"0\r\n\r\n") + 5 if b"0\r\n\r\n" in self.buffer else 0
        elif fields.get(b"content-length", b"").isdigit():
            self.skip = int(fields[b"content-length"])
        if path.startswith("/ws") and b"upgrade" in fields:
            self.raw = True
            self.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: %s\r\n\r\n" % fields[b"upgrade"])
            return
        status, body = b"200 OK", who(self.owner.at) + b" host=" + fields.get(b"host", b"") + b" path=" + path.encode()
        directory = self.owner.order.get("files")
        if path.startswith("/files/") and directory:
            file = pathlib.Path(directory, path[len("/files/"):].partition("?")[0])
            status, body = (b"200 OK", file.read_bytes()) if file.is_file() else (b"404 Not Found", b"")
        self.send(b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) +
                  (b"" if lines and lines[0].startswith(b"HEAD ") else body))


class Http(Tcp):
    def began(self):
        self.web = Web(self, self.send, "http")

    def got(self, data):
        self.web.feed(data)


def contexts_of(order):
    """Of each virtual host, made once."""
    def asked(connection, name, context):
        tell("sni", id=connection.owner.id, name=name)
        if name in order["contexts"]:
            connection.context = order["contexts"][name]

    if "contexts" not in order:
        order["contexts"] = {}
        for name, (certificate, key) in order["hosts"].items():
            context = order["contexts"][name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.sni_callback = asked
            context.load_cert_chain(certificate, key)
            if "curve" in order:
                context.set_ecdh_curve(order["curve"])
    return order["contexts"]


class Tls(Tcp):
    """A TLS server with several virtual hosts on each of its addresses: whoever is asked for is served."""

    def began(self):
        self.inside, self.outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        first = next(iter(contexts_of(self.order).values()))
        self.tls = first.wrap_bio(self.inside, self.outside, server_side=True)
        self.tls.owner = self
        self.done = False
        self.web = Web(self, self.encrypt, "https")

    def encrypt(self, data):
        self.tls.write(data)
        self.flush()

    def flush(self):
        if data := self.outside.read():
            self.send(data)

    def got(self, data):
        self.inside.write(data)
        try:
            if not self.done:
                self.tls.do_handshake()
                self.done = True
            while plaintext := self.tls.read(65536):
                tell("plain", id=self.id, bytes=plaintext[:RECORDED].hex())
                self.web.feed(plaintext)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.flush()
            self.transport.close()
            return
        self.flush()


class Retry(Tcp):
    """Answers a ClientHello with a HelloRetryRequest for a group that nobody offers a share of, and then takes down
    what comes."""

    def began(self):
        self.buffer = b""
        self.sent = False

    def got(self, data):
        self.buffer += data
        if self.sent or len(self.buffer) < 5 or self.buffer[0] != 22 or len(self.buffer) < 5 + int.from_bytes(self.buffer[3:5], "big"):
            return
        self.sent = True
        size = self.buffer[43]
        extensions = b"\0\x2b\0\x02\x03\x04" + b"\0\x33\0\x02\0\x18"
        body = (b"\x03\x03" + RETRY_RANDOM + bytes([size]) + self.buffer[44:44 + size] + b"\x13\x01\0" +
                struct.pack(">H", len(extensions)) + extensions)
        message = b"\x02" + len(body).to_bytes(3, "big") + body
        self.send(b"\x16\x03\x03" + struct.pack(">H", len(message)) + message + b"\x14\x03\x03\0\x01\x01")


class DnsTcp(Tcp):
    def began(self):
        self.buffer = b""

    def got(self, data):
        self.buffer += data
        while len(self.buffer) >= 2 and len(self.buffer) >= 2 + (size := int.from_bytes(self.buffer[:2], "big")):
            message, self.buffer = self.buffer[2:2 + size], self.buffer[2 + size:]
            answer = ask(message, self.at, "tcp")
            if answer:
                self.send(len(answer).to_bytes(2, "big") + answer)


def ask(message, at, proto):
    name, kind, answer = ZONE.answer(message)
    if name is not None:
        tell("dns", name=name, type=kind, at=at, proto=proto)
    return answer


class Udp:
    """Datagrams with the address that they were sent to; answers come from there."""

    def __init__(self, bound, reply):
        self.bound, self.reply = bound, reply
        self.v6 = bound.family == socket.AF_INET6
        if self.v6:
            bound.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
            bound.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        else:
            bound.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        bound.setblocking(False)
        asyncio.get_running_loop().add_reader(bound.fileno(), self.readable)

    def readable(self):
        try:
            data, control, _, peer = self.bound.recvmsg(65535, 1024)
        except OSError:
            return
        at = [None, self.bound.getsockname()[1]]
        for level, kind, value in control:
            if self.v6 and (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO):
                at[0] = plain(socket.inet_ntop(socket.AF_INET6, value[:16]))
            elif not self.v6 and (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
                at[0] = socket.inet_ntop(socket.AF_INET, value[8:12])
        tell("udp", at=at, bytes=data.hex(), **{"from": [plain(peer[0]), peer[1]]})
        answer = self.reply(data, at)
        if answer:
            try:
                # what was sent to all nodes is answered by one of them
                self.bound.sendmsg([answer], [] if str(at[0]).startswith("ff") else control, 0, peer)
            except OSError as why:
                tell("note", why="no UDP answer from %s: %s" % (at, why))


TCP_KINDS = {"echo": Echo, "banner": Banner, "flood": Flood, "http": Http, "tls": Tls, "retry": Retry, "dns": DnsTcp}
UDP_KINDS = {"udp-echo": lambda data, at: who(at) + b"\n" + data, "udp-dns": lambda data, at: ask(data, at, "udp")}


async def serve(order):
    kind, address, port = order["serve"], order["address"], order.get("port", 0)
    loop = asyncio.get_running_loop()
    if address.startswith(("/", "@")):
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.bind("\0" + address[1:] if address[0] == "@" else address)
        if address[0] == "/":
            os.chmod(address, 0o666)
        await loop.create_unix_server(lambda: TCP_KINDS[kind](order), sock=bound)
        return
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM if kind in UDP_KINDS else socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((address, port))
    if kind in UDP_KINDS:
        Udp(bound, UDP_KINDS[kind])
    else:
        await loop.create_server(lambda: TCP_KINDS[kind](order), sock=bound, backlog=1024)


async def obey(order):
    if "serve" in order:
        try:
            await serve(order)
            tell("ready", **{key: order[key] for key in ("serve", "address")}, port=order.get("port", 0))
        except OSError as why:
            tell("failed", why="%s: %s" % (order, why))
    elif "zone" in order:
        ZONE.entries, ZONE.asked = order["zone"], {}
        tell("ready", zone=len(ZONE.entries))
    elif "sync" in order:
        await asyncio.sleep(0)  # what is readable now is read before this goes on
        tell("sync", n=order["sync"], open=len(OPEN), sent=sum(getattr(one, "sent", 0) for one in OPEN.values()))


async def main():
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    tell("up")
    while line := await orders.readline():
        await obey(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
