#!/usr/bin/env python3
"""Takes single guards out of npxc: the attacks that they stop have to be seen to get through, or to go another way.

    holes.py [--only NAME,...]

A hole is a change of text in a copy of the sources; that is built and attacked. Root, Linux; podman for its links.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import attacks
import play
import run as suite
import stage as staging

NETNS, SOCKET, GATEWAY = "bwrap/netns", "bwrap/socket", "podman/gateway"


class Hole:
    """`names`: what has to turn red on `link`. `changes`: (file, text, text instead). `also`: what is played besides."""

    def __init__(self, name, what, link, names, *changes, also=()):
        self.name, self.what, self.changes = name, what, changes
        self.link, self.names, self.also = link, set(names.split()), set(also)


class NotMade(Exception):
    """The source has changed and the hole with it is none any more, or it does not build."""


def build(hole, scratch):
    top = staging.TOP
    for name in ("Makefile", "src"):
        source = top / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, scratch / name)
    # copied with their times, so that make compiles what was changed and no more
    shutil.copytree(top / "build" / "obj", scratch / "build" / "obj", copy_function=shutil.copy2)
    for file, before, after in hole.changes:
        path = scratch / file
        text = path.read_text()
        if text.count(before) != 1:
            raise NotMade("%s holds %d times: %s" % (file, text.count(before), before))
        path.write_text(text.replace(before, after))
    done = subprocess.run(["make", "-s", "-C", str(scratch), "build/npxc"], capture_output=True, text=True)
    if done.returncode != 0:
        raise NotMade("it does not build: %s" % done.stderr.strip()[-400:])
    return scratch / "build" / "npxc"


HOLES = [
    Hole("name-in-tls", "the name in a ClientHello", NETNS, "sni-other sni-glued retry-other",
         ("src/egress/gate.c", "if (!str_equal(hello.name, gate->name))", "if (false)")),
    Hole("no-name-in-tls", "that a ClientHello has a name", SOCKET, "sni-none",
         ("src/egress/gate.c", "if (hello.name[0] == '\\0')\n\t\treturn shut", "if (false)\n\t\treturn shut"),
         ("src/egress/gate.c", "if (!str_equal(hello.name, gate->name))", "if (hello.name[0] != '\\0' && !str_equal(hello.name, gate->name))")),
    Hole("second-hello", "the hello after a HelloRetryRequest", NETNS, "retry-other retry-none retry-ech retry-split retry-change-cipher retry-opaque",
         ("src/egress/gate.c", "gate->state = GATE_SECOND;", "gate->state = GATE_OPEN;")),
    Hole("encrypted-hello", "encrypted hellos", NETNS, "ech ech-draft esni",
         ("src/egress/hello.c", "if (is_encrypted_hello(number))", "if (is_encrypted_hello(number) && count == 0)")),
    Hole("kind-of-443", "that port 443 is TLS", SOCKET, "plain-on-443",
         ("src/egress/gate.c", "PORT_HTTPS = 443", "PORT_HTTPS = 4430")),
    Hole("host-in-http", "the Host of a request", NETNS, "host-other second second-pipelined behind-body behind-chunks host-byte-by-byte",
         ("src/egress/http.c", "return agrees(http, value) ? REASON_NONE :", "return value.n > 0 ? REASON_NONE :")),
    Hole("two-hosts", "that there is one Host", NETNS, "host-two",
         ("src/egress/http.c", "return REASON_HOST_TWICE;", "return REASON_NONE;")),
    Hole("lenient-http", "that HTTP in any form is held to its host", NETNS, "odd-absolute odd-unknown-method odd-star odd-two-blanks odd-tab odd-no-path odd-lower-case odd-0.9-absolute odd-lines-first",
         ("src/egress/gate.c", "\tcase HTTP_LOOK_YES:\n\t\tgate->state = GATE_HTTP;", "\tcase HTTP_LOOK_YES:\n\t\tgate->state = GATE_OPEN;")),
    Hole("neither", "that what is neither TLS nor HTTP wants /raw", NETNS, "neither-redis neither-inline neither-nats neither-postgres neither-ftp neither-mqtt neither-json-lines neither-ssh neither-memcached neither-beanstalk",
         ("src/egress/gate.c", "\treturn neither(gate, REASON_NEITHER", "\tgate->state = GATE_OPEN;\n\treturn true;\n\treturn neither(gate, REASON_NEITHER")),
    Hole("banner", "that a server which speaks first wants /raw", SOCKET, "neither-banner-heard",
         ("src/egress/gate.c", "\t\treturn spoke_first(gate, bytes, length);", "\t\treturn length == 0 && spoke_first(gate, bytes, length);")),
    Hole("ssl-2", "hellos in the form of SSL 2", NETNS, "ssl-2-on-other-port",
         ("src/egress/hello.c", "refuse(a, REASON_SSL2)", "(refuse(a, REASON_SSL2), HELLO_OTHER)"),
         ("src/egress/gate.c", "\treturn neither(gate, REASON_NEITHER", "\tgate->state = GATE_OPEN;\n\treturn true;\n\treturn neither(gate, REASON_NEITHER")),
    Hole("answer-in-tls", "that a hello is answered in TLS", SOCKET, "no-tls-answer",
         ("src/egress/gate.c", "\tcase HELLO_ANSWER_OTHER:\n\t\tbreak;", "\tcase HELLO_ANSWER_OTHER:\n\t\tgate->state = GATE_OPEN;\n\t\treturn true;")),
    Hole("search-list", "that names are absolute", SOCKET, "search-list",
         ("src/egress/resolve.c", "snprintf(absolute, sizeof(absolute), \"%s.\", name);", "snprintf(absolute, sizeof(absolute), \"%s\", name);")),
    Hole("slow-families", "that the next address is tried soon", SOCKET, "families-2",
         ("src/base/limits.h", "#define LIMIT_EGRESS_ATTEMPT_MS 250", "#define LIMIT_EGRESS_ATTEMPT_MS 2500"), also=("families",)),
    Hole("special-addresses", "what a name may stand for", NETNS, "at-ten at-metadata at-loopback at-carrier alias-lan rebind-later mixed",
         ("src/egress/address.c", "\tif (reason != REASON_NONE || own == NULL)\n\t\treturn reason;", "\tif (reason != REASON_NONE || own == NULL)\n\t\treturn REASON_NONE;")),
    Hole("own-addresses", "that a name may not stand for this machine and its neighbours", SOCKET, "at-own at-own-v6 at-own-neighbour at-own-gateway",
         ("src/egress/address.c", "\tif (reason != REASON_NONE || own == NULL)\n\t\treturn reason;", "\tif (reason != REASON_NONE || own != NULL)\n\t\treturn reason;")),
    Hole("ask-first", "that a name is judged before it is looked up", SOCKET, "asked-for",
         ("src/egress/flow.c", "static void judge_name(struct flow *flow)\n{\n",
          "static void nothing(void *context, const struct resolve_answer *answer)\n{\n\t(void)context;\n\t(void)answer;\n}\n\n"
          "static void judge_name(struct flow *flow)\n{\n\tuint64_t ticket;\n\n\t(void)!resolver_ask(flow->server->resolver, flow->name, nothing, NULL, &ticket);\n"), also=("unlisted", "suffix-glued")),
    Hole("address-rules", "the rules for addresses", NETNS, "v4-out v6-out host-own metadata source-address mptcp loopback-ruled",
         ("src/egress/flow.c", "verdict_on_address(flow->server->rules, &flow->ip, flow->port)", "{ .rule = &flow->server->rules->v[0] }")),
    Hole("udp-rules", "the rules for datagrams", NETNS, "udp-out udp-out-v6 udp-host-own",
         ("src/egress/udp.c", "verdict_on_datagram(server->rules, &to, listener->port)",
          "{ .rule = &server->rules->v[0], .reason = address_refusal_always(&to) }")),
    Hole("reuse", "that npxc's ports cannot be shared", NETNS, "take-port-reuseport take-port-both",
         ("src/egress/netns.c", "(stream && !set(fd, IPPROTO_TCP, TCP_NODELAY)) ||", "(stream && !set(fd, IPPROTO_TCP, TCP_NODELAY)) || !set(fd, SOL_SOCKET, SO_REUSEPORT) ||")),
    Hole("families", "the filter of socket families", NETNS, "socket-vsock",
         ("src/contain/seccomp.c", "\tif (bad == 0)\n\t\tbad = refuse_families(filter, SCMP_SYS(socket));\n", "")),
    Hole("io-uring", "the filter of io_uring", NETNS, "io-uring", ("src/contain/seccomp.c", "\tSCMP_SYS(io_uring_setup),\n", "")),
    Hole("mounted-sockets", "the look for sockets in what is mounted", NETNS, "mounted mounted-deep every-socket",
         ("src/files/mounts.c", "settle(&g->out, err) && protect_own(&g->out, in->own, err) && mask_sockets(&g->out, err)",
          "settle(&g->out, err) && protect_own(&g->out, in->own, err) && (true || mask_sockets(&g->out, err))")),
    Hole("slow-heads", "the time that a head may take", SOCKET, "slow-head no-head", ("src/base/limits.h", "#define LIMIT_EGRESS_HEAD_MS 5000", "#define LIMIT_EGRESS_HEAD_MS 60000")),
    Hole("token", "the token of a session", GATEWAY, "token-none token-wrong token-empty",
         ("src/egress/connect.c", "return request->credentials != NULL && differs == 0;", "return request->credentials == NULL || differs < 1000;")),
    Hole("v6-answers", "where answers to datagrams of IPv6 come from", NETNS, "udp-rule-v6 dns-public-v6",
         ("src/egress/netns.c", "!stream && message->v6 && !set(fd, IPPROTO_IPV6, IPV6_FREEBIND)", "false")),
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
    faults = 0
    with staging.Stage(staging.TOP / "build" / "npxc") as stage:
        for hole in chosen:
            scratch = pathlib.Path(tempfile.mkdtemp(prefix="npxc-hole-"))
            scratch.chmod(0o755)
            try:
                stage.launcher = build(hole, scratch)
                red = red_of(stage, hole)
                missed = sorted(hole.names - set(red))
            except NotMade as why:
                red, missed = {}, [str(why)]
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            faults += bool(missed)
            print("%-18s %-14s %s%s" % (hole.name, hole.link, ", ".join("%s %s" % (name, note.partition(":")[0]) for name, note in sorted(red.items())) or "-",
                                        "  <-- not noticed: %s" % "; ".join(missed) if missed else ""), flush=True)
    print("%d of %d holes were noticed" % (len(chosen) - faults, len(chosen)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
