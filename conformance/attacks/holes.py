#!/usr/bin/env python3
"""Takes single guards out of npxc: the attacks that they stop have to be seen to get through, or to go another way.

    holes.py [--only NAME,...]

A hole is a WITHOUT() of the sources (src/base/fault.h), which the build of `make faults` leaves out when NPXC_WITHOUT names
it. Root, Linux; podman for its links.
"""

import argparse
import os
import pathlib
import shutil
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import attacks
import play
import run as suite
import stage as staging

FAULTY = staging.TOP / "build" / "faults" / "npxc"
NETNS, SOCKET, GATEWAY = "bwrap/netns", "bwrap/socket", "podman/gateway"


class Hole:
    """`name`: what NPXC_WITHOUT is set to. `names`: what has to turn red on `link`. `also`: what is played besides."""

    def __init__(self, name, what, link, names, also=()):
        self.name, self.what = name, what
        self.link, self.names, self.also = link, set(names.split()), set(also)


HOLES = [
    Hole("name-in-tls", "the name in a ClientHello", NETNS, "sni-other sni-glued retry-other"),
    Hole("no-name-in-tls", "that a ClientHello has a name", SOCKET, "sni-none"),
    Hole("second-hello", "the hello after a HelloRetryRequest", NETNS, "retry-other retry-none retry-ech retry-split retry-change-cipher retry-opaque"),
    Hole("encrypted-hello", "encrypted hellos", NETNS, "ech ech-draft esni"),
    Hole("kind-of-443", "that port 443 is TLS", SOCKET, "plain-on-443"),
    Hole("host-in-http", "the Host of a request", NETNS, "host-other second second-pipelined behind-body behind-chunks host-byte-by-byte"),
    Hole("two-hosts", "that there is one Host", NETNS, "host-two"),
    Hole("lenient-http", "that HTTP in any form is held to its host", NETNS, "odd-absolute odd-unknown-method odd-star odd-two-blanks odd-tab odd-no-path odd-lower-case odd-0.9-absolute odd-lines-first"),
    Hole("neither", "that what is neither TLS nor HTTP wants /raw", NETNS, "neither-redis neither-inline neither-nats neither-postgres neither-ftp neither-mqtt neither-json-lines neither-ssh neither-memcached neither-beanstalk"),
    Hole("banner", "that a server which speaks first wants /raw", SOCKET, "neither-banner-heard"),
    Hole("ssl-2", "hellos in the form of SSL 2", NETNS, "ssl-2-on-other-port"),
    Hole("answer-in-tls", "that a hello is answered in TLS", SOCKET, "no-tls-answer"),
    Hole("search-list", "that names are absolute", SOCKET, "search-list"),
    Hole("slow-families", "that the next address is tried soon", SOCKET, "families-2", also=("families",)),
    Hole("special-addresses", "what a name may stand for", NETNS, "at-ten at-metadata at-loopback at-carrier alias-lan rebind-later mixed"),
    Hole("own-addresses", "that a name may not stand for this machine and its neighbours", SOCKET, "at-own at-own-v6 at-own-neighbour at-own-gateway"),
    Hole("ask-first", "that a name is judged before it is looked up", SOCKET, "asked-for", also=("unlisted", "suffix-glued")),
    Hole("address-rules", "the rules for addresses", NETNS, "v4-out v6-out host-own metadata source-address mptcp loopback-ruled"),
    Hole("udp-rules", "the rules for datagrams", NETNS, "udp-out udp-out-v6 udp-host-own"),
    Hole("reuse", "that npxc's ports cannot be shared", NETNS, "take-port-reuseport take-port-both"),
    Hole("families", "the filter of socket families", NETNS, "socket-vsock"),
    Hole("io-uring", "the filter of io_uring", NETNS, "io-uring"),
    Hole("mounted-sockets", "the look for sockets in what is mounted", NETNS, "mounted mounted-deep every-socket"),
    Hole("slow-heads", "the time that a head may take", SOCKET, "slow-head no-head"),
    Hole("token", "the token of a session", GATEWAY, "token-none token-wrong token-empty"),
    Hole("v6-answers", "where answers to datagrams of IPv6 come from", NETNS, "udp-rule-v6 dns-public-v6"),
]


def red_of(stage, hole):
    """{name: note} of what is red there."""
    wanted = hole.names | hole.also
    link = play.Link(stage, hole.link)
    link.main(suite.twins([attack for attack in attacks.ATTACKS if attack.name in wanted]), {})
    if "families" in wanted:
        link.families()
    return {result.attack.name: "%s: %s" % (result.verdict, result.note) for result in link.results if result.red}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="names; comma-separated")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("holes: network namespaces need root")
    chosen = [hole for hole in HOLES if (not options.only or hole.name in options.only.split(",")) and shutil.which(staging.LINKS[hole.link][0])]
    if not os.access(FAULTY, os.X_OK):
        sys.exit("holes: %s is no program: make faults" % FAULTY)
    faults = 0
    with staging.Stage(FAULTY) as stage:
        for hole in chosen:
            stage.env = {"NPXC_WITHOUT": hole.name}
            red = red_of(stage, hole)
            missed = sorted(hole.names - set(red))
            faults += bool(missed)
            print("%-18s %-14s %s%s" % (hole.name, hole.link, ", ".join("%s %s" % (name, note.partition(":")[0]) for name, note in sorted(red.items())) or "-",
                                        "  <-- not noticed: %s" % "; ".join(missed) if missed else ""), flush=True)
    print("%d of %d holes were noticed" % (len(chosen) - faults, len(chosen)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
