"""Plays the attacks on a link, and judges what the servers saw and what the attacker saw."""

import base64
import contextlib
import functools
import ipaddress
import itertools
import json
import os
import pathlib
import re
import time

import attacks as catalogue
import hello as tls
import stage as staging
from attacks import BARE, Attack, flow, hail, send

WIDE = 16
MUTATED = int(os.environ.get("MUTATED", 240))
NUMBERS = itertools.count(1)
SLOW = (  # begun first
    "at-silent", "at-blackhole", "slow-head", "no-head", "rebind-later", "host-by-link-local")
RED = ("REACHED", "FAILED", "ODD", "UNPROVEN", "NOT REACHED")


HOST = re.compile(rb"(?im)^[ \t]*host[ \t]*:[ \t]*([^\s]*)")  # as a lenient server finds one
MARK = re.compile(rb"mk[0-9a-f]{8}")


def mark():
    return "mk%08x" % (next(NUMBERS) * 2654435761 % (1 << 32))


class Where:
    """What an attack may want to know of where it is played."""

    def __init__(self, kind, runtime, shared):
        self.kind, self.runtime, self.shared = kind, runtime, str(shared)
        self.may_be_silent = False
        self.asked = []


class Result:
    """`verdict`: blocked, works, holds, reached (told), n/a; or one of RED."""

    def __init__(self, attack, verdict, note="", seen=None):
        self.attack, self.verdict, self.note, self.seen = attack, verdict, note, seen

    @property
    def red(self):
        return self.verdict in RED

    def as_json(self):
        return {"name": self.attack.name, "group": self.attack.group, "what": self.attack.what, "requirement": self.attack.requirement,
                "verdict": self.verdict, "note": self.note}


@functools.cache
def same(address):
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


class Seen:
    """What the servers saw since some time, by mark."""

    def __init__(self, hits, questions):
        self.hits, self.questions, self.marks, self.places = hits, questions, {}, {}
        for hit in hits:
            hit.marks = set(MARK.findall(hit.bytes + b"\0" + hit.plain)) | set(MARK.findall(tls.unframed(hit.bytes)))
            self.places.setdefault((same(hit.address), hit.port), "%s [%s]:%s" % (hit.proto, hit.address, hit.port))
            for mark in hit.marks:
                self.marks.setdefault(mark.decode(), "%s [%s]:%s" % (hit.proto, hit.address, hit.port))
        for name, kind, at in questions:
            for mark in MARK.findall(name.lower().encode()):
                self.marks.setdefault(mark.decode(), "the name server at %s, asked for %s of %s" % (at, kind, name))

    def found(self, mark):
        """Where it got to; None: nowhere."""
        return self.marks.get(mark)

    def arrived(self, places):
        """A place of these where anything arrived at all."""
        return next((self.places[same(address), port] for address, port in places if (same(address), port) in self.places), None)


def run(attacker, jobs):
    """Of one attack: one after the other. What it saw: the same shape as the jobs."""
    if isinstance(jobs, dict):
        return attacker.do(**jobs)
    return [attacker.do(**job) for job in jobs]


def problem_of(seen):
    return next((one["problem"] for one in (seen if isinstance(seen, list) else [seen]) if "problem" in one), None)


def did(seen):
    """A system call that succeeded: all that some attacks want."""
    return any(one.get("step") == "done" for one in (seen if isinstance(seen, list) else [seen]))


def play_all(attacker, todo, where):
    """{attack: (mark, what it saw)}. The long ones begin first."""
    import concurrent.futures
    plan = {}
    for attack, make in todo:
        here = Where(where.kind, where.runtime, where.shared)
        m = mark()
        jobs = make(m, here)
        here.asked = [job.get("words") for job in jobs] if isinstance(jobs, list) else []
        plan[attack] = (m, jobs, here)
    order = sorted(plan, key=lambda attack: attack.name not in SLOW)
    together, alone = [a for a in order if not a.alone], [a for a in order if a.alone]
    seen = {}
    with concurrent.futures.ThreadPoolExecutor(WIDE) as pool:
        seen.update(zip(together, pool.map(lambda attack: run(attacker, plan[attack][1]), together)))
    seen.update((attack, run(attacker, plan[attack][1])) for attack in alone)
    return {attack: (plan[attack][0], seen[attack], plan[attack][2]) for attack in order}


# ---- outside ----

def controls(stage, chosen):
    """{name: None, or why its control shows nothing}: the same actions outside of any sandbox."""
    todo = {False: [], True: []}
    for attack in chosen:
        if attack.expect == "works" or isinstance(attack.control, str) and attack.control != BARE:
            continue
        todo[attack.as_root].append((attack, attack.make if attack.control == BARE else attack.control))
    shown = {}
    for as_root, some in todo.items():
        stage.world.rewind()
        position = stage.world.position()
        with stage.bare(None if as_root else staging.USER) as attacker:
            played = play_all(attacker, some, Where("bare", None, stage.shared))
        stage.world.quiet()
        witness = Seen(*stage.world.since(position))
        for attack, (m, seen, _) in played.items():
            reached = witness.found(m) or (attack.group in ("kernel", "udp", "port") or attack.kernel) and did(seen)
            shown[attack.name] = None if reached else "outside of a sandbox it reaches nothing either: %s" % brief(seen)
    return shown


def brief(seen):
    """For a note: without what nobody reads."""
    if isinstance(seen, list):
        return "; ".join(brief(one) for one in seen)
    text = {key: value for key, value in seen.items() if value not in (None, "", 0) and key not in ("ms", "total", "head")}
    if "received" in text:
        text["received"] = repr(bytes.fromhex(text["received"])[:80])
    return ", ".join("%s %s" % (key, str(value)[:160]) for key, value in text.items())


# ---- inside ----

class Link:
    def __init__(self, stage, name):
        self.stage, self.name = stage, name
        self.runtime, self.kind = staging.LINKS[name]
        self.where = Where(self.kind, self.runtime, stage.shared)
        self.results = []
        self.began = time.monotonic()

    def add(self, attack, verdict, note="", seen=None):
        self.results.append(Result(attack, verdict, note, seen))

    def session(self, label="", network=None, flags=()):
        return self.stage.sandbox(self.name, network, flags, label)

    def judge(self, attack, m, seen, where, witness):
        wrong = problem_of(seen)
        if wrong:
            self.add(attack, "FAILED", wrong, seen)
            return
        got = witness.arrived(attack.places) or (not attack.elsewhere and witness.found(m))
        if attack.asked:
            got = next((repr(hit) for hit in witness.hits if m.encode() in hit.marks and attack.asked in hit.names), None)
        if not got and attack.group in ("kernel", "socket") and did(seen):
            got = "what it wanted of the kernel"
        try:
            odd = attack.sees(seen, where) if attack.sees else None
        except (KeyError, IndexError, TypeError, ValueError) as why:
            odd = "%s: %s" % (type(why).__name__, why)
        if attack.expect == "works":
            bad = witness.arrived(attack.places)
            wanted = witness.found(m) or attack.name in ("dig",)
            if bad:
                self.add(attack, "REACHED", bad, seen)
            elif odd or not wanted:
                self.add(attack, "FAILED", "%s (%s)" % (odd or "no server saw it", brief(seen)), seen)
            else:
                self.add(attack, "works", "", seen)
        elif attack.expect == "reached":
            self.add(attack, "reached" if got else "NOT REACHED", got or brief(seen), seen)
        elif got and self.kind in attack.known:
            self.add(attack, "reached", "%s; known: %s" % (got, attack.known[self.kind]), seen)
        elif got:
            self.add(attack, "REACHED", "%s (%s)" % (got, brief(seen)), seen)
        elif odd:
            self.add(attack, "ODD", "%s (%s)" % (odd, brief(seen)), seen)
        else:
            self.add(attack, "blocked", "", seen)

    def main(self, chosen, shown, whole=False):
        """All single attacks, in one session. `whole`: and a swarm of mutated ones."""
        todo = []
        for attack in chosen:
            if self.kind not in attack.links:
                self.add(attack, "n/a", attack.why_not)
            elif self.runtime not in attack.runtimes:
                self.add(attack, "n/a", "needs programs that the base image does not have")
            elif attack.kernel and shown.get(attack.name):
                self.add(attack, "n/a", "this kernel has no such thing")
            else:
                todo.append((attack, attack.make))
        self.stage.world.rewind()
        position = self.stage.world.position()
        attacker = self.session(flags=("--mount", str(self.stage.shared)))
        try:
            about = attacker.do(do="about")
            if "problem" in about:
                for attack, _ in todo:
                    self.add(attack, "FAILED", about["problem"])
                return
            played = play_all(attacker, todo, self.where)
            self.sockets(attacker)
            if whole:
                self.mutated(attacker)
        finally:
            status = attacker.close()
        settled = self.stage.world.quiet()
        witness = Seen(*self.stage.world.since(position))
        for attack, (m, seen, where) in played.items():
            self.judge(attack, m, seen, where, witness)
        self.prove(shown)
        self.invariants(attacker, status, settled, witness, played)

    def prove(self, shown):
        """A blocked attack whose control showed nothing means nothing."""
        works = {result.attack.name for result in self.results if result.verdict == "works"}
        for result in self.results:
            if result.verdict != "blocked":
                continue
            control = result.attack.control
            why = shown.get(result.attack.name) if not isinstance(control, str) or control == BARE else \
                None if control in works else "its honest twin %s does not work" % control
            if why:
                result.verdict, result.note = "UNPROVEN", why

    def invariants(self, attacker, status, settled, witness, played):
        def one(name, what, wrong, requirement="egress-denied-everything-else"):
            self.add(Attack(name, what, None, "whole", requirement, control="tls"), "REACHED" if wrong and "arrive" in name or wrong and "asked" in name
                     else "FAILED" if wrong else "holds", "; ".join(map(str, wrong[:5])))

        def listed(name):
            name = name.lower().rstrip(".")
            return name in staging.LISTED or name.endswith(".wild.test") or name in ("lan.test",)

        one("asked-for", "the host's resolver is asked for names of rules only", sorted({name for name, _, _ in witness.questions if not listed(name)}),
            "egress-no-lookup-unlisted")
        allowed = {(same(a), p) for a, p in staging.ALLOWED_PLACES} | {(catalogue.RESOLVER, 53)}
        known = {m.encode() for attack, (m, _, _) in played.items() if self.kind in attack.known}  # told with the attack itself
        one("arrived-at", "everything that arrives anywhere arrives where a rule says",
            [hit for hit in witness.hits if (same(hit.address), hit.port) not in allowed and not hit.marks & known])
        one("names-wanted", "no server is asked by TLS for a name that the flow was not allowed for",
            sorted({name for hit in witness.hits for name in hit.names if name and not listed(name)}), "egress-sni-agrees")
        one("hosts-wanted", "no server is asked by HTTP for a host that the flow was not allowed for",
            sorted({"%s in %r" % (host.decode(errors="replace"), hit.bytes[:160]) for hit in witness.hits if hit.port == 80 or hit.port == 8080 and re.match(rb"\s*[!-~]+[ \t]", hit.bytes) for host in HOST.findall(hit.bytes)
                    if not listed(host.decode(errors="replace").partition(":")[0])}), "egress-host-agrees")
        one("connections-end", "no connection outlives the session", [] if settled else ["some are open after 10 s"])
        one("session-ends", "the session ends as it should, and stdout has nothing but answers",
            attacker.odd + (["the egress process ended"] if b"egress process has ended" in attacker.err else []) + ([] if status == 0 else ["exit status %s: %s" % (status, attacker.last_words())]))
        one("nothing-left", "no file, socket, process or network of the session is left", self.left(attacker))
        self.audit(attacker, played, one)
        self.said(attacker, one, {attack.name for attack in played})

    def left(self, attacker):
        """What is still there when the janitor has had its time."""
        end = time.monotonic() + 10
        while True:
            left = [os.path.join(place, name) for top in ("tmp", "run")
                    for place, inner, names in os.walk(attacker.home / top) for name in sorted(inner + names)]
            for entry in os.listdir("/proc"):
                with contextlib.suppress(OSError):
                    if entry.isdigit() and str(attacker.home).encode() in pathlib.Path("/proc", entry, "environ").read_bytes():
                        left.append("process %s" % entry)
            left += self.stage.world.host.shell("ip -o link show type bridge").splitlines()
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.05)

    def audit(self, attacker, played, one):
        requirement = "egress-audit-complete"
        directory = attacker.home / ".local" / "state" / "npxc" / "egress"
        records, wrong = [], []
        for path in sorted(directory.glob("*.jsonl*")) if directory.exists() else []:
            if path.stat().st_mode & 0o077:
                wrong.append("%s can be read by others" % path.name)
            for line in path.read_bytes().split(b"\n"):
                if not line:
                    continue
                try:
                    records.append(json.loads(line.decode()))
                except ValueError:
                    wrong.append("no JSON: %r" % line[:100])
                if re.search(rb"[\0-\x1f\x7f]", line):
                    wrong.append("a control byte: %r" % line[:100])
        if not records:
            wrong.append("there are no records")
        for record in records:
            missing = [key for key in ("ts", "session", "package", "verdict", "code") if key not in record]
            if missing or record.get("package") != str(self.stage.package) or record["verdict"] not in ("allow", "deny", "fail"):
                wrong.append("%s: %s" % (missing, record))
            elif record["verdict"] == "allow" and not record.get("rule"):
                wrong.append("allowed by no rule: %s" % record)
        one("audit-form", "each record is one JSON object that names session, package, verdict and code", wrong, requirement)

        def has(verdicts, host, port):
            return any(record["verdict"] in verdicts and (host is None or host in (record.get("host"), record.get("ip")) or
                                                          host[0] == "." and str(record.get("host")).endswith(host)) and
                       (port is None or record.get("port") in (port, None)) for record in records)
        lacking = [attack.name for attack in played
                   if attack.audit and attack.expect == "blocked" and not has(("deny", "fail"), *attack.audit)
                   and not (self.kind != "netns" and attack.group in ("address", "udp", "dns"))]  # those never come to npxc
        one("audit-denials", "each denial is written down", lacking, requirement)
        one("audit-rule", "the denial of what is neither TLS nor HTTP names the rule that would pass it",
            [] if "neither-redis" not in {attack.name for attack in played} or any(record.get("add") == "api.test:7001/raw" for record in records) else ["no record does"], requirement)
        one("audit-flows", "each flow that was let through is written down",
            ["%s:%d" % place for name, place in (("tls", ("api.test", 443)), ("opaque", ("api.test", 7000)), ("http", ("api.test", 80)),
                                                 ("ip-rule", ("203.0.114.7", 5432))) if name in {a.name for a in played} and not has(("allow",), *place)], requirement)

    def said(self, attacker, one, played):
        # what is almost HTTP or TLS may be neither
        ports = rb"(?:80|443)" if any(result.attack.name == "mutated" for result in self.results) else rb"(?:80|443|8080|444|445)"
        one("stderr-raw", "so does stderr, and never for HTTP or TLS",
            ([] if "neither-redis" not in played or b'add "api.test:7001/raw"' in attacker.err else ["not for api.test:7001"]) +
            sorted({m.decode() for m in re.findall(rb'"(api\.test:%s/raw)"' % ports, bytes(attacker.err))}), "egress-audit-complete")
        text = bytes(attacker.err)
        wrong = ["%r" % line[:120] for line in text.split(b"\n") if re.search(rb"[\0-\x08\x0b-\x1f\x7f]", line)]
        one("stderr-clean", "no control byte of a guest's gets to the terminal", wrong, "egress-audit-complete")
        one("stderr-rule", "a denial says which rule to add", [] if "unlisted" not in played or b"evil.test" in text and re.search(rb"evil\.test:443|--allow", text) else
            ["nothing of evil.test: %r" % text[-300:]], "egress-audit-complete")

    # -- attacks that are more than one action --

    def sockets(self, attacker):
        attack = Attack("every-socket", "every socket in the file system: the session's own alone", None, "socket", control="tls")
        seen = attacker.do(do="sockets")
        wanted = {"/run/npxc/egress.sock"} if self.kind == "socket" else set()
        extra = set(seen.get("sockets", {"?": seen})) - wanted
        answering = sorted(path for path in extra if seen["sockets"][path] is None)
        self.add(attack, "REACHED" if answering else "blocked", "; ".join(answering), seen)

    def mutated(self, attacker):
        attack = Attack("mutated", "%d flows with small faults in them: none does harm" % MUTATED, None, "load", control="tls")
        seen = attacker.do_all(catalogue.mutated(MUTATED, 1, self.where), WIDE)
        real = attacker.do(**flow("api.test", 7000, *hail(mark())))
        wrong = [problem_of(one) for one in seen if problem_of(one)]
        served = catalogue.is_answered(real)
        self.add(attack, "holds" if served and not wrong else "FAILED", "; ".join(wrong[:3]) or ("" if served else "an honest flow is not served: %s" % brief(real)))

    def empty(self):
        """An empty list of rules."""
        m = mark()
        position = self.stage.world.position()
        with self.session("-empty", {"mode": "allowlist", "link": self.kind, "allow": []}) as attacker:
            jobs = [flow("api.test", 443, send(tls.hello(m)), catalogue.SETTLE), flow("203.0.114.7", 5432, *hail(m)), flow("api.test", 80, *hail(m)),
                    flow("10.1.2.3", 5432, *hail(m)), catalogue.udp("203.0.114.7", 5432, m.encode()), {"do": "lookup", "name": "api.test"},
                    flow("host.npxc.internal", 11434, *hail(m))]
            seen = attacker.do_all(jobs)
        self.stage.world.quiet()
        witness = Seen(*self.stage.world.since(position))
        attack = Attack("empty", "an empty list of rules denies everything", None, "whole", "map-empty-allowlist-denies", control="tls")
        wrong = [problem_of(one) for one in seen if problem_of(one)]
        through = [one for one in seen if not one.get("error") and not (one.get("end") in ("end", "close", "ECONNRESET") and not catalogue.is_answered(one))]
        if witness.hits or witness.questions:
            self.add(attack, "REACHED", "%s %s" % (witness.hits[:3], witness.questions[:3]), seen)
        elif wrong or through:
            self.add(attack, "FAILED" if wrong else "ODD", "; ".join(wrong) or brief(through), seen)
        else:
            self.add(attack, "blocked", "", seen)

    def other_session(self):
        """What another session may, and its way out."""
        attack = Attack("other-session", "the rules and the way out of another session", None, "whole", control="tls")
        m, theirs = mark(), mark()
        position = self.stage.world.position()
        with self.session("-one", {"mode": "allowlist", "link": self.kind, "allow": ["evil.test:443"]}) as other, \
                self.session("-two", {"mode": "allowlist", "link": self.kind, "allow": ["api.test:443"]}) as attacker:
            allowed = other.do(**flow("evil.test", 443, send(tls.hello(theirs, b"evil.test")), catalogue.SETTLE))
            about = other.do(do="about")
            seen = [attacker.do(**flow("evil.test", 443, send(tls.hello(m, b"evil.test")), catalogue.SETTLE))]
            way = about.get("egress", "")
            if self.kind == "gateway" and way:
                host, _, port = way.removeprefix("tcp:").rpartition(":")
                seen.append(attacker.do(**catalogue.direct(host, int(port), send(b"CONNECT evil.test:443 HTTP/1.1\r\n@AUTH@\r\n" + m.encode()), catalogue.SETTLE)))
            for path in self.host_sockets(other.home):
                seen.append(attacker.do(**catalogue.raw("unix", path, m)))
        self.stage.world.quiet()
        witness = Seen(*self.stage.world.since(position))
        got = witness.found(m)
        problems = [problem_of(one) for one in seen + [allowed] if problem_of(one)]
        if got or any(one.get("step") == "done" for one in seen) or any(b" 200 " in catalogue.received(one)[:40] for one in seen):
            self.add(attack, "REACHED", got or brief(seen), seen)
        elif problems or not witness.found(theirs):
            self.add(attack, "FAILED", "; ".join(problems) or "the other session does not reach its host either: %s" % brief(allowed), seen)
        else:
            self.add(attack, "blocked", "", seen)

    def host_sockets(self, home):
        """Those that the processes of the session in it hold: a network namespace lists its own."""
        lines = [line.split() for line in self.stage.world.host.shell("cat /proc/net/unix").splitlines()]
        return sorted({words[7] for words in lines if len(words) > 7 and str(home) in words[7]})

    def gateway(self):
        """Link gateway: which address the guest is told, and who else may talk to it."""
        if self.kind != "gateway":
            return
        told = Attack("told-gateway", "the guest is told the gateway that the runtime says its network has", None, "whole", "net-gateway-used", control="tls")
        peer = Attack("other-peer", "the right token, but from outside of the session's network", None, "whole", "net-gateway-used", control="tls")
        with self.session("-gateway") as attacker:
            about = attacker.do(do="about")
            token = attacker.do(**catalogue.shell("printenv NPXC_EGRESS_TOKEN")).get("out", "").strip()
            inspected = self.stage.world.host.shell("podman network inspect $(podman network ls -q --filter name=npxc-)")
            host, _, port = about.get("egress", "").removeprefix("tcp:").rpartition(":")
            gateways = [subnet["gateway"] for network in json.loads(inspected) for subnet in network["subnets"]]
            line = "Proxy-Authorization: Basic %s" % base64.b64encode(("npxc:" + token).encode()).decode()
            ask = send(b"CONNECT api.test:443 HTTP/1.1\r\n" + line.encode() + b"\r\n\r\n"), catalogue.SETTLE
            with self.stage.bare() as outside:
                own, other = [outside.do(**catalogue.direct(host, int(port or 0), *ask, **{"from": source})) for source in (host, staging.HOST_V4)]
        self.add(told, "holds" if host in gateways else "FAILED", "" if host in gateways else "told %s, inspected %s" % (about.get("egress"), gateways))
        if b" 200 " in catalogue.received(other)[:20]:
            self.add(peer, "REACHED", brief(other))
        elif b" 200 " not in catalogue.received(own)[:20]:
            self.add(peer, "UNPROVEN", "from within it gets nothing either: %s" % brief(own))
        else:
            self.add(peer, "blocked", brief(other))
        self.stage.world.quiet()

    def families(self):
        """Names whose IPv6 addresses answer nothing: how long a request takes, beside the same request outside."""
        script = ("const http = require('http'), took = []; const one = left => { const began = performance.now();"
                  "http.get({host: 'HOST', port: 80, path: '/x', agent: false, autoSelectFamily: true}, r => r.resume().on('end', () => {"
                  "took.push(performance.now() - began); left ? one(left - 1) : console.log(JSON.stringify(took)) }))"
                  ".on('error', e => console.log(JSON.stringify(String(e)))) }; one(3)")
        internet = self.stage.world.internet
        internet.shell("PATH=$PATH:/usr/sbin; nft add table ip6 dropped; nft 'add chain ip6 dropped in { type filter hook input priority 0; }';"
                       "nft add rule ip6 dropped in ip6 daddr %s/48 drop" % staging.DROPPED)
        try:
            with self.session("-families", {"mode": "allowlist", "link": self.kind, "allow": [name + ":80" for name in staging.FAMILIES]}) as attacker, \
                    self.stage.bare() as outside:
                for number, (name, count) in enumerate(staging.FAMILIES.items()):
                    attack = Attack("families-%d" % count, "%d IPv6 addresses that answer nothing before one of IPv4: as quick as outside%s" % (
                        count, "" if number == 0 else ", and the family that answers is remembered"), None, "works", "egress-allowed-works", control="tls")
                    job = {"do": "polite", "script": script.replace("HOST", name)}
                    seen = [one.do(**job) for one in (outside, attacker)]
                    bare, inside = [json.loads(one["out"]) if one.get("out") else brief(one) for one in seen]
                    told = "outside %s ms, inside %s ms" % tuple([round(t) for t in took] if isinstance(took, list) else took for took in (bare, inside))
                    if not isinstance(bare, list):
                        self.add(attack, "UNPROVEN", told)
                    else:  # what was remembered costs no attempt at the other family: less than the pause that is in each request outside
                        late = not isinstance(inside, list) or inside[0] > 4 * bare[0] or sorted(inside[1:])[1] > min(bare) or number > 0 and inside[0] > 2 * min(bare)
                        self.add(attack, "FAILED" if late else "works", told)
        finally:
            internet.shell("PATH=$PATH:/usr/sbin; nft delete table ip6 dropped")

    def load(self):
        """Many flows: a real one is still served, and what nobody reads costs no memory."""
        idle = Attack("idle-600", "600 connections that say nothing: a real one is still served", None, "load", control="tls")
        unread = Attack("unread-100", "100 flows of 8 MB that nobody reads: little memory", None, "load", control="tls")
        with self.session("-load") as attacker:
            many = {"do": "many", "count": 600, "hold": "idle", **({"way": "egress"} if self.kind != "netns" else {"host": "api.test", "port": 443})}
            opened = attacker.do(**many)
            m = mark()
            position = self.stage.world.position()
            began = time.monotonic()
            real = attacker.do(**flow("api.test", 7000, *hail(m)))
            took = time.monotonic() - began
            wrong = problem_of(opened) or problem_of(real)
            if wrong or not Seen(*self.stage.world.since(position)).found(m) or not catalogue.is_answered(real):
                self.add(idle, "FAILED", wrong or "%s; %s" % (brief(real), opened), real)
            else:
                self.add(idle, "holds", "%s; served in %.2f s" % (opened["outcomes"], took), real)
            attacker.do(do="release", hold="idle")
            before = self.resident(attacker)
            opened = attacker.do(do="many", count=100, hold="unread", unread=True, host="api.test", port=9000, steps=[send(b"x\n")])
            sent = self.stalled()
            after = self.resident(attacker)
            attacker.do(do="release", hold="unread")
            grown = max(after.values(), default=0) - max(before.values(), default=0)
            if problem_of(opened) or opened["outcomes"].get("open", 0) != 100:
                self.add(unread, "FAILED", problem_of(opened) or str(opened), opened)
            elif not before or grown > 16 << 20 or sent >= 100 * (8 << 20):
                self.add(unread, "FAILED", "%d of %d bytes were taken; memory %s, then %s" % (sent, 100 * (8 << 20), before, after))
            else:
                self.add(unread, "holds", "%.1f MB taken of 800; the egress process grew by %.1f MB" % (sent / 1e6, grown / 1e6))
        self.stage.world.quiet()

    def stalled(self):
        """Bytes that the flood's server got rid of, once it gets rid of no more."""
        last, since, end = -1, time.monotonic(), time.monotonic() + 20
        while time.monotonic() < end:
            sent = self.stage.world.internet.sync()["sent"]
            if sent != last:
                last, since = sent, time.monotonic()
            elif time.monotonic() - since > 0.5:
                break
            time.sleep(0.05)
        return last

    def resident(self, attacker):
        """{pid: bytes} of npxc's own processes of this session."""
        sizes = {}
        for pid in attacker.descendants():
            with contextlib.suppress(OSError):
                if os.path.basename(os.readlink("/proc/%d/exe" % pid)).startswith("npxc"):
                    fields = dict(line.split(":", 1) for line in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines())
                    sizes[pid] = int(fields["VmRSS"].split()[0]) * 1024
        return sizes

