"""The replay shim as a launcher sees it: a CLI with answers, a world, processes and a journal."""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from conftest import processes_with, wait_until
from test_schema import valid

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "conformance"))
import journal  # noqa: E402

SHIM = pathlib.Path(os.environ.get("SHIM", TOP / "build" / "shim" / "container")).resolve()
CASSETTES = sorted((TOP / "fixtures" / "cassettes").glob("*-*.json"))
SCHEMA = json.loads((TOP / "fixtures" / "cassettes" / "cassette.schema.json").read_text())
APPLE = [path for path in CASSETTES if path.name.startswith("container-")]
UNMATCHED, BROKEN = 97, 98
PATIENCE = 60


def cassette(*interactions, **head):
    """A cassette with these interactions; every answer gets its source."""
    for interaction in interactions:
        answers = [interaction["answer"], interaction.get("busy", {}).get("answer", {})]
        answers += interaction.get("refusals", {}).values()
        for answer in answers:
            answer.setdefault("from", "this test")
    whole = {
        "schema": 1,
        "cli": "container",
        "version": "1.0.0",
        "origin": {"kind": "edited", "from": "this test", "cli": "none", "os": "any", "date": "2026-01-01"},
        "run_options": {
            "values": ["--name", "--network", "-v", "--tmpfs", "-e", "--env-file", "-w", "--entrypoint"],
            "flags": ["--rm", "-i", "--init"],
        },
        "interactions": list(interactions),
    }
    whole.update(head)
    return whole


def asked(*argv, id="asked", **more):
    """An interaction that may be played any number of times."""
    answer = more.pop("answer", {"stdout": "done\n"})
    return {"id": id, "argv": list(argv), "plays": {"least": 0}, "answer": answer, **more}


CREATE = asked("network", "create", "{name:network}", id="create", answer={"stdout": "${network}\n"},
               effects=[{"do": "network-add", "name": "${network}"}],
               refusals={"exists": {"stderr": "there\n", "exit": 1}})
DELETE = asked("network", "delete", "{name:network}", id="delete", answer={"stdout": "${network}\n"},
               effects=[{"do": "network-remove", "name": "${network}"}],
               refusals={"in-use": {"stderr": "used by ${users}\n", "exit": 1},
                         "unknown": {"stderr": "unknown\n", "exit": 1}})
RUN = asked("run", "{any*}", id="run", effects=[{"do": "run"}], answer={"exec": {}})
REMOVE = asked("rm", "--force", "{name:container}", id="rm", answer={"stdout": "${container}\n"},
               effects=[{"do": "container-force-remove", "name": "${container}"}],
               refusals={"unknown": {"stderr": "unknown\n", "exit": 1}})
LIST = asked("list", id="list", answer={"stdout": {
    "list": "containers", "before": "[", "each": '"${name} ${state}"', "between": ",", "after": "]\n"}})


def copy(whole):
    return json.loads(json.dumps(whole))


class Shim:
    def __init__(self, home, name="container"):
        self.home = home
        self.cli = home / "bin" / name
        self.cli.parent.mkdir()
        shutil.copy(SHIM, self.cli)
        self.children = []

    def load(self, what, **settings):
        """A cassette (or its path), and shim.json beside the executable."""
        if isinstance(what, dict):
            path = self.home / "cassette.json"
            path.write_text(json.dumps(copy(what)))
        else:
            path = what
        settings = {"cassette": str(path), "state": "../state", "journal": "../journal.jsonl", **settings}
        (self.cli.parent / "shim.json").write_text(json.dumps(settings))
        return self

    def start(self, *words, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        child = subprocess.Popen([str(self.cli), *words], **options)
        self.children.append(child)
        return child

    def run(self, *words, input=b"", **options):
        return subprocess.run([str(self.cli), *words], input=input, capture_output=True, timeout=PATIENCE, **options)

    def ok(self, *words, **options):
        done = self.run(*words, **options)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode()

    def journal(self):
        return journal.entries(self.home / "journal.jsonl")

    def world(self):
        return json.loads((self.home / "state" / "world.json").read_text())

    def plays(self, id):
        try:
            return self.world()["plays"].get(id, {}).get("count", 0)
        except FileNotFoundError:
            return 0

    def containers(self):
        return [(c["name"], c["running"]) for c in self.world()["containers"]]


@pytest.fixture
def make_shim(tmp_path):
    made = []

    def make(name="container"):
        home = tmp_path / ("shim-%d" % len(made))
        home.mkdir()
        made.append(Shim(home, name))
        return made[-1]

    yield make
    for each in made:
        for child in each.children:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe:
                    pipe.close()
        if (each.cli.parent / "shim.json").exists():
            subprocess.run([str(each.cli), "--shim-end"], capture_output=True, timeout=PATIENCE)
        assert wait_until(lambda: not processes_with(str(each.home))), "something outlived its test"


@pytest.fixture
def shim(make_shim):
    return make_shim()


# ---- configuration ----


def test_the_environment_configures_what_the_file_does_not(shim):
    path = shim.home / "c.json"
    path.write_text(json.dumps(cassette(asked("x"))))
    env = {"NPXC_SHIM_CASSETTE": str(path), "NPXC_SHIM_STATE": str(shim.home / "s"),
           "NPXC_SHIM_JOURNAL": str(shim.home / "journal.jsonl"), "NPXC_SHIM_FAULT": "2:exit1"}
    assert shim.ok("x", env=env) == "done\n"
    assert shim.run("x", env=env).returncode == 1
    assert [line["exit"] for line in shim.journal()] == [0, 1]


def test_file_beats_environment_and_needs_none(shim):
    shim.load(cassette(asked("x")))
    assert shim.ok("x", env={}) == "done\n"
    assert shim.ok("x", env={"NPXC_SHIM_CASSETTE": "/nonexistent", "NPXC_SHIM_STATE": "/nonexistent"}) == "done\n"
    assert [line["env"] for line in shim.journal()] == [[], ["NPXC_SHIM_CASSETTE", "NPXC_SHIM_STATE"]]


def test_file_stands_beside_the_symlink(shim):
    shim.load(cassette(asked("x")))
    there = shim.home / "elsewhere"
    there.mkdir()
    link = there / "container"
    link.symlink_to(shim.cli)
    settings = {"cassette": "other.json", "state": "state"}
    (there / "shim.json").write_text(json.dumps(settings))
    (there / "other.json").write_text(json.dumps(cassette(asked("x", answer={"stdout": "other\n"}))))
    assert subprocess.run([str(link), "x"], capture_output=True).stdout == b"other\n"
    assert subprocess.run(["container", "x"], executable=str(link), capture_output=True).stdout == b"other\n"


@pytest.mark.parametrize("name", ["podman", "docker"])
def test_name_has_to_be_the_cassettes(make_shim, name):
    other = make_shim(name).load(cassette(asked("x"), cli=name))
    assert other.ok("x") == "done\n"
    other.load(cassette(asked("x")))
    done = other.run("x")
    assert done.returncode == BROKEN
    assert b"called as %s, but the cassette is one of container" % name.encode() in done.stderr


def test_nothing_configured(shim):
    done = shim.run("x", env={})
    assert (done.returncode, done.stdout) == (BROKEN, b"")
    assert b"no cassette or no state directory" in done.stderr


@pytest.mark.parametrize("text, why", [
    ("", "not JSON"),
    ("{", "not JSON"),
    ('{"schema": 2}', "whole number from 1 to 1"),
    (json.dumps(cassette(asked("x"), more=1)), 'unknown key "more"'),
    (json.dumps(cassette(asked("{word}"))), "unknown hole"),
    (json.dumps(cassette(asked("x", answer={"stdout": "${nothing}"}))), "${nothing} has no value here"),
    (json.dumps(cassette(asked("x"), asked("y"))), "two interactions are called asked"),
])
def test_a_broken_cassette_is_refused_with_the_reason(shim, text, why):
    path = shim.home / "broken.json"
    path.write_text(text)
    shim.load(path)
    done = shim.run("x")
    assert (done.returncode, done.stdout) == (BROKEN, b"")
    assert why in done.stderr.decode() and done.stderr.count(b"\n") == 1
    assert [(line["matched"], line["exit"]) for line in shim.journal()] == [(None, BROKEN)]
    checked = subprocess.run([str(SHIM), "--shim-check", str(path)], capture_output=True)
    assert checked.returncode == BROKEN and why in checked.stderr.decode()


def test_wrong_settings_are_refused(shim):
    shim.load(cassette(asked("x")), fault="2:explode")
    assert shim.run("x").returncode == BROKEN
    shim.load(cassette(asked("x")), more="x")
    assert shim.run("x").returncode == BROKEN


def test_a_broken_state_file_is_refused(shim):
    shim.load(cassette(asked("x")))
    shim.ok("x")
    (shim.home / "state" / "world.json").write_text('{"calls": "x"}')
    done = shim.run("x")
    assert done.returncode == BROKEN and b"world.json" in done.stderr


# ---- matching ----


def test_unmatched_call_and_near_miss(shim):
    shim.load(cassette(CREATE, DELETE, asked("v", id="v", env=["WANTED"]), asked("w", id="w", plays={"most": 1})))
    shim.ok("w")
    cases = [
        (["network", "create", "a/b"], "nearest is create, which wants {name:network} where argument 3 is a/b"),
        (["network", "create"], "nearest is create, which wants {name:network} where argument 3 is missing"),
        (["network", "delete", "a", "b"], "nearest is delete, which ends before argument 4, b"),
        (["v"], "nearest is v, which wants the variable WANTED"),
        (["w"], "nearest is w, which may be played 1 times and was"),
    ]
    for words, miss in cases:
        done = shim.run(*words)
        assert (done.returncode, done.stdout) == (UNMATCHED, b"")
        assert done.stderr.decode() == "shim: no interaction answers this call: %s\n" % miss
    lines = shim.journal()[1:]
    assert [(line["matched"], line["near_miss"], line["exit"]) for line in lines] == [
        (None, miss, UNMATCHED) for _, miss in cases]
    assert shim.ok("v", env={"WANTED": "1"}) == "done\n"


def test_refusal_without_an_answer_is_unmatched(shim):
    create = copy(CREATE)
    del create["refusals"]
    shim.load(cassette(create))
    shim.ok("network", "create", "n")
    done = shim.run("network", "create", "n")
    assert done.returncode == UNMATCHED and b'refused with "exists"' in done.stderr
    line = shim.journal()[1]
    assert (line["matched"], line["refusal"]) == ("create", "exists")
    assert b"unmatched: 1" in shim.run("--shim-verify").stdout


def test_verify_fails_on_what_was_not_played_or_is_left(shim):
    once = {"id": "once", "argv": ["x"], "answer": {"stdout": "x"}}
    shim.load(cassette(once, CREATE, DELETE, RUN, REMOVE))
    done = shim.run("--shim-verify")
    assert (done.returncode, done.stdout) == (1, b"unplayed: once (0 of 1)\n")
    shim.ok("x")
    assert shim.run("--shim-verify").returncode == 0
    shim.ok("network", "create", "n")
    shim.ok("run", "--name", "c", "--network", "n", "image", "true")
    done = shim.run("--shim-verify")
    assert (done.returncode, done.stdout) == (1, b"container: c\nnetwork: n\n")
    shim.ok("rm", "--force", "c")
    shim.ok("network", "delete", "n")
    assert shim.run("--shim-verify").returncode == 0
    assert shim.run("x").returncode == UNMATCHED
    assert shim.run("--shim-verify").stdout == b"unmatched: 1\n"
    assert len(shim.journal()) == 6  # the shim's own commands are not in it


# ---- one world ----


def test_fifty_calls_at_once_see_one_world(shim):
    shim.load(cassette(CREATE, DELETE))
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        same = list(pool.map(lambda _: shim.run("network", "create", "same").returncode, range(50)))
        other = list(pool.map(lambda n: shim.run("network", "create", "n%d" % n).returncode, range(50)))
    assert sorted(same) == [0] + [1] * 49
    assert other == [0] * 50
    networks = shim.world()["networks"]
    assert len(networks) == 51 and len({n["octet"] for n in networks}) == 51
    lines = shim.journal()
    assert sorted(line["call"] for line in lines) == list(range(1, 101))
    assert len({line["pid"] for line in lines}) == 100
    assert [line["refusal"] for line in lines].count("exists") == 49


def test_network_is_held_by_its_container(shim):
    shim.load(cassette(CREATE, DELETE, RUN, REMOVE, LIST))
    shim.ok("network", "create", "n")
    shim.ok("network", "create", "m")
    shim.ok("run", "--name", "c", "--network", "n", "image", "true")  # without --rm: it stays, stopped
    assert shim.ok("list") == '["c stopped"]\n'
    done = shim.run("network", "delete", "n")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"used by c\n")
    shim.ok("network", "delete", "m")
    again = shim.run("run", "--name", "c", "image", "true")
    assert again.returncode == UNMATCHED and b'"exists"' in again.stderr
    shim.ok("rm", "--force", "c")
    shim.ok("network", "delete", "n")
    assert shim.run("network", "delete", "n").stderr == b"unknown\n"
    assert shim.run("rm", "--force", "c").stderr == b"unknown\n"


def test_builtin_network_stays(shim):
    delete = copy(DELETE)
    delete["refusals"]["builtin"] = {"from": "this test", "stderr": "builtin\n", "exit": 1}
    shim.load(cassette(delete, world={"networks": ["default"]}))
    assert shim.run("network", "delete", "default").stderr == b"builtin\n"
    assert shim.run("--shim-verify").returncode == 0


@pytest.mark.parametrize("words, refusal", [
    (["--network", "n", "image", "true"], "unknown-network"),
    (["--what", "image", "true"], "unknown-option"),
    (["-v", "/nonexistent:/x", "image", "true"], "missing-mount"),
    (["image", "no-such-program"], "missing-program"),
    (["image", "/usr/local/bin/no-such-program"], "missing-program"),
    (["--rm"], "no-image"),
])
def test_run_is_refused(shim, words, refusal):
    run = copy(RUN)
    run["refusals"] = {refusal: {"from": "this test", "stderr": "no: ${network}${option}${mount}${program}\n", "exit": 5}}
    shim.load(cassette(run))
    done = shim.run("run", *words)
    assert done.returncode == 5 and done.stderr.startswith(b"no: ")
    assert shim.containers() == []
    assert not list((shim.home / "state").glob("boxes/*"))
    assert shim.journal()[0]["refusal"] == refusal


def test_container_lingers_after_its_end(shim):
    run = copy(RUN)
    run["answer"]["linger_ms"] = 60000
    shim.load(cassette(CREATE, DELETE, run, REMOVE, LIST))
    shim.ok("network", "create", "n")
    shim.ok("run", "--rm", "--name", "c", "--network", "n", "image", "true")
    assert shim.ok("list") == '["c stopped"]\n'
    assert shim.run("network", "delete", "n").returncode == 1
    shim.ok("rm", "--force", "c")
    shim.ok("network", "delete", "n")
    run["answer"]["linger_ms"] = 1
    shim.load(cassette(run, LIST))
    shim.ok("run", "--rm", "--name", "c", "image", "true")
    assert wait_until(lambda: shim.ok("list") == "[]\n")


def test_busy_so_many_times_for_each_key(shim):
    delete = copy(DELETE)
    delete["busy"] = {"times": 3, "key": "${network}",
                      "answer": {"from": "this test", "stderr": "${network} is busy\n", "exit": 1}}
    shim.load(cassette(CREATE, delete))
    for name in ("a", "b"):
        shim.ok("network", "create", name)
        for _ in range(3):
            done = shim.run("network", "delete", name)
            assert (done.returncode, done.stderr.decode()) == (1, name + " is busy\n")
        shim.ok("network", "delete", name)
    deletes = [line for line in shim.journal() if line["matched"] == "delete"]
    assert [line["busy"] for line in deletes] == ([True] * 3 + [False]) * 2


def test_busy_for_so_long(shim):
    delete = copy(DELETE)
    delete["busy"] = {"for_ms": 300, "key": "${network}", "answer": {"from": "this test", "exit": 1}}
    shim.load(cassette(CREATE, delete))
    shim.ok("network", "create", "a")
    assert wait_until(lambda: shim.run("network", "delete", "a").returncode == 0)
    deletes = [line for line in shim.journal() if line["matched"] == "delete"]
    assert deletes[0]["busy"] and not deletes[-1]["busy"]
    assert deletes[-1]["start_us"] - deletes[0]["start_us"] >= 300000 - 2000


def test_await_blocks_until_the_container_is_gone(shim):
    delete = copy(DELETE)
    delete["await"] = {"is": "network-unused", "name": "${network}", "most_ms": 60000}
    shim.load(cassette(CREATE, delete, RUN, REMOVE))
    shim.ok("network", "create", "n")
    shim.ok("run", "--name", "c", "--network", "n", "image", "true")
    waiting = shim.start("network", "delete", "n")
    assert wait_until(lambda: shim.plays("delete") == 1)
    assert waiting.poll() is None
    shim.ok("rm", "--force", "c")
    assert waiting.wait(PATIENCE) == 0
    ends = {line["matched"]: line for line in shim.journal()}
    assert ends["delete"]["start_us"] < ends["rm"]["start_us"] < ends["delete"]["end_us"]


def test_await_gives_up(shim):
    asking = asked("x", answer={"stdout": "gone\n"}, refusals={"not-yet": {"stderr": "not yet\n", "exit": 3}})
    asking["await"] = {"is": "container-gone", "name": "c", "most_ms": 0}
    shim.load(cassette(asking, RUN, REMOVE))
    assert shim.ok("x") == "gone\n"
    shim.ok("run", "--name", "c", "image", "true")
    done = shim.run("x")
    assert (done.returncode, done.stderr) == (3, b"not yet\n")
    shim.ok("rm", "--force", "c")
    assert shim.ok("x") == "gone\n"


# ---- how a call ends ----


def test_output_status_and_captures(shim):
    shim.load(cassette(asked("inspect", "npxc-{uuid:id}", "--time", "{int:seconds}", "{path:from}:{path:to}", "{any*:rest}",
                             answer={"stdout": "${id} ${seconds} ${from} ${to} [${rest}] $$\n", "stderr": "e\n", "exit": 7})))
    done = shim.run("inspect", "npxc-0123456789abcdef0123456789abcdef", "--time", "12", "/a:/b", "c", "d")
    assert done.stdout == b"0123456789abcdef0123456789abcdef 12 /a /b [c d] $\n"
    assert (done.returncode, done.stderr) == (7, b"e\n")
    assert shim.journal()[0]["captures"] == {"id": "0123456789abcdef0123456789abcdef", "seconds": "12", "from": "/a",
                                             "to": "/b", "rest": "c d", "call": "1"}


def test_answers_by_turns(shim):
    shim.load(cassette(asked("x", answer={"stdout": {"one_of": ["a", "b"]}})))
    assert [shim.ok("x") for _ in range(3)] == ["a", "b", "a"]


def test_ends_by_a_signal(shim):
    shim.load(cassette(asked("x", answer={"stdout": "a", "signal": 9}), asked("y", id="y", answer={"signal": 11})))
    done = shim.run("x")
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"a")
    assert shim.run("y").returncode == -signal.SIGSEGV
    assert [(line["exit"], line["signal"], line["cut"]) for line in shim.journal()] == [(None, 9, False), (None, 11, False)]


def test_a_truncated_answer_ends_after_its_bytes(shim):
    shim.load(cassette(asked("x", answer={"stdout": "0123456789", "truncate_bytes": 4}),
                       asked("y", id="y", answer={"stdout": "0123456789", "truncate_bytes": 0})))
    assert shim.ok("x") == "0123"
    assert shim.ok("y") == ""


def test_a_dripping_answer_comes_in_pieces(shim):
    shim.load(cassette(asked("x", answer={"stdout": "abcdef", "drip": {"bytes": 2, "every_ms": 100}})))
    child = shim.start("x")
    pieces = []
    while piece := os.read(child.stdout.fileno(), 100):
        pieces.append(piece)
    assert child.wait(PATIENCE) == 0
    assert b"".join(pieces) == b"abcdef"
    line = shim.journal()[0]
    assert line["end_us"] - line["start_us"] >= 200000


def test_a_delayed_answer_waits_as_long_as_it_says(shim):
    shim.load(cassette(asked("x", answer={"delay_ms": 200})))
    shim.ok("x")
    line = shim.journal()[0]
    assert line["end_us"] - line["start_us"] >= 200000


def test_hang_then_killed_has_its_line(shim):
    create = copy(CREATE)
    create["answer"]["hang"] = True
    shim.load(cassette(create))
    child = shim.start("network", "create", "n", start_new_session=True)
    assert child.stdout.read(2) == b"n\n"  # said everything, did everything, does not end
    assert child.poll() is None
    assert shim.journal() == []
    os.killpg(child.pid, signal.SIGKILL)
    child.wait(PATIENCE)
    assert wait_until(lambda: len(shim.journal()) == 1)
    line = shim.journal()[0]
    assert (line["matched"], line["exit"], line["signal"], line["cut"], line["pid"]) == ("create", None, None, True, child.pid)
    assert [n["name"] for n in shim.world()["networks"]] == ["n"]


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_hang_ends_by_a_signal_as_the_cli_does(shim, sig):
    shim.load(cassette(asked("x", answer={"stdout": "a", "hang": True})))
    child = shim.start("x")
    assert child.stdout.read(1) == b"a"
    child.send_signal(sig)
    assert child.wait(PATIENCE) == 128 + sig
    assert wait_until(lambda: len(shim.journal()) == 1)
    assert (shim.journal()[0]["exit"], shim.journal()[0]["cut"]) == (128 + sig, True)


def test_deaf_hang_only_ends_by_sigkill(shim):
    shim.load(cassette(asked("x", answer={"stdout": "a", "hang": True, "deaf": True})))
    child = shim.start("x")
    assert child.stdout.read(1) == b"a"
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGINT)
    pending = pathlib.Path("/proc/%d/status" % child.pid).read_text()
    ignored = int(re.search(r"SigIgn:\s*(\w+)", pending)[1], 16)
    assert ignored >> (signal.SIGTERM - 1) & 1 and ignored >> (signal.SIGINT - 1) & 1
    assert child.poll() is None
    child.kill()
    assert child.wait(PATIENCE) == -signal.SIGKILL


# ---- workloads ----


def test_exec_connects_stdin_and_stdout(shim):
    shim.load(cassette(RUN))
    big = os.urandom(8 << 20)
    done = shim.run("run", "--rm", "-i", "--name", "c", "image", "cat", input=big)
    assert done.returncode == 0 and done.stdout == big
    assert shim.containers() == []
    assert shim.run("run", "--rm", "--name", "c", "image", "cat", input=b"not for it").stdout == b""  # no -i
    assert shim.run("run", "--rm", "-i", "image", "sh", "-c", "cat >&2; exit 3", input=b"e").stderr == b"e"


def test_exec_reports_every_status(shim):
    shim.load(cassette(RUN))
    for status in (0, 1, 2, 97, 127, 255):
        assert shim.run("run", "--rm", "image", "sh", "-c", "exit %d" % status).returncode == status
    assert shim.run("run", "--rm", "image", "sh", "-c", "kill -9 $$").returncode == 137
    lines = shim.journal()
    assert [line["exit"] for line in lines] == [0, 1, 2, 97, 127, 255, 137]
    assert all(line["workload"] > 0 for line in lines)


def test_exec_translates_guest_paths(shim):
    shim.load(cassette(RUN))
    store = shim.home / "store"
    store.mkdir()
    (store / "server").write_text('#!/bin/sh\nprintf "%s\\n" "$@" "$PWD" "$DATA" "$HOME"; touch "$HOME/x" "$2"\n')
    (store / "server").chmod(0o755)
    done = shim.run("run", "--rm", "-v", "%s:/opt/store:ro" % store, "--tmpfs", "/home/user", "--tmpfs", "/tmp",
                    "-w", "/opt/store", "-e", "DATA=/opt/store/data:/opt/storehouse", "-e", "HOME=/home/user",
                    "--entrypoint", "/opt/store/server", "image", "--dir=/opt/store/a", "/tmp/t", "plain", "/etc/passwd")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, done.stderr
    box = lines[1].rsplit("/tmpfs-", 1)[0]
    assert box.startswith(str(shim.home.resolve()))
    assert lines[0] == "--dir=%s/a" % store
    assert lines[2:6] == ["plain", "/etc/passwd", str(store), "%s/data:/opt/storehouse" % store]
    assert lines[6].startswith(box + "/tmpfs-")
    assert not pathlib.Path(box).exists()  # the tmpfs mounts are gone with the container


def test_exec_gives_only_the_named_variables(shim):
    shim.load(cassette(RUN))
    file = shim.home / "env"
    file.write_text("# a comment\nFROM_FILE=f\nTWICE=file\n")
    done = shim.run("run", "--rm", "-e", "GIVEN=g", "-e", "INHERITED", "-e", "UNSET", "--env-file", str(file),
                    "-e", "TWICE=option", "image", "env", env={"INHERITED": "i", "SECRET": "s"})
    variables = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    assert set(variables) == {"PATH", "HOME", "GIVEN", "INHERITED", "FROM_FILE", "TWICE"}
    assert (variables["GIVEN"], variables["INHERITED"], variables["TWICE"]) == ("g", "i", "option")
    text = (shim.home / "journal.jsonl").read_text()
    assert shim.journal()[0]["env"] == ["INHERITED", "SECRET"] and '"s"' not in text


def test_exec_with_a_program_of_the_cassettes_own(shim):
    run = copy(RUN)
    run["answer"]["exec"] = {"argv": ["guest-echo", "${container}"], "programs": {"guest-echo": "echo"}}
    shim.load(cassette(run))
    assert shim.ok("run", "--rm", "--name", "cc", "image", "ignored") == "cc\n"


def started(shim, *words, **options):
    """A container that runs, by its first line."""
    child = shim.start("run", *words, stdin=subprocess.PIPE, **options)
    assert child.stdout.readline() == b"up\n"
    return child


def test_killed_client_leaves_the_container_running(shim):
    shim.load(cassette(RUN, REMOVE, LIST))
    child = started(shim, "--rm", "-i", "--name", "c", "image", "sh", "-c",
                    "echo up; cat > /dev/null; echo > %s/eof; while :; do sleep 60; done" % shim.home)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert wait_until(lambda: (shim.home / "eof").exists())  # stdin ended with the client
    assert shim.ok("list") == '["c running"]\n'
    shim.ok("rm", "--force", "c")
    assert shim.ok("list") == "[]\n"
    assert not processes_with(str(shim.home / "eof"))
    assert wait_until(lambda: len([line for line in shim.journal() if line["matched"] == "run"]) == 1)


def test_forced_removal_ends_descendants_too(shim):
    shim.load(cassette(RUN, REMOVE))
    child = started(shim, "--rm", "--name", "c", "image", "sh", "-c",
                    "setsid sh -c 'echo up; exec sleep 9999 > /dev/null 2>&1 < /dev/null' & wait",
                    "sh", str(shim.home))
    box = str(shim.home.resolve() / "bin" / ".." / "state" / "boxes")
    assert len(processes_with(box)) >= 2  # by HOME in their environment
    shim.ok("rm", "--force", "c")
    assert processes_with(box) == []
    assert child.wait(PATIENCE) == 137
    assert shim.containers() == []


def test_signals_reach_process_one(shim):
    shim.load(cassette(RUN, REMOVE))
    child = started(shim, "--rm", "--name", "a", "image", "sh", "-c", "trap 'echo term; exit 4' TERM; echo up; while :; do sleep 0.05; done")
    child.terminate()
    assert (child.wait(PATIENCE), child.stdout.read()) == (4, b"term\n")
    child = started(shim, "--rm", "--init", "--name", "b", "image", "sh", "-c", "echo up; exec sleep 9999")
    child.terminate()
    assert child.wait(PATIENCE) == 128 + signal.SIGTERM


def pending_signals(child):
    try:
        status = pathlib.Path("/proc/%d/status" % child.pid).read_text()
    except FileNotFoundError:
        return 0
    return sum(int(mask, 16) for mask in re.findall(r"(?:Sig|Shd)Pnd:\s*(\w+)", status))


def test_third_signal_ends_the_client_not_the_container(shim):
    shim.load(cassette(RUN, REMOVE))
    child = started(shim, "--rm", "--name", "c", "image", "sh", "-c", "echo up; while :; do sleep 60; done")
    for _ in range(3):  # ignored by a process 1 without a handler
        assert child.poll() is None
        child.terminate()
        assert wait_until(lambda: pending_signals(child) == 0)  # equal ones that are pending together are one
    assert child.wait(PATIENCE) == 1
    assert shim.containers() == [("c", True)]
    shim.ok("rm", "--force", "c")


def test_stop_asks_then_kills(shim):
    stop = asked("stop", "{name:container}", id="stop",
                 effects=[{"do": "container-stop", "name": "${container}", "grace_ms": 100}])
    shim.load(cassette(RUN, stop))
    willing = started(shim, "--rm", "--name", "a", "image", "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done")
    shim.ok("stop", "a")
    stubborn = started(shim, "--name", "b", "image", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 60; done")
    shim.ok("stop", "b")
    assert stubborn.wait(PATIENCE) == 137
    assert willing.wait(PATIENCE) in (5, 137)  # a slow machine may need longer than the grace
    assert shim.containers() == [("b", False)]
    assert shim.run("--shim-end").returncode == 0
    assert shim.containers() == []


def test_container_removed_before_its_start_never_starts(shim):
    run = copy(RUN)
    run["answer"]["delay_ms"] = 500
    shim.load(cassette(run, REMOVE))
    child = shim.start("run", "--rm", "--name", "c", "image", "touch", str(shim.home / "ran"))
    assert wait_until(lambda: shim.plays("run") == 1)
    shim.ok("rm", "--force", "c")
    assert child.wait(PATIENCE) == 137
    assert not (shim.home / "ran").exists()


def test_node_server_as_workload(shim):
    node = shutil.which("node")
    assert node, "node is missing"
    shim.load(cassette(RUN), path="/usr/bin:/bin:" + str(pathlib.Path(node).parent))
    store = shim.home / "store"
    store.mkdir()
    (store / "server.js").write_text(
        "require('readline').createInterface({input: process.stdin}).on('line', line => {\n"
        "  const {id, method} = JSON.parse(line);\n"
        "  console.log(JSON.stringify({jsonrpc: '2.0', id, result: {method}}));\n"
        "});\n")
    child = shim.start("run", "--rm", "-i", "--name", "c", "-v", "%s:/store" % store, "--entrypoint", "/usr/local/bin/node",
                       "image", "/store/server.js", stdin=subprocess.PIPE)
    for number in range(3):
        child.stdin.write(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}\n' % number)
        child.stdin.flush()
        assert json.loads(child.stdout.readline()) == {"jsonrpc": "2.0", "id": number, "result": {"method": "ping"}}
    child.stdin.close()
    assert child.wait(PATIENCE) == 0


# ---- transcripts ----


def transcript(shim, *steps):
    (shim.home / "t.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    shim.load(cassette(asked("run", "{any*}", id="run", effects=[{"do": "run"}], answer={"transcript": "t.jsonl"})))


def test_a_transcript_is_played_line_by_line(shim):
    transcript(shim, {"in": {"method": "initialize", "params": {"a": 1}}}, {"out": '{"id":${id}}'}, {"in": "plain"},
               {"err": "said"}, {"eof": True}, {"exit": 6})
    done = shim.run("run", "--rm", "-i", "image", input=b'{"id":"x y","method":"initialize","params":{"a":1,"b":2}}\nplain\n')
    assert (done.returncode, done.stdout, done.stderr) == (6, b'{"id":"x y"}\n', b"said\n")
    assert shim.containers() == []


@pytest.mark.parametrize("given", [b"", b"other\n", b'{"method":"other"}\n', b'{"method":"initialize"}\nmore\n'])
def test_transcript_that_is_not_kept_to(shim, given):
    transcript(shim, {"in": {"method": "initialize"}}, {"eof": True})
    done = shim.run("run", "image", input=given)
    assert done.returncode == UNMATCHED and b"transcript line " in done.stderr


@pytest.mark.parametrize("step", [{}, {"in": 1}, {"out": "a", "err": "b"}, {"eof": False}, {"what": 1}, {"exit": 256}])
def test_a_broken_transcript_is_refused_with_its_line(shim, step):
    transcript(shim, step)
    path = shim.home / "cassette.json"
    checked = subprocess.run([str(SHIM), "--shim-check", str(path)], capture_output=True)
    assert checked.returncode == BROKEN and b"transcript line 1" in checked.stderr
    assert shim.run("run", "image").returncode == BROKEN


# ---- faults ----


@pytest.mark.parametrize("mode, status, output, done", [
    ("exit1", 1, b"", False),
    ("exit1-done", 1, b"", True),
    ("killed", -signal.SIGKILL, b"", True),
    ("empty", 0, b"", True),
    ("truncated", 0, b"long", True),
])
def test_fault_of_the_second_call(shim, mode, status, output, done):
    shim.load(cassette(CREATE), fault="2:" + mode)
    shim.ok("network", "create", "first")
    result = shim.run("network", "create", "longest")
    assert (result.returncode, result.stdout) == (status, output)
    assert ("longest" in [n["name"] for n in shim.world()["networks"]]) == done
    shim.ok("network", "create", "third")
    assert [line["fault"] for line in shim.journal()] == [None, mode, None]


def test_fault_of_every_call(shim):
    shim.load(cassette(CREATE), fault="*:exit1")
    assert [shim.run("network", "create", "--internal", name).returncode for name in "xy"] == [1, 1]
    assert [line["fault"] for line in shim.journal()] == ["exit1", "exit1"]


def test_a_call_that_hangs_has_done_what_was_asked_and_ends_by_a_signal(shim):
    shim.load(cassette(CREATE), fault="1:hang")
    child = shim.start("network", "create", "n")
    assert wait_until(lambda: shim.plays("create") == 1)
    child.terminate()
    assert child.wait(PATIENCE) in (128 + signal.SIGTERM, -signal.SIGTERM)
    assert [n["name"] for n in shim.world()["networks"]] == ["n"]


@pytest.mark.parametrize("mode, status, output, left", [
    ("exit1", 1, b"", []),
    ("exit1-done", 1, b"", [("c", True)]),
    ("killed", -signal.SIGKILL, b"", [("c", True)]),
    ("empty", 0, b"", []),
    ("truncated", 137, b"x" * 20, []),
])
def test_fault_of_a_workload(shim, mode, status, output, left):
    shim.load(cassette(RUN, REMOVE), fault="1:" + mode)
    result = shim.run("run", "--rm", "--name", "c", "image", "sh", "-c", "printf %s; sleep 9999" % ("x" * 100))
    assert result.stdout == output
    assert result.returncode == status or (mode == "truncated" and result.returncode == 1)
    assert shim.containers() == left


# ---- the journal ----


def test_journal_line_is_exact(shim):
    shim.load(cassette(CREATE))
    before = time.monotonic_ns() // 1000
    child = shim.start("network", "create", "n", cwd=str(shim.home), env={"B": "secret-value", "A": ""})
    assert child.wait(PATIENCE) == 0
    after = time.monotonic_ns() // 1000
    text = (shim.home / "journal.jsonl").read_text()
    assert text.endswith("\n") and text.count("\n") == 1 and "secret-value" not in text
    line = json.loads(text)
    assert before <= line.pop("start_us") <= line.pop("end_us") <= after
    assert line == {
        "call": 1, "argv": [str(shim.cli), "network", "create", "n"], "env": ["B", "A"],
        "cwd": str(shim.home.resolve()), "pid": child.pid, "matched": "create", "refusal": None, "busy": False,
        "fault": None, "captures": {"network": "n", "call": "1", "octet": "65"}, "near_miss": None, "workload": None,
        "exit": 0, "signal": None, "cut": False,
    }


def test_journal_that_cannot_be_written(shim):
    shim.load(cassette(asked("x")), journal="../missing/journal.jsonl")
    done = shim.run("x")
    assert (done.returncode, done.stdout) == (BROKEN, b"")
    assert b"missing/journal.jsonl" in done.stderr


# ---- the cassettes of the repository ----


def test_every_recorded_release_has_its_cassette():
    assert [path.stem for path in APPLE] == ["container-0.12.3", "container-0.9.0", "container-1.0.0", "container-1.2.2"]


@pytest.mark.parametrize("path", CASSETTES, ids=lambda path: path.stem)
def test_each_cassette_passes_its_check_and_its_schema(path):
    checked = subprocess.run([str(SHIM), "--shim-check", str(path)], capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, b"")
    assert valid(SCHEMA, json.loads(path.read_text()), SCHEMA)


def changed(where, value):
    """A sound cassette with one member changed (or taken away)."""
    whole = copy(cassette(asked("x", busy={"times": 1, "answer": {}}), CREATE, RUN, LIST,
                          asked("y", id="y", answer={"drip": {"bytes": 1}, "stdout": "y"})))
    place = whole
    for step in where[:-1]:
        place = place[step]
    if value is None:
        del place[where[-1]]
    else:
        place[where[-1]] = value
    return whole


X, ADD, RUNS, LISTS, Y = (["interactions", number] for number in range(5))


@pytest.mark.parametrize("where, value, why", [
    (["schema"], None, '"schema" is missing'),
    (["schema"], "1", "whole number"),
    (["cli"], "nerdctl", "container, podman or docker"),
    (["version"], "", '"version" is missing'),
    (["origin"], None, '"origin" is missing'),
    (["origin", "kind"], "guessed", '"kind" is'),
    (["origin", "date"], None, '"date" is missing'),
    (["world"], {"first_octet": 255}, "first_octet"),
    (["run_options", "flags"], ["-i", 1], "list of texts"),
    (X + ["id"], "X", '"id" is made of'),
    (X + ["argv"], "x", "list of texts"),
    (X + ["plays"], {"most": 0}, '"most" must be'),
    (X + ["busy", "times"], 0, '"times" must be'),
    (X + ["busy", "answer"], None, 'needs an "answer"'),
    (X + ["await"], {"is": "ready", "name": "x"}, '"await" is'),
    (X + ["answer"], None, '"answer" is missing'),
    (X + ["answer", "exit"], 256, '"exit" must be'),
    (X + ["answer", "exit"], 1.5, '"exit" must be'),
    (X + ["answer", "signal"], 19, '"signal" must be'),
    (X + ["answer", "from"], "", 'does not say "from" what it comes'),
    (X + ["answer", "pause"], 1, 'unknown key "pause"'),
    (X + ["answer", "stdout"], {"list": "images", "each": "x"}, '"list" is containers or networks'),
    (ADD + ["effects", 0, "do"], "network-make", "unknown effect"),
    (LISTS + ["answer", "stdout", "each"], None, 'needs "each"'),
    (LISTS + ["answer", "stdout", "only"], "stopped", '"only" is running'),
    (Y + ["answer", "drip", "bytes"], 0, '"bytes" must be'),
])
def test_schema_and_shim_refuse_together(tmp_path, where, value, why):
    check_refused(tmp_path, changed(where, value), why)
    assert not valid(SCHEMA, changed(where, value), SCHEMA)


@pytest.mark.parametrize("where, value, why", [
    (X + ["argv"], ["{any*}", "{any*}"], "two {any*} without an argument"),
    (X + ["argv"], [], '"argv" is missing or empty'),
    (X + ["argv"], ["{name:a}", "{int:a}"], "two holes are called a"),
    (X + ["argv"], ["{name}{int}"], "two holes without text"),
    (X + ["argv"], ["a{any*}"], "whole arguments"),
    (X + ["argv"], ["}"], "a lone '}'"),
    (X + ["plays"], {"least": 2, "most": 1}, '"least" is more than "most"'),
    (X + ["busy", "for_ms"], 5, 'either "times" or "for_ms"'),
    (X + ["busy", "answer", "exec"], {}, "runs nothing"),
    (X + ["answer", "from"], None, 'does not say "from" what it comes'),
    (X + ["answer", "stdout"], "${network}", "has no value here"),
    (X + ["answer", "stdout"], "$x", "neither ${name} nor $$"),
    (X + ["answer", "exec"], {}, "does not go with exec"),
    (X + ["refusals"], {"exists": {"from": "x"}}, "nothing here is refused with that word"),
    (ADD + ["effects", 0, "name"], None, 'has a "name"'),
    (RUNS + ["effects", 0, "name"], "x", 'but run has a "name"'),
    (RUNS + ["effects"], [], "need the effect run"),
    (LISTS + ["answer", "stdout", "each"], "${network} ${users}", "${users} has no value here"),
    (Y + ["answer", "signal"], 9, None),
    (["interactions"], [], '"interactions" is missing or empty'),
])
def test_shim_refuses_what_a_schema_cannot_say(tmp_path, where, value, why):
    if why is None:  # the change is no mistake: the sample itself is sound
        (tmp_path / "c.json").write_text(json.dumps(changed(where, value)))
        assert subprocess.run([str(SHIM), "--shim-check", str(tmp_path / "c.json")]).returncode == 0
    else:
        check_refused(tmp_path, changed(where, value), why)
    assert valid(SCHEMA, changed(where, value), SCHEMA)


def check_refused(tmp_path, whole, why):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(whole))
    checked = subprocess.run([str(SHIM), "--shim-check", str(path)], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (BROKEN, "")
    assert why in checked.stderr and checked.stderr.count("\n") == 1


def renamed(value, pairs):
    text = json.dumps(value)
    for old, new in pairs:
        text = text.replace(old, new)
    return json.loads(text)


@pytest.mark.parametrize("path", APPLE, ids=lambda path: path.stem)
def test_cassette_agrees_with_the_specimens(shim, path):
    version = path.stem.split("-")[1]
    specimens = TOP / "fixtures" / "apple-container" / version
    shim.load(path)
    assert shim.ok("--version") == (specimens / "version.txt").read_text()
    shim.ok("network", "create", "--internal", "sbx-7f3a2b1c")
    printed = [shim.ok("network", "inspect", "sbx-7f3a2b1c") for _ in range(3)]
    wanted = renamed(json.loads((specimens / "network-inspect.json").read_text()),
                     [("192.168.128.", "192.168.65."), ("7c10::", "65::")])
    assert [json.loads(text) for text in printed] == [wanted] * 3
    assert all("\\/24" in text for text in printed)
    assert (len(set(printed)) == 1) == version.startswith("1.")  # key order is random before 1.0.0
    assert [n["id"] for n in json.loads(shim.ok("network", "list", "--format", "json"))] == ["default", "sbx-7f3a2b1c"]
    errors = json.loads((specimens / "errors.json").read_text())
    agreed = 0
    for error in errors:
        words = error["command"].split()[1:]
        if words in (["network", "inspect", "nosuch"], ["network", "delete", "nosuch"], ["network", "delete", "default"]) or (
                words[:2] == ["network", "create"] and error["situation"] == "name already exists"):
            words = [word for word in words]
            if words[1] == "create":
                words.insert(2, "--internal")
            done = shim.run(*words)
            assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (
                error["exit_status"], error["stdout"], error["stderr"]), words
            agreed += 1
    assert agreed == 4


@pytest.mark.parametrize("path", APPLE, ids=lambda path: path.stem)
def test_cassette_plays_a_session(shim, path):
    old = path.stem == "container-0.9.0"
    shim.load(path)
    shim.ok("network", "create", "--internal", "n")
    words = ["run", "--progress", "none", "--rm", "-i", "--read-only", "--name", "c", "--network", "n", "--no-dns",
             "--memory", "512M", "--user", "1000:1000", "--tmpfs", "/tmp", "--entrypoint", "sh"]
    refused = shim.run(*words, "--cap-drop", "ALL", "image", "-c", "exit 9")
    if old:
        assert refused.returncode == 64 and refused.stderr.startswith(b"Error: Unknown option '--cap-drop'\nUsage: container run")
    else:
        assert refused.returncode == 9
        shim.run("rm", "--force", "c")
    child = started(shim, *words[1:], "image", "-c", "echo up; exec cat")
    listed = json.loads(shim.ok("list", "--all", "--format", "json"))
    assert [entry.get("id", entry["configuration"]["id"]) for entry in listed] == ["c"]
    busy = shim.run("network", "delete", "n")
    assert busy.returncode == 1 and b"with referring containers: c" in busy.stderr
    child.stdin.close()
    assert child.wait(PATIENCE) == 0
    shim.run("rm", "--force", "c")  # the record may have gone by itself
    shim.ok("network", "delete", "n")
    assert shim.run("--shim-verify").returncode == 0


# ---- the fixtures' linter ----

LINTER = TOP / "ci" / "lint-fixtures"


def lint(*arguments):
    return subprocess.run([sys.executable, str(LINTER), *map(str, arguments)], capture_output=True, text=True)


def test_lint_accepts_the_fixtures():
    done = lint()
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("text, finding", [
    ("/home/someone/x", "a home path"),
    (r"\/Users\/someone\/Library", "a home path"),
    ("/root/.npmrc", "a home path"),
    ("C:\\Users\\someone", "a home path"),
    ("npm_" + "a" * 36, "npm token"),
    ("ghp_" + "a" * 36, "GitHub token"),
    ("AKIA" + "A" * 16, "AWS key"),
    ("Authorization: Bearer " + "a" * 20, "bearer token"),
    ("//registry/:_authToken=" + "a" * 8, "registry login"),
    ("https://user:password@example.com/", "password in a URL"),
    ("-----BEGIN " + "OPENSSH PRIVATE KEY-----", "private key"),
    ("https://build7.corp/x", "a real host name: build7.corp"),
    ("proxy.acme.io:3128", "a real host name: proxy.acme.io"),
    ("someone@mail.acme.com", "a real host name: mail.acme.com"),
    ("8.8.8.8", "an address outside"),
    ("192.168.${octet}.1 and 172.32.0.1", "an address outside the documentation and private ranges: 172.32.0.1"),
    ("2606:4700::1111", "an address outside"),
    ("00:1c:42:00:00:08", "a vendor's hardware address"),
])
def test_lint_refuses(tmp_path, text, finding):
    (tmp_path / "x.json").write_text("fine\n" + text + "\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert "x.json:2: " in done.stdout and finding in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_lint_passes_what_is_harmless(tmp_path):
    (tmp_path / "x.json").write_text(
        "192.0.2.1 198.51.100.7/24 203.0.113.255 2001:db8::1 10.1.2.3 172.31.0.1 192.168.${octet}.2 127.0.0.1 0.0.0.0 ::1\n"
        "fd8f:2f6b:9a41:${octet}::/64 fe80::1 f2:4a:9c:11:22:33 container CLI version 1.2.2 10:20:30Z 1.2.3.4.5\n"
        "www.example.com host.test api.example docker.io/library/node com.apple.container.apiserver server.js a.out /lib/x.app\n")
    done = lint(tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def test_lint_needs_something_to_look_at(tmp_path):
    assert lint(tmp_path).returncode == 1
