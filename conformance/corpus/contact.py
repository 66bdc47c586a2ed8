#!/usr/bin/env python3
"""First contact: real MCP servers as a client's entry starts them, with npxc where npx stood and nothing else changed.

usage: contact.py [--npxc FILE] [--cache DIR] [--jobs N] [--only NAME...] [--status FILE]

Each server of servers.json is started three times, in a HOME of its own with a copy of project/ as working directory:

  bare     npx -y SPEC ARGS                with the entry's variables in the environment, as clients give them
  literal  npxc -y SPEC ARGS               the same
  helped   npxc WHAT-STDERR-NAMED SPEC ARGS   when literal did not do as bare: the flags that its own lines named, pasted

A run is `lists` (with how many tools) or `ends` (with what). What has to be true of every server:

  * literal does as bare, and then no line on stderr names a remedy; or
  * literal does not, a line on stderr names a remedy, and with it the server does as bare.

The exceptions are in EXPLAINED, each with its reason; one that is no longer needed is an error too. The table goes to stdout,
and with --status into a file as Markdown. Python 3.9, nothing but its standard library.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import run

# What a line of npxc may tell to add. A value ends at a blank or at what ends a sentence.
REMEDY = re.compile(r"(?<!\S)(-e [A-Z_][A-Z0-9_]*|--(?:mount|network|memory|pids|cpus|project)(?:=| )[^\s;,\"']+|--write)")
ROUNDS = 4  # a server that has got one thing may ask for the next

EXPLAINED = {}


class Play:
    """One start of one server, from installed package to its end."""

    def __init__(self, server, words, options, log):
        self.server, self.words, self.options, self.log = server, words, options, log
        self.said, self.tools, self.end = "", None, ""

    def go(self):
        # Not below a directory of mode 0700: a session that root starts runs as another user.
        home = pathlib.Path(tempfile.mkdtemp(prefix="npxc-contact-"))
        home.chmod(0o755)
        try:
            project = run.make_project(home)
            self.talk(home, project)
        finally:
            run.end_all(home)
        return self

    def talk(self, home, project):
        def fill(text):
            return text.replace("<cwd>", str(project))
        env = {**run.environment(home, self.options.cache),
               "npm_config_cache": str(self.options.cache / "npm"),
               **{name: fill(value) for name, value in self.server["env"].items()}}
        words = [fill(word) for word in self.words]
        with open(self.log, "wb") as err:
            process = subprocess.Popen(words, env=env, cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err)
        client = run.Client(process, project)
        try:
            client.handshake(900 + 2 * (self.server["disk_mb"] or 0))  # with its installation
            self.tools = sorted(tool["name"] for tool in client.tools(run.FLOOR))
            client.close(run.FLOOR)
        except run.Failure as failure:
            self.end = str(failure)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(run.FLOOR)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()
            process.stdout.close()
        self.said = self.log.read_text(errors="replace").replace(str(project), "<cwd>").replace(str(home), "<home>")

    def lines(self):
        """npxc's own lines that name a remedy."""
        return [line for line in self.said.splitlines() if line.startswith("npxc:") and REMEDY.search(line)]

    def remedies(self):
        return [word for line in self.lines() for found in REMEDY.findall(line) for word in found.split(" ", 1)]

    def word(self):
        return "ends" if self.tools is None else "lists %d" % len(self.tools)


def run_server(server, options):
    spec = "%s@%s" % (server["name"], server["version"])

    def play(name, *words):
        log = options.logs / ("%s.%s.log" % (server["name"].replace("/", "+"), name))
        return Play(server, [*words, spec, *server["args"]], options, log).go()

    row = {"server": server["name"], "version": server["version"], "helped": "", "said": [], "remedy": ""}
    bare = play("bare", "npx", "-y")
    literal = play("literal", str(options.npxc), "-y")
    row.update(bare=bare.word(), literal=literal.word(), verdict="right")
    if literal.tools == bare.tools:
        if literal.lines():
            row.update(verdict="nagged", said=literal.lines())
        return row
    row.update(said=literal.lines() or literal.said.splitlines()[-2:])
    words, last = [], literal
    for _ in range(ROUNDS):
        more = [word for word in last.remedies()]
        if not more or last.tools == bare.tools:
            break
        words += more
        last = play("helped", str(options.npxc), *words)
    row.update(remedy=" ".join(words), helped=last.word() if words else "-",
               verdict="helped" if words and last.tools == bare.tools else "unexplained")
    return row


def check(rows):
    """Lines that say what is wrong."""
    wrong = []
    for row in rows:
        known = row["server"] in EXPLAINED
        if row["verdict"] in ("nagged", "unexplained") and not known:
            wrong.append("%s: %s: %s" % (row["server"], row["verdict"], " | ".join(row["said"])[:300]))
        if row["verdict"] in ("right", "helped") and known:
            wrong.append("%s does as bare now: its exception has to go" % row["server"])
    return wrong


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def status(rows):
    lines = ["# First contact with real servers", "",
             "Written by `make contact`; how it is done stands at the top of `contact.py`. `lists N`: the server answered",
             "`tools/list` with N tools. Bare is `npx -y`, literal `npxc -y` in its place, helped with what stderr named.", "",
             "| server | bare | literal | helped | what stderr said when literal did not do as bare |", "|---|---|---|---|---|"]
    for row in rows:
        said = "" if row["verdict"] == "right" else " ".join(row["said"])[:400]
        if row["server"] in EXPLAINED:
            said += " (%s)" % EXPLAINED[row["server"]]
        lines.append("| %s %s | %s | %s | %s | %s |" % (row["server"], row["version"], row["bare"], row["literal"],
                                                        row["helped"], cell(said)))
    return "\n".join(lines) + "\n"


def main(words):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--npxc", type=pathlib.Path, default=run.TOP / "build" / "npxc")
    parser.add_argument("--cache", type=pathlib.Path, default=run.TOP / "build" / ("corpus-cache-%d" % os.getuid()))
    parser.add_argument("--logs", type=pathlib.Path, default=run.TOP / "build" / ("contact-logs-%d" % os.getuid()))
    parser.add_argument("--output", type=pathlib.Path, default=run.TOP / "build" / "contact.json")
    parser.add_argument("--status", type=pathlib.Path, help="write the table as Markdown")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    options = parser.parse_args(words)
    for name in ("npxc", "cache", "logs", "output"):
        setattr(options, name, getattr(options, name).resolve())
    servers = json.loads((run.HERE / "servers.json").read_text())
    if options.only:
        unknown = set(options.only) - {server["name"] for server in servers}
        if unknown:
            sys.exit("contact.py: no such server in the corpus: %s" % ", ".join(sorted(unknown)))
        servers = [server for server in servers if server["name"] in options.only]
    for directory in (options.cache, options.logs, options.output.parent):
        directory.mkdir(parents=True, exist_ok=True)
    rows = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run_server, server, options) for server in servers]):
            row = future.result()
            rows.append(row)
            print("%-50s %-10s %-10s %-10s %-11s %s" % (row["server"], row["bare"], row["literal"], row["helped"],
                                                       row["verdict"], row["remedy"]), flush=True)
    rows.sort(key=lambda row: row["server"])
    options.output.write_text(json.dumps(rows, indent=1) + "\n")
    if options.status:
        options.status.write_text(status(rows))
    wrong = check(rows)
    print("\n".join(wrong + ["%d of %d do as bare, literally or with what stderr named"
                             % (sum(row["verdict"] in ("right", "helped") for row in rows), len(rows))]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
