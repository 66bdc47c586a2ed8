"""A CONNECT proxy that speaks as npxc's egress process does on the links socket and gateway, for the guest's tests.

usage: proxy.py unix:PATH|tcp:ADDRESS:PORT HOSTS.json RULE...       (NPXC_EGRESS_TOKEN: what tcp clients must show)

HOSTS.json maps ports to ports of 127.0.0.1: every name "resolves" to this machine, but for nowhere.test; a port that is
not in it refuses. Prints "ready" when it listens, then one line of JSON for each request; ends when its stdin does.
"""

import asyncio
import base64
import fnmatch
import json
import os
import re
import struct
import sys

HEAD_MAX = 2048
NAMESERVER = ("dns.npxc.internal", 53)


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


RECORDS = {
    ("_x._tcp.api.test", 33): [struct.pack(">3H", 1, 2, 27017) + wire("s0.api.test"), bytes(7)],
    ("api.test", 16): [b"\3a=b\2\xe9;", b"\0"],
    ("api.test", 15): [b"\0\x0a" + wire("mx.api.test")],
    ("api.test", 5): [wire("other.test")],
}


async def name_records(reader, writer):
    while True:
        message = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
        name, kind = ".".join(labels), int.from_bytes(message[at + 1:at + 3], "big")
        data = RECORDS.get((name, kind), [])
        code = 0 if any(known == name for known, _ in RECORDS) else {"broken.test": 2}.get(name, 3)
        answer = (message[:2] + struct.pack(">BB4H", 0x81, 0x80 | code, 1, len(data), 0, 0) + message[12:at + 5]
                  + b"".join(struct.pack(">3HIH", 0xc00c, kind, 1, 60, len(each)) + each for each in data))
        # in pieces, as TCP may bring it
        for piece in (len(answer).to_bytes(2, "big") + answer[:5], answer[5:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
SPEAKS_FIRST = (":21", ":8080", ":50051")
REQUEST = re.compile(rb"CONNECT (?:\[([0-9a-f:.]+)\]|([A-Za-z0-9_.-]+)):([1-9]\d{0,4}) HTTP/1\.1\r\n")


def is_allowed(rules, host, port):
    if ":" in host:
        return f"[{host}]:{port}" in rules
    for rule in rules:
        name, _, rule_port = rule.partition(":")
        if (rule_port in ("", str(port))) and (name == host or (name.startswith("*.") and fnmatch.fnmatch(host, name))):
            return True
    return False


class Refusal(Exception):
    def __init__(self, status, code, why):
        super().__init__(why)
        self.status, self.code, self.why = status, code, why


async def upstream_of(head, hosts, rules, credentials):
    request = REQUEST.match(head)
    if not request:
        raise Refusal(400, "EINVAL", "only CONNECT host:port is spoken here")
    if credentials and f"\r\nProxy-Authorization: Basic {credentials}\r\n".encode() not in head:
        raise Refusal(407, "EACCES", "the session's token is missing")
    host, port = (request[1] or request[2]).decode().lower().rstrip("."), int(request[3])
    if (host, port) == NAMESERVER:
        return None, None
    if not is_allowed(rules, host, port):
        raise Refusal(403, "EACCES", f"{host}:{port} is not in the allow list")
    if host == "nowhere.test":
        raise Refusal(502, "ENOTFOUND", f"{host} has no address")
    if host == "slow.test":
        await asyncio.sleep(3600)
    try:
        return await asyncio.open_connection("127.0.0.1", hosts[str(port)])
    except (KeyError, OSError):
        raise Refusal(502, "ECONNREFUSED", f"{host}:{port} refused the connection") from None


async def copy(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


async def serve(reader, writer, hosts, rules, credentials):
    writers = [writer]
    line = {}
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        line["request"] = head.split(b"\r\n")[0].decode("latin-1")
        up_reader, up_writer = await upstream_of(head, hosts, rules, credentials)
        if up_writer is None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await name_records(reader, writer)
        writers.append(up_writer)
        # Where the server speaks first, its first bytes come in one piece with the reply, which else is a matter of luck.
        first = await up_reader.read(1 << 16) if line["request"].split(" ")[1].endswith(SPEAKS_FIRST) else b""
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + first)
        line["status"] = 200
        print(json.dumps(line), flush=True)
        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))
    except Refusal as refusal:
        line["status"] = refusal.status
        print(json.dumps(line), flush=True)
        writer.write(f"HTTP/1.1 {refusal.status} Refused\r\nNpxc-Error: {refusal.code}\r\n\r\n{refusal.why}\n".encode())
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        pass
    for each in writers:
        try:
            each.close()
        except OSError:
            pass


async def main():
    address, hosts_file, *rules = sys.argv[1:]
    with open(hosts_file, encoding="ascii") as file:
        hosts = json.load(file)
    token = os.environ.get("NPXC_EGRESS_TOKEN")
    credentials = token and base64.b64encode(f"npxc:{token}".encode()).decode()

    async def accept(reader, writer):
        await serve(reader, writer, hosts, rules, credentials)

    kind, _, rest = address.partition(":")
    if kind == "unix":
        server = await asyncio.start_unix_server(accept, rest, limit=HEAD_MAX, backlog=256)
        os.chmod(rest, 0o666)
    else:
        host, _, port = rest.rpartition(":")
        server = await asyncio.start_server(accept, host, int(port), limit=HEAD_MAX, backlog=256)
    print("ready", flush=True)
    # a thread, because a poll of stdin fails when that is a file
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()
    os._exit(0)


asyncio.run(main())
