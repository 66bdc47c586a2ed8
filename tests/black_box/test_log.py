"""`npxc log` reads what the sessions wrote down."""

import json

LINES = [
    {"ts": "2026-01-02T03:04:05.678Z", "session": "npxc-a-01234567", "package": "@a/b", "verdict": "deny", "code": "EACCES",
     "host": "evil.test\u001b[2J", "port": 443, "kind": "dns", "why": "on no rule", "repeat": 3},
    {"ts": "2026-01-02T03:04:06.678Z", "session": "npxc-a-01234567", "package": "@a/b", "flow": 1, "verdict": "allow", "code": "ok",
     "host": "api.example.com", "port": 443, "up": 10, "down": 20, "ms": 30},
    {"ts": "2026-01-02T03:04:06.778Z", "session": "npxc-a-01234567", "package": "@a/b", "flow": 2, "verdict": "deny",
     "code": "EACCES", "ip": "2001:db8::1", "port": 5432, "up": 0, "down": 0, "ms": 0, "why": "on no rule"},
    {"ts": "2026-01-02T03:04:07.678Z", "session": "npxc-c-01234567", "package": "c", "flow": 1, "verdict": "fail", "code": "ETIMEDOUT",
     "host": "slow.example.com", "port": 80},
]


def write(world):
    directory = world.home / ".local/state/npxc/egress"
    directory.mkdir(parents=True)
    text = "".join(json.dumps(line) + "\n" for line in LINES)
    (directory / "npxc-a-01234567.jsonl").write_text(text + "not JSON\n" + '{"half a li')
    (directory / "notes.txt").write_text(text)


def log(world, *words):
    result = world.run("log", *words)
    assert result.returncode == 0, result.stderr
    return result.stdout.decode().splitlines()


def test_nothing_is_logged(world):
    assert log(world) == ["nothing is logged; only sessions with `network.mode: allowlist` are"]
    assert log(world, "--json") == []


def test_log_shows_each_decision_in_a_line_safe_for_a_terminal(world):
    write(world)
    shown = log(world)
    assert len(shown) == 4
    assert shown[0] == "2026-01-02T03:04:05Z  deny   EACCES        @a/b  evil.test\\x1b[2J:443  (on no rule)  and 3 more"
    assert shown[1].endswith("api.example.com:443  10 B up, 20 B down, 30 ms")
    assert shown[2] == "2026-01-02T03:04:06Z  deny   EACCES        @a/b  [2001:db8::1]:5432  (on no rule)"


def test_log_shows_the_chosen_packages_and_verdicts_only(world):
    write(world)
    assert ["deny" in line or "fail" in line for line in log(world, "--denied")] == [True, True, True]
    assert [json.loads(line) for line in log(world, "--json", "@a/b@latest")] == LINES[:3]
    assert [json.loads(line) for line in log(world, "--json", "--denied", "c", "@a/b")] == [LINES[0], LINES[2], LINES[3]]
    assert log(world, "--json", "unknown") == []
    assert log(world, "unknown") == ["nothing like that is logged"]


def test_a_sessions_two_files_are_shown_in_the_order_of_time(world):
    write(world)
    directory = world.home / ".local/state/npxc/egress"
    line = {"session": "npxc-d-01234567", "package": "d", "port": 443}
    flows = [{"ts": "2026-01-03T00:00:0%d.000Z" % at, **line, "verdict": "allow", "code": "ok", "host": "a%d.test" % at} for at in range(6)]
    denials = [{"ts": "2026-01-03T00:00:0%d.500Z" % at, **line, "verdict": "deny", "code": "EPROTO", "host": "d%d.test" % at,
                "add": "d%d.test:443/raw" % at} for at in range(4)]
    for ending, lines in ((".jsonl.1", flows[:2]), (".jsonl", flows[2:]), (".denied.jsonl", denials[:1]), (".denied.jsonl.1", denials[1:])):
        (directory / ("npxc-d-01234567" + ending)).write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert [json.loads(one)["host"] for one in log(world, "--json", "d")] == [
        "a0.test", "d0.test", "a1.test", "d1.test", "a2.test", "d2.test", "a3.test", "d3.test", "a4.test", "a5.test"]
    assert [json.loads(one) for one in log(world, "--json", "--denied", "d")] == denials
    assert log(world, "--denied", "d")[0] == '2026-01-03T00:00:00Z  deny   EPROTO        d  d0.test:443  add "d0.test:443/raw"'
    assert len(log(world)) == 14
