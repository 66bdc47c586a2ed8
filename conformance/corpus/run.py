#!/usr/bin/env python3
"""Runs real MCP servers of the npm registry under npxc and compares their tools/list with what they answer bare.

usage: run.py [--npxc FILE] [--cache DIR] [--jobs N] [--ci | --only NAME...] [--at-least N] [--list]

Each server gets a HOME of its own with a copy of project/ as working directory, and nothing but its recorded arguments and
variables (as `-e NAME=VALUE`): no configuration file, no other flag. It is installed with `npxc install`, started, asked
for all its tools, and ended by closing its stdin. It passes when

  * the list of tools equals the recorded one (tools/), whatever the order of the tools;
  * npxc exits 0 and both its pipes are closed;
  * no process is left that knows the HOME, and no file in the HOME outside the project.

The table goes to stdout, the same as JSON to build/corpus.json. Installed packages stay in the cache for the next run.
Python 3.9, nothing but its standard library.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent

# For every push: small ones that each need something else.
CI = {
    "@modelcontextprotocol/server-everything": "ends 0.4 s after its stdin",
    "@modelcontextprotocol/server-filesystem": "a directory as argument",
    "@modelcontextprotocol/server-memory": "neither argument nor variable",
    "@angular/cli": "Node 22, a sub-command, children of its own",
    "@modelcontextprotocol/server-slack": "exits 1 without its variables",
    "mcp-image-extractor": "a prebuilt native add-on by optional dependency, a banner on stdout",
}

# Whether a list is the recorded one is not a question of time. These are only for telling slow from stuck: the recorded time
# of one run on an idle machine, this many times, and never less than the floor.
FACTOR = 40
FLOOR = 60

# npxc's own promise for what is left behind; here with room for a loaded machine.
GONE = 10


def recorded_servers():
    servers = json.loads((HERE / "servers.json").read_text())
    return [server for server in servers if server["handshake_ok"]]


def recorded_tools(server):
    name = server["name"].lstrip("@").replace("/", "__")
    return json.loads((HERE / "tools" / f"{name}.json").read_text())["tools"]


class Failure(Exception):
    """Why a server does not pass, in one line."""


def patience(milliseconds):
    return max(FLOOR, FACTOR * (milliseconds or 0) / 1000)


# Where the recorded lists were taken.
RECORDED_PROJECT = "/home/u/proj"


def with_project(tool, project):
    text = json.dumps(tool).replace(str(project), RECORDED_PROJECT).replace(str(project).lstrip("/"),
                                                                          RECORDED_PROJECT.lstrip("/"))
    return json.loads(text)


CONTAINER = re.compile(r" \(Docker\)"
                       r"|\n\n\S+ [A-Z -]+ ENVIRONMENT DETECTED:\n.*?\nContainer: [^\n]*"
                       r"|\n\n\S+ [A-Z -]+: Prefer paths within mounted directories: [^\n]*\n"
                       r"When users ask about file locations, check these mounted paths first\. ", re.DOTALL)


def without_container(tool, _):
    return {**tool, "description": CONTAINER.sub("", tool.get("description", ""))}


# What differs between two right answers, by server: a function over one tool, and why it is needed.
NORMALISED = {
    "@wonderwhy-er/desktop-commander": (without_container, "descriptions name the container that was found, and its mounts"),
    "figma-developer-mcp": (with_project, "a description names the working directory"),
}


# Servers that cannot give the list with nothing but their arguments and variables, and what they need.
EXPLAINED = {
    "obsidian-mcp": "it takes a lock inside the vault, and an argument is mounted read-only; `--mount VAULT:rw` gives it",
}


def differences(expected, got, where=""):
    """The places where two JSON values differ, as lines."""
    if type(expected) is not type(got):
        yield f"{where}: {json.dumps(expected)[:60]} became {json.dumps(got)[:60]}"
    elif isinstance(expected, dict):
        for key in sorted(expected.keys() | got.keys()):
            if key not in got:
                yield f"{where}.{key} is missing"
            elif key not in expected:
                yield f"{where}.{key} is new"
            else:
                yield from differences(expected[key], got[key], f"{where}.{key}")
    elif isinstance(expected, list):
        if len(expected) != len(got):
            yield f"{where}: {len(expected)} elements became {len(got)}"
        for index, (one, other) in enumerate(zip(expected, got)):
            yield from differences(one, other, f"{where}[{index}]")
    elif isinstance(expected, str) and expected != got:
        at = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
        yield f"{where} at {at}: {expected[at:at + 40]!r} became {got[at:at + 40]!r}"
    elif expected != got:
        yield f"{where}: {expected} became {got}"


def compare(server, expected, got, project):
    normalise, _ = NORMALISED.get(server["name"], (lambda tool, _: tool, ""))
    names = collections.Counter(tool["name"] for tool in got)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise Failure(f"{twice[0]} is listed twice")
    by_name = {tool["name"]: normalise(tool, project) for tool in got}
    wanted = {tool["name"]: normalise(tool, project) for tool in expected}
    missing, new = sorted(wanted.keys() - by_name.keys()), sorted(by_name.keys() - wanted.keys())
    if missing or new:
        raise Failure(f"{len(got)} tools instead of {len(expected)}; missing {missing[:4]}, new {new[:4]}")
    found = [line for name in wanted for line in differences(wanted[name], by_name[name], name)]
    if found:
        raise Failure(f"{len(found)} differences: {'; '.join(found[:3])}")


class Client:
    """An MCP client over pipes: every wait has an end, every request of the server gets an answer."""

    def __init__(self, process, root):
        self.process = process
        self.root = root
        self.buffered = b""
        self.id = 0
        self.noise = 0
        self.requests = 0

    def send(self, message):
        try:
            self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failure("npxc closed its stdin")

    def read_line(self, end):
        while b"\n" not in self.buffered:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise Failure("no answer in time")
            got = os.read(self.process.stdout.fileno(), 1 << 16)
            if not got:
                raise Failure("stdout closed before the answer")
            self.buffered += got
        line, self.buffered = self.buffered.split(b"\n", 1)
        return line

    def answer(self, request):
        self.requests += 1
        if request["method"] == "roots/list":
            result = {"result": {"roots": [{"uri": self.root.as_uri(), "name": "project"}]}}
        elif request["method"] == "ping":
            result = {"result": {}}
        else:
            result = {"error": {"code": -32601, "message": "not here"}}
        self.send({"id": request["id"], **result})

    def request(self, method, params, seconds):
        self.id += 1
        self.send({"id": self.id, "method": method, "params": params})
        end = time.monotonic() + seconds
        while True:
            line = self.read_line(end)
            try:
                message = json.loads(line)
                kind = message.get("method")
            except (ValueError, AttributeError):
                self.noise += 1  # one server prints a banner; npxc passes on what it is given
                continue
            if kind is not None and "id" in message:
                self.answer(message)
            elif kind is None and message.get("id") == self.id:
                if "error" in message:
                    raise Failure(f"{method}: {json.dumps(message['error'])}")
                return message["result"]

    def handshake(self, seconds):
        # As recorded: no capabilities (some servers have more tools for a client with roots or sampling).
        self.request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {},
                                    "clientInfo": {"name": "corpus", "version": "0"}}, seconds)
        self.send({"method": "notifications/initialized"})

    def tools(self, seconds):
        tools, params = [], {}
        while True:
            page = self.request("tools/list", params, seconds)
            tools += page["tools"]
            if not page.get("nextCursor"):
                return tools
            params = {"cursor": page["nextCursor"]}

    def close(self, seconds):
        """End of input as a client gives it, then the end of npxc and of both its pipes. Returns exit status."""
        self.process.stdin.close()
        end = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise Failure(f"stdout still open {seconds:.0f} s after the end of stdin")
            if not os.read(self.process.stdout.fileno(), 1 << 16):
                break
        try:
            return self.process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Failure(f"npxc still runs {seconds:.0f} s after the end of stdin")


def processes_of(home):
    """pids of processes that have the HOME in their arguments, environment or working directory."""
    found = []
    marker = str(home)
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        for name in ("cmdline", "environ"):
            try:
                if marker.encode() in (entry / name).read_bytes():
                    found.append(int(entry.name))
                    break
            except OSError:
                continue
        else:
            try:
                if os.readlink(entry / "cwd").startswith(marker):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def end_all(home):
    """Everything that a run has in its HOME, and the HOME."""
    for pid in processes_of(home):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    shutil.rmtree(home, ignore_errors=True)


def check_nothing_left(home, project):
    end = time.monotonic() + GONE
    while processes_of(home) and time.monotonic() < end:
        time.sleep(0.05)
    left = processes_of(home)
    if left:
        raise Failure(f"{len(left)} processes are left")
    # The record of what was reached is meant to stay: `npxc log` reads it.
    records = home / ".local/state/npxc/egress"
    files = [path for path in home.rglob("*")
             if not path.is_dir() and project not in path.parents and path.parent != records]
    if files:
        raise Failure(f"{files[0].relative_to(home)} is left in HOME")


def make_project(home):
    """A copy of project/, a git repository of one commit where git is there."""
    project = home / "project"
    shutil.copytree(HERE / "project", project)
    if shutil.which("git"):
        def git(*words):
            subprocess.run(["git", "-c", "user.name=corpus", "-c", "user.email=corpus@example.com", "-c",
                            "init.defaultBranch=main", "-c", "commit.gpgsign=false", *words], cwd=project, check=True,
                           stdout=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": str(home)})
        git("init", "-q")
        git("add", "-A")
        git("commit", "-q", "-m", "project")
    return project


def environment(home, cache):
    keep = ("PATH", "LANG", "TERM", "NODE_EXTRA_CA_CERTS")
    env = {name: os.environ[name] for name in keep if name in os.environ}
    env.update({name: value for name, value in os.environ.items() if name.lower().startswith("npm_config_")})
    env.update(HOME=str(home), XDG_CACHE_HOME=str(cache))
    # The HOME is new, the registry and its certificates are those of whoever runs this.
    userconfig = pathlib.Path.home() / ".npmrc"
    if userconfig.exists():
        env.setdefault("npm_config_userconfig", str(userconfig))
    return env


def command(npxc, server, project):
    def fill(text):
        return text.replace("<cwd>", str(project))
    words = [str(npxc)]
    for name, value in server["env"].items():
        words += ["-e", f"{name}={fill(value)}"]
    return words + [f"{server['name']}@{server['version']}"] + [fill(word) for word in server["args"]]


def last_line(path):
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    npxcs = [line for line in lines if line.startswith("npxc:")]
    return (npxcs or lines or [""])[-1][:300]


def install(npxc, server, env, project, log):
    with open(log, "wb") as out:
        process = subprocess.Popen([str(npxc), "install", f"{server['name']}@{server['version']}"], env=env, cwd=project,
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            # a source build took 78 s, the largest package has 1.4 GB
            status = process.wait(900 + 2 * (server["disk_mb"] or 0))
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            raise Failure("the install did not end")
    if status != 0:
        raise Failure(f"install exited {status}: {last_line(log)}")


def install_as_recorded(npxc, server, env, project, log):
    """With install scripts, as a user installs; where one fails and the recording did without, without. Returns a note.

    Three servers fetch a browser from elsewhere than the registry, one of them by `su` and apt-get. What npm says to that
    ends an install, with npx too; the recorded lists were taken from packages installed with `ignore-scripts`.
    """
    try:
        install(npxc, server, env, project, log)
        return ""
    except Failure as failure:
        if "install script" not in str(failure) or server["needs_scripts"]:
            raise
        install(npxc, server, {**env, "npm_config_ignore_scripts": "true"}, project, log)
        return "without its install script: " + str(failure).rsplit("failed: ", 1)[-1]


def talk(npxc, server, env, project, log, row):
    times = server["timings_ms"]
    started = time.monotonic()
    with open(log, "wb") as err:
        process = subprocess.Popen(command(npxc, server, project), env=env, cwd=project, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=err)
    client = Client(process, project)
    try:
        client.handshake(patience(times["spawn_to_initialize"]))
        row["first_answer_ms"] = round(1000 * (time.monotonic() - started))
        tools = client.tools(patience(times["tools_list"]))
        row["tools"] = len(tools)
        ending = time.monotonic()
        status = client.close(patience(times["exit_after_stdin_close"]))
        row["end_ms"] = round(1000 * (time.monotonic() - ending))
        row["status"] = status
        row["noise"] = client.noise
        row["server_requests"] = client.requests
        if status != 0:
            raise Failure(f"npxc exited {status}: {last_line(log)}")
        return tools
    except Failure as failure:
        if process.poll() is None and "status" not in row:
            process.terminate()
            try:
                process.wait(FLOOR)
            except subprocess.TimeoutExpired:
                process.kill()
        said = last_line(log)
        raise Failure(f"{failure}" + (f" ({said})" if said and said not in str(failure) else ""))
    finally:
        process.wait()
        process.stdout.close()


def run_server(server, options):
    """One row of the table. Everything started here has ended when it returns."""
    row = dict(server=server["name"], version=server["version"], verdict="fails", install_s=None, first_answer_ms=None,
               bare_ms=server["timings_ms"]["spawn_to_initialize"], end_ms=None, note="")
    # Not below a directory of mode 0700: a session that root starts runs as another user.
    home = pathlib.Path(tempfile.mkdtemp(prefix="npxc-corpus-"))
    home.chmod(0o755)
    log = options.logs / (server["name"].replace("/", "+") + ".log")
    try:
        env = environment(home, options.cache)
        project = make_project(home)
        started = time.monotonic()
        notes = [install_as_recorded(options.npxc, server, env, project, log)]
        row["install_s"] = round(time.monotonic() - started, 1)
        tools = talk(options.npxc, server, env, project, log, row)
        if options.keep:
            log.with_suffix(".tools.json").write_text(json.dumps({"tools": tools}, indent=1, ensure_ascii=False))
        check_nothing_left(home, project)
        compare(server, recorded_tools(server), tools, project)
        row["verdict"] = "same"
        notes.append(NORMALISED.get(server["name"], ("", ""))[1])
        row["note"] = "; ".join(note for note in notes if note)
    except Failure as failure:
        row["note"] = str(failure)
        if server["name"] in EXPLAINED:
            row["note"] += f" [known: {EXPLAINED[server['name']]}]"
    finally:
        end_all(home)
    return row


HEADER = ("server", "version", "verdict", "install s", "first answer ms", "end ms", "note")
COLUMNS = "{:50} {:11} {:7} {:>9} {:>15} {:>7}  {}"


def print_row(row):
    def text(value):
        return "-" if value is None else value
    print(COLUMNS.format(row["server"], row["version"], row["verdict"], text(row["install_s"]),
                         text(row["first_answer_ms"]), text(row["end_ms"]), row["note"]), flush=True)


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--npxc", type=pathlib.Path, default=TOP / "build" / "npxc", help="the launcher [build/npxc]")
    parser.add_argument("--cache", type=pathlib.Path, default=TOP / "build" / f"corpus-cache-{os.getuid()}",
                        help="XDG_CACHE_HOME of all runs, kept [build/corpus-cache-UID]")
    parser.add_argument("--output", type=pathlib.Path, default=TOP / "build" / "corpus.json")
    parser.add_argument("--logs", type=pathlib.Path, default=TOP / "build" / f"corpus-logs-{os.getuid()}",
                        help="where stderr of each server is kept")
    parser.add_argument("--keep", action="store_true", help="keep the lists too, beside the logs")
    parser.add_argument("--jobs", type=int, default=2, help="servers at a time [2]")
    parser.add_argument("--at-least", type=int, help="how many must give the recorded list [45 of all; all of a selection]")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these servers")
    parser.add_argument("--ci", action="store_true", help=f"the {len(CI)} servers of every push")
    parser.add_argument("--list", action="store_true", help="print names, versions, arguments and variables; run nothing")
    options = parser.parse_args(words)
    for name in ("npxc", "cache", "output", "logs"):
        setattr(options, name, getattr(options, name).resolve())
    return options


def select_servers(options):
    servers = recorded_servers()
    names = list(CI) if options.ci else options.only
    if not names:
        return servers, 45 if options.at_least is None else options.at_least
    unknown = set(names) - {server["name"] for server in servers}
    if unknown:
        sys.exit(f"run.py: no such server in the corpus: {', '.join(sorted(unknown))}; see --list")
    chosen = [server for server in servers if server["name"] in names]
    return chosen, len(chosen) if options.at_least is None else options.at_least


def main(words):
    options = parse(words)
    servers, at_least = select_servers(options)
    if options.list:
        for server in servers:
            print(" ".join(command("npxc", server, "<cwd>")))
        return 0
    if not os.access(options.npxc, os.X_OK):
        sys.exit(f"run.py: {options.npxc} is not there: run `make` first")
    for directory in (options.cache, options.logs, options.output.parent):
        directory.mkdir(parents=True, exist_ok=True)
    print(COLUMNS.format(*HEADER), flush=True)
    rows = []
    lock = threading.Lock()

    def run(server):
        row = run_server(server, options)
        with lock:
            print_row(row)
            rows.append(row)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for future in [pool.submit(run, server) for server in servers]:
            future.result()
    same = sum(row["verdict"] == "same" for row in rows)
    rows.sort(key=lambda row: row["server"])
    options.output.write_text(json.dumps(dict(same=same, of=len(rows), at_least=at_least, servers=rows), indent=1) + "\n")
    print(f"{same} of {len(rows)} give the recorded tools/list")
    return 0 if same >= at_least else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
