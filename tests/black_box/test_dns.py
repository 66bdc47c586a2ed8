"""Other records than addresses, as drivers of databases look them up: which names are asked for outside, what comes
back, and what it makes reachable. The machine has one neighbour, which answers questions about names below .example.
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import NPXC, PATIENCE, RUNTIME

OUTSIDE = pathlib.Path(__file__).resolve().parent / "outside" / "with_nameserver"
ADDRESS, PORT = "93.184.216.34", 27017  # a namespace of its own: nothing leaves this machine
TYPES = {"SRV": 33, "TXT": 16, "MX": 15, "CNAME": 5, "A": 1}

pytestmark = [
    pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="other runtimes have links of their own"),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="only root can make this machine a neighbour"),
    pytest.mark.parametrize("link", ["netns", "socket"]),
]

SERVER = """
const dns = require('dns').promises, net = require('net');
const talk = (host, port) => new Promise((done, fail) => {
  const socket = net.connect({ host, port, autoSelectFamily: false }, () => socket.write('over here'));
  socket.on('data', (data) => { socket.destroy(); done(String(data)); }).on('error', fail).on('end', () => fail({ code: 'END' }));
});
(async () => {
  for (const [what, ...words] of JSON.parse(process.argv[2])) {
    try {
      const value = await (what === 'talk' ? talk(...words) : dns.resolve(words[0], what));
      console.error('ANSWER', JSON.stringify(value));
    } catch (error) {
      console.error('ANSWER', JSON.stringify(error.code));
    }
  }
})();
"""


class Asked:
    def __init__(self, world, link):
        self.world = world
        self.link = link
        self.directory = world.home / "asks"
        self.directory.mkdir()
        (self.directory / "package.json").write_text('{"name": "asks", "version": "1.0.0", "bin": "i.js"}')
        (self.directory / "i.js").write_text("#!/usr/bin/env node\n" + SERVER)
        (self.directory / "i.js").chmod(0o755)

    def __call__(self, allow, *questions):
        """The answers; what was asked outside; stderr."""
        self.world.write_config("packages/asks.json", {"package_dir": str(self.directory), "network": {
            "mode": "allowlist", "link": self.link, "allow": allow}})
        log = self.world.home / "asked"
        done = subprocess.run([OUTSIDE, ADDRESS, str(PORT), log, NPXC, self.directory, json.dumps(questions)],
                              stdin=subprocess.DEVNULL, env=self.world.env, cwd=self.world.project, timeout=PATIENCE,
                              capture_output=True, text=True)
        answers = [json.loads(line[7:]) for line in done.stderr.splitlines() if line.startswith("ANSWER ")]
        assert (done.returncode, done.stdout, len(answers)) == (0, "", len(questions)), done.stderr
        asked = {tuple(line.split()) for line in log.read_text().splitlines()}
        for file in (log, log.with_suffix(".in"), log.with_suffix(".out")):
            file.unlink()
        return answers, asked, done.stderr


@pytest.fixture
def asks(world, link):
    return Asked(world, link)


def of(kind, name):
    return str(TYPES[kind]), name


def test_records_of_allowed_names_are_answered(asks):
    answers, _, _ = asks(["db.example:27017", "*.db.example:27017", "long.example"],
                         ["SRV", "_mongodb._tcp.db.example"], ["TXT", "db.example"], ["MX", "DB.example"],
                         ["CNAME", "alias.db.example"], ["TXT", "long.example"], ["MX", "long.example"])
    assert answers == [
        [{"name": "s0.far.example", "port": PORT, "priority": 0, "weight": 5},
         {"name": "s1.far.example", "port": PORT + 1, "priority": 0, "weight": 5}],
        [["a=b&c=d&e"]], [{"exchange": "mx.example", "priority": 10}], ["db.example"],
        [[chr(97 + i) * 255] for i in range(12)], "ENODATA"]


def test_what_no_rule_names_is_not_asked_for(asks):
    answers, asked, err = asks(["db.example:27017", "*.wild.example"],
                               ["TXT", "secret.db.example"], ["SRV", "_secret._tcp.db.example"], ["TXT", "evil.example"],
                               ["MX", "secret.example"], ["TXT", "secret.wild.example"], ["SRV", "_x._tcp.wild.example.evil.example"])
    assert [answer for answer in answers if answer not in ("ENOTFOUND", "ENODATA")] == []
    assert asked == set()
    assert 'secret.wild.example: its TXT records are looked up only with a rule for this very name' in err


def test_where_srv_records_lead_is_reached_on_the_ports_of_the_rule(asks):
    answers, asked, _ = asks([f"db.example:{PORT}/raw"],
                             ["talk", "s0.far.example", PORT], ["SRV", "_mongodb._tcp.db.example"],
                             ["talk", "s0.far.example", PORT], ["talk", "s1.far.example", PORT],
                             ["talk", "s1.far.example", PORT + 1], ["TXT", "s0.far.example"])
    assert answers[0] in ("ENOTFOUND", "EACCES")
    assert answers[2] == "over here"
    assert answers[3] in ("ENOTFOUND", "EACCES"), "its record says another port"
    assert answers[4] in ("ENOTFOUND", "EACCES", "ECONNREFUSED"), "the rule is for another port"
    assert answers[5] == "ENOTFOUND", "a target is no name whose records may be asked for"
    assert of("A", "s1.far.example") not in asked and of("TXT", "s0.far.example") not in asked


def test_a_target_with_an_address_of_this_machines_surroundings_is_refused(asks):
    answers, _, err = asks([f"*.db.example:{PORT}/raw"], ["SRV", "_mongodb._tcp.near.db.example"],
                           *(["talk", f"{name}.example", PORT] for name in ("private", "loop", "meta")))
    assert [each["name"] for each in answers[0]] == ["private.example", "loop.example", "meta.example"]
    assert all(answer in ("ECONNRESET", "EACCES") for answer in answers[1:]), answers
    for why in (f"refused: private.example:{PORT}: private address", f"refused: loop.example:{PORT}: loopback address",
                f"refused: meta.example:{PORT}: link-local address"):
        assert why in err, err


def test_a_port_where_nobody_listens_is_told(asks, link):
    """Link netns accepts before it knows: the guest sees a reset, so the reason is said."""
    name = "s1.far.example"
    answers, _, err = asks([f"{name}:{PORT + 1}/raw"], *[["talk", name, PORT + 1]] * 2)
    line = f"connection refused: {name}:{PORT + 1} refused the connection"
    assert (answers, err.count(line)) == ((["ECONNRESET"] * 2, 1) if link == "netns" else (["ECONNREFUSED"] * 2, 0)), err


def test_an_answer_over_the_ceiling_is_a_failure(asks):
    answers, _, _ = asks(["huge.example"], ["TXT", "huge.example"])
    assert answers == ["ESERVFAIL"]
