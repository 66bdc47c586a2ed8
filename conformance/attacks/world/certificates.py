"""One certificate authority, made when it is needed and gone with its directory, and what it signs."""

import pathlib
import subprocess


def openssl(*words, directory):
    done = subprocess.run(["openssl", *map(str, words)], cwd=directory, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError("openssl %s: %s" % (" ".join(map(str, words)), done.stderr.strip()))


def make(directory, hosts):
    """`hosts`: {host: [names that its certificate holds]}. (The authority's certificate, {host: (certificate, key)})"""
    directory = pathlib.Path(directory)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=npxc test world",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign", directory=directory)
    found = {}
    for number, (host, also) in enumerate(hosts.items()):
        stem = "host-%d" % number
        (directory / (stem + ".ext")).write_text("subjectAltName=%s\n" % ",".join("DNS:" + name for name in also))
        openssl("req", "-new", *curve, "-keyout", stem + ".key", "-out", stem + ".csr", "-subj", "/CN=" + host, directory=directory)
        openssl("x509", "-req", "-in", stem + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", number + 1,
                "-days", "2", "-extfile", stem + ".ext", "-out", stem + ".pem", directory=directory)
        found[host] = (str(directory / (stem + ".pem")), str(directory / (stem + ".key")))
    return str(directory / "ca.pem"), found
