#!/usr/bin/env python3
"""Records what a real container CLI answers to npxc, as a cassette for the replay shim.

usage: record.py podman|docker|apple [--npxc build/npxc] [--output DIRECTORY]

Scenarios of npxc run with a recording wrapper of the CLI first on the search path, and a few calls are made directly for
the refusals that no session meets. tests/record/RUNTIME.json says what kinds of calls there are, what each does to
the world of the shim, and by which words on stderr a refusal is known; every text comes from the CLI. A call of no known
kind, or a failure in no known words, ends the recording: nothing is guessed. Besides the cassette it writes what the
sessions came to, which a test compares with the same sessions on the shim.
"""

import argparse
import datetime
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from scenarios import IMAGE, SESSIONS, TOP, Stage, wait_until  # noqa: E402

CLIS = {"podman": "podman", "docker": "docker", "apple": "container"}

# Passes everything through, writes one file per call. The client of a session leaves by a signal now and then, so what
# is known is written down in parts.
WRAPPER = '''#!{python}
import json, os, signal, subprocess, sys, time
name = "{calls}/%d-%d" % (time.monotonic_ns(), os.getpid())
argv = sys.argv[1:]
is_run = argv[:1] == ["run"]
# what a container says is the server's, not the CLI's, and goes through at once
child = subprocess.Popen([{real!r}, *argv], stdout=None if is_run else subprocess.PIPE, stderr=subprocess.PIPE,
                         close_fds=False)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda number, frame: child.send_signal(number))
out = b"" if is_run else child.stdout.read()
err = b""
while True:
    piece = os.read(child.stderr.fileno(), 65536)
    if not piece:
        break
    err += piece
    try:
        os.write(2, piece)
    except OSError:
        pass
status = child.wait()
entry = dict(argv=argv, exit=status, stdout=out.decode(), stderr=err.decode())
with open(name + ".new", "w") as file:
    json.dump(entry, file)
os.rename(name + ".new", name + ".json")
try:
    os.write(1, out) if out else None
except OSError:
    pass
sys.exit(status if status >= 0 else 128 - status)
'''

HOLES = {"uuid": r"(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", "name": r"[A-Za-z0-9][A-Za-z0-9_.-]*",
         "int": r"[0-9]+", "path": r"/[^:\0]*"}


def match(pattern, argv):
    """The labels' values, or None; as src/shim/hole.h says. `{any*}` stands last here."""
    labels = {}
    for index, element in enumerate(pattern):
        rest = re.fullmatch(r"\{any\*(?::(\w+))?\}", element)
        if rest:
            if rest[1]:
                labels[rest[1]] = " ".join(argv[index:])
            return labels
        if index >= len(argv):
            return None
        text, seen = "", []
        for part in re.findall(r"\{\{|\}\}|\{\w+(?::\w+)?\}|[^{}]+", element):
            hole = re.fullmatch(r"\{(\w+)(?::(\w+))?\}", part)
            if hole:
                text += "(" + HOLES[hole[1]] + ")"
                seen.append(hole[2])
            else:
                text += re.escape(part.replace("{{", "{").replace("}}", "}"))
        found = re.fullmatch(text, argv[index])
        if not found:
            return None
        labels.update({label: value for label, value in zip(seen, found.groups()) if label})
    return labels if len(argv) == len(pattern) else None


def option(argv, name):
    return argv[argv.index(name) + 1] if name in argv else None


def what_run_named(argv):
    """The values that the shim's world offers to the refusals of `run`."""
    volume = option(argv, "-v") or ""
    return {"container": option(argv, "--name"), "network": option(argv, "--network"), "mount": volume.split(":")[0],
            "option": next((word for word in argv if word.startswith("--surely")), None),
            "program": option(argv, "--entrypoint")}


def template(text, values):
    """A text of the CLI with the values that belong to the call as ${...}, and without this machine's noise."""
    text = "".join(line for line in text.splitlines(True) if not line.startswith("failed to connect to syslog"))
    text = text.replace("$", "$$")
    for label, value in sorted(values.items(), key=lambda pair: -len(pair[1] or "")):
        if value:
            text = text.replace(value, "${%s}" % label)
    return text


def trimmed(text, keep):
    whole, kept = json.loads(text), {}
    for path in keep:
        source, target = whole, kept
        *parents, last = path.split(".")
        for key in parents:
            source, target = source[key], target.setdefault(key, {})
        target[last] = source[last]
    return json.dumps(kept) + "\n"


def processes_of(home):
    """Those that have the home of the scenarios in their environment."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if home.encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


class Recording:
    def __init__(self, shape):
        self.shape = shape
        self.answers = {}  # (interaction, refusal or None) -> answer

    def add(self, call, outcome=None):
        for interaction in self.shape["interactions"]:
            labels = match(interaction["argv"], call["argv"])
            if labels is not None:
                break
        else:
            sys.exit("no kind of call in the scenarios' shape: " + json.dumps(call["argv"]))
        if outcome is None and interaction["id"] == "run" and call["exit"] not in (0, 125):
            return  # a server's own end
        # a refusal may be said and not be a failure: docker's `rm -f` of a container that is not there
        if outcome is None and (interaction["id"] != "run" or call["exit"] != 0):
            outcome = next((word for word, known in interaction.get("words", {}).items()
                            if known and re.search(known, call["stderr"].strip())), None)
            if outcome is None and call["exit"] != 0:
                sys.exit("a failure in no known words: %s" % json.dumps(call))
        if (interaction["id"], outcome) in self.answers:
            return
        if interaction["id"] == "run":
            labels = what_run_named(call["argv"])
        out = trimmed(call["stdout"], interaction["keep"]) if "keep" in interaction else call["stdout"]
        answer = {}
        # what a container says is not the CLI's
        if out and interaction["id"] != "run":
            answer["stdout"] = template(out, labels)
        errors = template(call["stderr"], labels)
        if errors and (interaction["id"] != "run" or outcome is not None):
            answer["stderr"] = errors
        if call["exit"] != 0:
            answer["exit"] = call["exit"]
        self.answers[interaction["id"], outcome] = answer

    def interactions(self):
        for interaction in self.shape["interactions"]:
            identity = interaction["id"]
            if (identity, None) not in self.answers:
                print("not met, left out: " + identity)
                continue
            made = {key: interaction[key] for key in ("id", "note", "argv") if key in interaction}
            made["plays"] = {"least": 0}
            if "effects" in interaction:
                made["effects"] = interaction["effects"]
            refusals = {word: self.answers[identity, word] for word in interaction.get("words", {})
                        if (identity, word) in self.answers}
            for word in interaction.get("words", {}):
                if word not in refusals:
                    print(f"not met, left out: {identity}, {word}")
            if refusals:
                made["refusals"] = refusals
            made["answer"] = {**self.answers[identity, None], **interaction.get("answer", {})}
            yield made


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runtime", choices=sorted(CLIS))
    parser.add_argument("--npxc", default=TOP / "build" / "npxc", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("--output", default=TOP / "fixtures", type=pathlib.Path)
    options = parser.parse_args()
    name = CLIS[options.runtime]
    real = shutil.which(name)
    if real is None:
        sys.exit(f"{name} is not on PATH")
    shape = json.loads((HERE / f"{options.runtime}.json").read_text())
    recording, outcomes = Recording(shape), {}
    with tempfile.TemporaryDirectory(prefix="npxc-record-") as home:
        calls = pathlib.Path(home) / "calls"
        wrapper = pathlib.Path(home) / "bin" / name
        calls.mkdir()
        wrapper.parent.mkdir()
        wrapper.write_text(WRAPPER.format(python=sys.executable, calls=calls, real=real))
        wrapper.chmod(0o755)
        done = set()

        def met(outcome=None):
            """What has been asked since the last time goes into the recording."""
            for path in sorted(set(calls.glob("*.json")) - done):
                done.add(path)
                recording.add(json.loads(path.read_text()), outcome)

        stage = Stage(home, options.npxc, options.runtime, wrapper)

        def managed_network():
            """The one of the running session: the last that was made."""
            made = [json.loads(path.read_text())["argv"] for path in sorted(calls.glob("*.json"))]
            return [argv[-1] for argv in made if argv[:2] == ["network", "create"]][-1]

        def settled():
            return not processes_of(home)

        stage.install()
        for session in SESSIONS:
            print("session", session["name"])
            outcomes[session["name"]] = stage.play(session, managed_network)
            if sys.platform == "linux" and not wait_until(settled):
                sys.exit(f"{session['name']}: its janitor does not end")
            met()
        for step in shape["asks"]:
            print("ask", " ".join(step["words"]))
            guest = stage.guest(step["guest_on"]) if "guest_on" in step else None
            stage.ask(*(word.format(image=IMAGE) for word in step["words"]))
            met(step.get("outcome"))
            if guest is not None:
                guest.communicate()
        met()
    version = subprocess.run([real, *shape["version"]], capture_output=True, text=True, check=True).stdout.strip()
    system = dict(line.rstrip("\n").replace('"', "").split("=", 1) for line in open("/etc/os-release")) \
        if sys.platform == "linux" else {"PRETTY_NAME": "macOS " + platform.mac_ver()[0]}
    cassette = {
        "schema": 1, "cli": name, "version": version,
        "origin": {"kind": "recorded", "from": "make record RUNTIME=" + options.runtime, "cli": f"{name} {version}",
                   "os": f"{system['PRETTY_NAME']}, {platform.machine()}",
                   "date": datetime.date.today().isoformat()},
        "redactions": shape["redactions"],
        "world": shape["world"], "run_options": shape["run_options"], "interactions": list(recording.interactions()),
    }
    options.output.joinpath("cassettes").mkdir(parents=True, exist_ok=True)
    options.output.joinpath("sessions").mkdir(exist_ok=True)
    for directory, what in (("cassettes", cassette), ("sessions", outcomes)):
        path = options.output / directory / f"{name}-{version}.json"
        path.write_text(json.dumps(what, indent=2, ensure_ascii=False) + "\n")
        print("wrote", path)


main()
