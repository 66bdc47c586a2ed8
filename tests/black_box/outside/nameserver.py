"""Another machine: a nameserver for names below .example, UDP and TCP, and what else listens there.

usage: nameserver.py ADDRESS ECHO_PORT LOG

Each question goes to LOG as "TYPE name" before it is answered. Prints "ready"; ends with its stdin.
"""

import socket
import struct
import sys
import threading

A, CNAME, MX, TXT, AAAA, SRV = 1, 5, 15, 16, 28, 33
ADDRESS, PORT, LOG = sys.argv[1], int(sys.argv[2]), open(sys.argv[3], "w", buffering=1, encoding="ascii")


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def srv(port, target):
    return struct.pack(">3H", 0, 5, port) + wire(target)


RECORDS = {
    ("db.example", TXT): [b"\x09a=b&c=d&e"],
    ("db.example", MX): [b"\0\x0a" + wire("mx.example")],
    ("alias.db.example", CNAME): [wire("db.example")],
    ("_mongodb._tcp.db.example", SRV): [srv(PORT, "s0.far.example"), srv(PORT + 1, "s1.far.example")],
    ("_mongodb._tcp.near.db.example", SRV): [srv(PORT, "private.example"), srv(PORT, "loop.example"), srv(PORT, "meta.example")],
    ("s0.far.example", A): [socket.inet_aton(ADDRESS)],
    ("s1.far.example", A): [socket.inet_aton(ADDRESS)],
    ("private.example", A): [socket.inet_aton("10.1.2.3")],
    ("loop.example", A): [socket.inet_aton("127.0.0.1")],
    ("meta.example", A): [socket.inet_aton("169.254.169.254")],
    ("long.example", TXT): [b"\xff" + bytes([97 + i]) * 255 for i in range(12)],
    ("huge.example", TXT): [b"\xff" + bytes(255)] * 60,
}


def answer_to(message, most):
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode())
        at += 1 + message[at]
    name, kind = ".".join(labels).lower(), int.from_bytes(message[at + 1:at + 3], "big")
    LOG.write(f"{kind} {name}\n")
    data = RECORDS.get((name, kind), [])
    code = 0 if any(known == name for known, _ in RECORDS) else 3
    records = b"".join(struct.pack(">3HIH", 0xc00c, kind, 1, 3600, len(each)) + each for each in data)
    if most and at + 5 + len(records) > most:
        return message[:2] + struct.pack(">BB4H", 0x83, 0x80, 1, 0, 0, 0) + message[12:at + 5]
    return message[:2] + struct.pack(">BB4H", 0x81, 0x80 | code, 1, len(data), 0, 0) + message[12:at + 5] + records


def serve_stream(connection):
    with connection, connection.makefile("rb") as stream:
        while length := stream.read(2):
            answer = answer_to(stream.read(int.from_bytes(length, "big")), 0)
            connection.sendall(len(answer).to_bytes(2, "big") + answer)


def echo(connection):
    with connection:
        while got := connection.recv(1 << 16):
            connection.sendall(got)


def accept(port, serve):
    listener = socket.create_server((ADDRESS, port))
    while True:
        threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()


def datagrams():
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((ADDRESS, 53))
    print("ready", flush=True)
    while True:
        message, sender = udp.recvfrom(2048)
        udp.sendto(answer_to(message, 512), sender)


for target, arguments in ((accept, (53, serve_stream)), (accept, (PORT, echo)), (datagrams, ())):
    threading.Thread(target=target, args=arguments, daemon=True).start()
sys.stdin.read()
