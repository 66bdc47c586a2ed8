"""ClientHellos, well-formed and otherwise."""

import os
import struct

SNI, ECH, ESNI, OLD_ECH = 0, 0xfe0d, 0xffce, 0xfe08
ALERT_DENIED = bytes.fromhex("0231")  # fatal, access_denied; the version before it differs


def extension(number, body):
    return struct.pack(">HH", number, len(body)) + body


def server_name(*names, kind=0):
    """One extension with these names, as they are."""
    body = b"".join(bytes([kind]) + struct.pack(">H", len(name)) + name for name in names)
    return extension(SNI, struct.pack(">H", len(body)) + body)


def ordinary(share=True):
    """What OpenSSL 3 would send, as far as a server cares."""
    found = [extension(43, b"\x02\x03\x04"), extension(10, b"\0\x04\0\x1d\0\x18"), extension(13, b"\0\x06\x04\x03\x08\x04\x04\x01")]
    if share:
        key = b"\0\x1d\0\x20" + os.urandom(32)
        found.append(extension(51, struct.pack(">H", len(key)) + key))
    return found


def message(mark, name=b"api.test", before=(), after=(), names=None, ciphers=b"\x13\x01\x13\x02\xc0\x2b", pad=0):
    """The handshake message. `mark` (32 bytes at most) travels in the session id. `names`: the whole SNI instead of
    `name`, b"" for none."""
    sni = server_name(name) if names is None else names
    extensions = b"".join(before) + sni + b"".join(ordinary()) + b"".join(after)
    if pad:
        extensions += extension(21, b"\0" * pad)
    session = mark.encode().ljust(32, b".")
    body = (b"\x03\x03" + os.urandom(32) + b"\x20" + session + struct.pack(">H", len(ciphers)) + ciphers + b"\x01\0" +
            struct.pack(">H", len(extensions)) + extensions)
    return b"\x01" + len(body).to_bytes(3, "big") + body


def records(handshake, size=16384, kind=22, version=b"\x03\x01"):
    return b"".join(bytes([kind]) + version + struct.pack(">H", len(handshake[at:at + size])) + handshake[at:at + size]
                    for at in range(0, len(handshake), size))


def hello(mark, name=b"api.test", size=16384, **more):
    return records(message(mark, name, **more), size)


CHANGE_CIPHER = b"\x14\x03\x03\0\x01\x01"


def version_2(mark, name=b"evil.test"):
    """An SSL 2.0 hello, which old servers still read; it has no SNI, so the name is in nothing but the challenge."""
    challenge = mark.encode().ljust(32, b".")
    body = b"\x01\x03\x01\0\x03\0\0\0\x20" + b"\x01\x00\x80" + challenge
    return struct.pack(">H", 0x8000 | len(body)) + body


def unframed(data):
    """The handshake bytes in it without the heads of their records, so that a mark is found that was split."""
    found, at = b"", 0
    while at + 5 <= len(data) and data[at] in (20, 21, 22, 23) and data[at + 1] == 3:
        size = struct.unpack(">H", data[at + 3:at + 5])[0]
        found += data[at + 5:at + 5 + size]
        at += 5 + size
    return found


def is_denied(received):
    """The alert access_denied, and not a server's own."""
    return len(received) >= 7 and received[-7] == 21 and received[-6] == 3 and received[-4:] == b"\0\x02" + ALERT_DENIED
