#!/usr/bin/env python3
"""Real servers that read files by path: the same call bare and under npxc, and one for a file outside.

usage: files.py [--npxc FILE] [--cache DIR] [--only NAME...]

Each server is installed twice, by npm for the bare run and by npxc. Both are started in a copy of project/, asked for
their tools as clients do, and called with a file of it. It passes when

  * both answer the same, byte for byte but for the id, and no error;
  * under npxc the call for a file that is really there, outside the working directory, is refused with -32602, and
    nothing of that file is in the answer.

Python 3.9, nothing but its standard library.
"""

import argparse
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
PATIENCE = 120

# Package, arguments of the server, tool, arguments of the call; <file> is the path of the file in the project.
SERVERS = [
    ("mcp-image-extractor@1.1.0", [], "extract_image_from_file", "sample.png", {"file_path": "<file>"}),
    ("@negokaz/excel-mcp-server@0.12.0", [], "excel_describe_sheets", "sample.xlsx", {"fileAbsolutePath": "<file>"}),
    ("@modelcontextprotocol/server-filesystem@2026.8.31", ["<cwd>"], "read_text_file", "sample.md", {"path": "<file>"}),
    ("fast-filesystem-mcp@3.5.2", ["--allow", "<cwd>"], "fast_read_file", "sample.txt", {"path": "<file>"}),
    ("mcp-markdownify-server@1.1.0", [], "get-markdown-file", "sample.md", {"filepath": "<file>"}),
    ("@sylphx/pdf-reader-mcp@2.4.0", [], "read_pdf", "sample.pdf",
     {"sources": [{"path": "<file>"}], "include_full_text": True}),
]


def fill(value, known):
    if isinstance(value, str):
        for name, text in known.items():
            value = value.replace(name, text)
        return value
    if isinstance(value, list):
        return [fill(item, known) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, known) for key, item in value.items()}
    return value


class Session:
    def __init__(self, command, cwd, env, log):
        self.process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.buffered, self.id = b"", 0
        self.request("initialize", {"protocolVersion": "2025-06-18", "capabilities": {},
                                    "clientInfo": {"name": "corpus", "version": "0"}})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.request("tools/list", {})

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def request(self, method, params):
        self.id += 1
        self.send({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params})
        end = time.monotonic() + PATIENCE
        while True:
            line = self.line(end)
            try:
                answer = json.loads(line)
            except ValueError:
                continue  # what is printed bare beside messages
            if answer.get("id") == self.id and "method" not in answer:
                return answer

    def line(self, end):
        while b"\n" not in self.buffered:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            got = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not got:
                raise RuntimeError("no answer" if not ready else "stdout closed")
            self.buffered += got
        line, self.buffered = self.buffered.split(b"\n", 1)
        return line

    def close(self):
        self.process.stdin.close()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def bare_command(cache, package):
    """Installed by npm, once; the package's own bin."""
    name = package.rsplit("@", 1)[0]
    prefix = cache / "bare" / package.replace("/", "+")
    installed = prefix / "node_modules" / name / "package.json"
    if not installed.exists():
        prefix.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(prefix), package], check=True,
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    bins = json.loads(installed.read_text())["bin"]
    path = bins if isinstance(bins, str) else bins.get(name.split("/")[-1]) or next(iter(bins.values()))
    return ["node", str(installed.parent / path)]


def result_of(answer):
    return json.dumps({key: value for key, value in answer.items() if key != "id"}, sort_keys=True)


def examine(npxc, cache, package, words, tool, name, given):
    """None, or what is wrong."""
    with tempfile.TemporaryDirectory(prefix="corpus-files-") as home:
        home = pathlib.Path(os.path.realpath(home))
        project, outside = home / "project", home / "outside"
        shutil.copytree(HERE / "project", project)
        outside.mkdir()
        shutil.copy(project / name, outside / name)
        env = {key: os.environ[key] for key in os.environ if key in ("PATH", "NODE_EXTRA_CA_CERTS") or key.lower().startswith("npm_config_")}
        env.update(HOME=str(home), XDG_CACHE_HOME=str(cache))
        words = fill(words, {"<cwd>": str(project)})
        inside_call = {"name": tool, "arguments": fill(given, {"<file>": str(project / name)})}
        outside_call = {"name": tool, "arguments": fill(given, {"<file>": str(outside / name)})}
        subprocess.run([npxc, "install", package], env=env, cwd=project, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(home / "stderr", "wb") as log:
            bare = Session([*bare_command(cache, package), *words], project, env, log)
            plain = bare.request("tools/call", inside_call)
            bare.close()
            boxed_session = Session([npxc, package, *words], project, env, log)
            boxed = boxed_session.request("tools/call", inside_call)
            refused = boxed_session.request("tools/call", outside_call)
            status = boxed_session.close()
    if "error" in plain or plain.get("result", {}).get("isError"):
        return "bare it fails: %s" % result_of(plain)[:300]
    if result_of(plain) != result_of(boxed):
        return "bare %s, under npxc %s" % (result_of(plain)[:300], result_of(boxed)[:300])
    if refused.get("error", {}).get("code") != -32602:
        return "a file outside gives %s" % result_of(refused)[:300]
    return None if status == 0 else "npxc ended with %d" % status


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npxc", default=str(TOP / "build" / "npxc"))
    parser.add_argument("--cache", default=str(TOP / "build" / "corpus-cache"))
    parser.add_argument("--only", nargs="+", default=[])
    options = parser.parse_args()
    npxc, cache = os.path.abspath(options.npxc), pathlib.Path(options.cache).resolve()
    failed = 0
    for package, words, tool, name, given in SERVERS:
        if options.only and package.rsplit("@", 1)[0] not in options.only:
            continue
        try:
            wrong = examine(npxc, cache, package, words, tool, name, given)
        except (OSError, RuntimeError, subprocess.CalledProcessError, KeyError) as error:
            wrong = "%s: %s" % (type(error).__name__, error)
        failed += wrong is not None
        print("%-52s %-12s %s" % (package, name, wrong or "the same bare and under npxc; outside refused"), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
