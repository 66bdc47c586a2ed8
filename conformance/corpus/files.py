#!/usr/bin/env python3
"""Real servers with files: the same session bare and under npxc, and one call for a file outside.

usage: files.py [--npxc FILE] [--cache DIR] [--runtime bwrap,podman] [--ci | --only NAME...] [--list]

A play is a server and what a client does with it, in a copy of project/ of which README.md is new. It is played bare
(the installed package's own command, with no sandbox) and under npxc on each runtime, in the same directory, made anew
each time. It passes when

  * all answers are the same, byte for byte but for ids and random names and times, and so is what the stub of a forge was asked;
  * the files of the project are the same afterwards (with "outputs": what the server made);
  * a file that is really there outside of the working directory gives what the server says bare of one that is not there
    (that it would read it bare is checked too);
  * npxc ends with 0.

Python 3.9, nothing but its standard library.
"""

import argparse
import base64
import dataclasses
import http.server
import json
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
PATIENCE = 120  # seconds: tells stuck from slow, nothing else


class Wrong(Exception):
    """Why a play does not pass, in one line."""


# ---- a client ----

class Session:
    """A client; what it is answered is kept in `answers`."""

    def __init__(self, command, cwd, env, log, roots=()):
        self.process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.buffered, self.id, self.answers, self.roots = b"", 0, [], list(roots)
        capabilities = {"roots": {"listChanged": True}} if roots else {}
        self.request("initialize", {"protocolVersion": "2025-06-18", "capabilities": capabilities,
                                    "clientInfo": {"name": "corpus", "version": "0"}})
        self.send({"method": "notifications/initialized"})
        self.request("tools/list", {})

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def request(self, method, params):
        self.id += 1
        self.send({"id": self.id, "method": method, "params": params})
        end = time.monotonic() + PATIENCE
        while True:
            try:
                message = json.loads(self.line(end))
            except ValueError:
                continue  # what is printed bare beside messages
            if message.get("method") == "roots/list":
                self.send({"id": message["id"], "result": {"roots": [{"uri": pathlib.Path(root).as_uri()} for root in self.roots]}})
            elif "method" not in message and message.get("id") == self.id:
                return {key: value for key, value in message.items() if key not in ("id", "jsonrpc")}

    def line(self, end):
        while b"\n" not in self.buffered:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            got = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not got:
                raise Wrong("no answer" if not ready else "stdout closed before the answer")
            self.buffered += got
        line, self.buffered = self.buffered.split(b"\n", 1)
        return line

    def ask(self, tool, **arguments):
        """The answer to a call; not kept."""
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def call(self, tool, **arguments):
        """The answer, which has to be a result, is kept."""
        answer = self.ask(tool, **arguments)
        if "result" not in answer or answer["result"].get("isError"):
            raise Wrong("%s(%s): %s" % (tool, json.dumps(arguments)[:200], json.dumps(answer)[:300]))
        self.answers.append(answer)
        return answer["result"]

    def fails(self, tool, **arguments):
        """The answer, which has to be an error, is kept."""
        answer = self.ask(tool, **arguments)
        if "result" in answer and not answer["result"].get("isError"):
            raise Wrong("%s(%s) succeeds: %s" % (tool, json.dumps(arguments)[:200], json.dumps(answer)[:300]))
        self.answers.append(answer)

    def until(self, right, tool, **arguments):
        """Calls again until the result is right; that one is given back."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            answer = self.ask(tool, **arguments)
            if right(answer.get("result", {})):
                return answer["result"]
        raise Wrong("%s never became right: %s" % (tool, json.dumps(answer)[:300]))

    def close(self):
        self.process.stdin.close()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait()
            raise Wrong("it does not end")
        finally:
            self.process.stdout.close()


# ---- a forge ----

class Forge(http.server.BaseHTTPRequestHandler):
    """As much of a GitLab as reading and writing one file takes: it has a README.md and nothing else."""

    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        name = urllib.parse.urlsplit(self.path).path.rpartition("/repository/files/")[2]
        if "/repository/files/" not in self.path:
            return self.answer(200, {"id": 7, "default_branch": "main", "path_with_namespace": "g/app", "name": "app"})
        name = urllib.parse.unquote(name)
        self.server.asked.append([self.command, name, json.loads(body or "null")])
        if self.command != "GET":
            return self.answer(201, {"file_path": name, "branch": "main"})
        if name != "README.md":
            return self.answer(404, {"message": "404 File Not Found"})
        text = base64.b64encode(b"the forge's\n").decode()
        return self.answer(200, {"file_name": name, "file_path": name, "size": 12, "encoding": "base64", "content": text,
                                 "content_sha256": "0" * 64, "ref": "main", "blob_id": "1" * 40, "commit_id": "2" * 40,
                                 "last_commit_id": "3" * 40})

    do_GET = do_POST = do_PUT = any

    def log_message(self, *_):
        pass


class Stub:
    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forge)
        self.server.daemon_threads, self.server.asked = True, []
        self.port, self.asked = self.server.server_address[1], self.server.asked
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


# ---- what is played ----

@dataclasses.dataclass
class Play:
    name: str
    package: str
    steps: object  # (session, project)
    words: tuple = ()
    config: dict = dataclasses.field(default_factory=dict)  # of the package
    env: dict = dataclasses.field(default_factory=dict)
    roots: tuple = ()
    outside: tuple = ()  # tool, arguments, name of the file
    ci: bool = False
    forge: bool = False


FILESYSTEM = "@modelcontextprotocol/server-filesystem@2026.8.31"
PDF = "@modelcontextprotocol/server-pdf@2.0.4"


def reads(tool, name, argument):
    """A play of one call, with the path as clients write it."""
    return lambda session, project: session.call(tool, **{argument: str(project / name)})


def filesystem(session, project):
    session.call("read_text_file", path=str(project / "sample.md"))
    session.call("read_media_file", path=str(project / "sample.png"))
    session.call("read_multiple_files", paths=[str(project / "sample.txt"), str(project / "vault/note.md"), str(project / "none")])
    session.call("list_directory_with_sizes", path=str(project / "vault"))
    session.call("directory_tree", path=str(project / "vault"))
    session.call("search_files", path=str(project / "vault"), pattern="*.md")
    session.fails("read_text_file", path=str(project / "none.txt"))
    session.fails("read_text_file", path=str(project / ".." / "outside" / "sample.md"))
    # saved by an editor, changed in place, gone
    (project / "sample.new").write_text("saved\n")
    os.rename(project / "sample.new", project / "sample.md")
    session.call("read_text_file", path=str(project / "sample.md"))
    with open(project / "sample.md", "a") as file:
        file.write("and more\n")
    session.call("read_text_file", path=str(project / "sample.md"))
    (project / "sample.md").unlink()
    session.fails("read_text_file", path=str(project / "sample.md"))


def filesystem_of_roots(session, project):
    def knows(result):
        return str(project) in json.dumps(result)
    session.until(knows, "list_allowed_directories")
    session.call("list_allowed_directories")
    filesystem(session, project)


def filesystem_of_files(session, project):
    """A root that is a part of the project; its own files and none beside it."""
    session.until(lambda result: "vault" in json.dumps(result), "list_allowed_directories")
    session.call("list_directory", path=str(project / "vault"))
    session.call("read_text_file", path=str(project / "vault/note.md"))
    session.fails("read_text_file", path=str(project / "sample.txt"))


def report(session, project):
    session.until(lambda result: str(project) in json.dumps(result), "list_allowed_directories")
    session.call("read_text_file", path=str(project / "sample.txt"))
    session.call("create_directory", path=str(project / "reports/2026"))
    session.call("write_file", path=str(project / "reports/2026/sum.md"), content="# Sum\n\n12\n")
    if (project / "reports/2026/sum.md").read_text() != "# Sum\n\n12\n":
        raise Wrong("the report is not in its place after the answer")
    session.call("edit_file", path=str(project / "reports/2026/sum.md"), edits=[{"oldText": "12", "newText": "13"}])
    session.call("read_text_file", path=str(project / "reports/2026/sum.md"))


def report_as_pdf(session, project):
    result = session.call("pdf-document", filename="report.pdf", title="Sum", content=[{"type": "text", "text": "12"}])
    made = list((project / "reports").glob("*.pdf"))
    if len(made) != 1 or not made[0].read_bytes().startswith(b"%PDF"):
        raise Wrong("no report in its place after the answer: %s %s" % (made, json.dumps(result)[:300]))
    made[0].rename(project / "reports" / "report.pdf")
    (project / "reports" / "report.pdf").write_bytes(b"%PDF")  # what it holds has the time in it


def excel(session, project):
    session.call("excel_describe_sheets", fileAbsolutePath=str(project / "sample.xlsx"))
    sheet = json.loads(session.answers[-1]["result"]["content"][0]["text"])["sheets"][0]["name"]
    session.call("excel_read_sheet", fileAbsolutePath=str(project / "sample.xlsx"), sheetName=sheet)


def pdf(session, project):
    session.until(lambda result: str(project) in json.dumps(result), "list_pdfs")
    url = (project / "sample.pdf").as_uri()
    session.call("read_pdf_bytes", url=url, offset=0, byteCount=4096)
    session.call("read_pdf_bytes", url=str(project / "sample.pdf"), offset=8, byteCount=16)
    session.fails("read_pdf_bytes", url=str(project / "none.pdf"))


def pdf_that_is_watched(session, project):
    """The viewer is told that the file was saved."""
    # not kept: it tells whether the file can be written, which under npxc it cannot
    view = session.ask("display_pdf", url=str(project / "sample.pdf"))["result"]["structuredContent"]["viewUUID"]
    (project / "sample.new").write_bytes((project / "sample.pdf").read_bytes() + b"% saved\n")
    os.rename(project / "sample.new", project / "sample.pdf")
    found = session.until(lambda result: result["structuredContent"]["commands"], "poll_pdf_commands", viewUUID=view)
    session.answers.append(sorted({command["type"] for command in found["structuredContent"]["commands"]}))
    session.call("read_pdf_bytes", url=str(project / "sample.pdf"), offset=0, byteCount=4096)


def sqlite(session, project):
    session.call("execute_sql", sql="SELECT name, sql FROM sqlite_master ORDER BY name")
    session.call("search_objects", object_type="table", detail_level="full")


def forge(session, project):
    def write(name):
        session.call("create_or_update_file", project_id="g/app", file_path=name, content="x", commit_message="m", branch="main")
    session.call("get_file_contents", project_id="g/app", file_path="README.md", ref="main")
    write("README.md")  # which is here too
    write("docs/new.md")  # which is nowhere
    session.fails("get_file_contents", project_id="g/app", file_path="sample.txt", ref="main")  # which is only here


PLAYS = [
    Play("filesystem", FILESYSTEM, filesystem, words=("<cwd>",), ci=True,
         outside=("read_text_file", {"path": "<file>"}, "sample.md")),
    Play("filesystem-roots", FILESYSTEM, filesystem_of_roots, roots=("<cwd>",), ci=True),
    Play("filesystem-root-below", FILESYSTEM, filesystem_of_files, roots=("<cwd>/vault",), ci=True),
    Play("filesystem-report", FILESYSTEM, report, roots=("<cwd>",), config={"outputs": True}, ci=True),
    Play("gitlab", "@zereight/mcp-gitlab@2.1.64", forge, forge=True, ci=True,
         env={"GITLAB_PERSONAL_ACCESS_TOKEN": "glpat-dummy", "GITLAB_API_URL": "<forge>/api/v4"}),
    Play("image", "mcp-image-extractor@1.1.0", reads("extract_image_from_file", "sample.png", "file_path"), ci=True,
         outside=("extract_image_from_file", {"file_path": "<file>"}, "sample.png")),
    Play("pdf", PDF, pdf, words=("--stdio", "--use-client-roots"), roots=("<cwd>",)),
    Play("pdf-argument", PDF, reads("read_pdf_bytes", "sample.pdf", "url"), words=("--stdio", "<cwd>/sample.pdf")),
    Play("pdf-watched", PDF, pdf_that_is_watched, words=("--stdio", "--enable-interact", "<cwd>/sample.pdf")),
    Play("pdf-reader", "@sylphx/pdf-reader-mcp@2.4.0",
         lambda session, project: session.call("read_pdf", sources=[{"path": str(project / "sample.pdf")}], include_full_text=True),
         outside=("read_pdf", {"sources": [{"path": "<file>"}], "include_full_text": True}, "sample.pdf")),
    Play("pdf-report", "@mcp-z/mcp-pdf@3.2.2", report_as_pdf, words=("--resource-store-uri=file://<cwd>/reports",),
         config={"outputs": True}),
    Play("excel", "@negokaz/excel-mcp-server@0.12.0", excel,
         outside=("excel_describe_sheets", {"fileAbsolutePath": "<file>"}, "sample.xlsx")),
    Play("markdown", "mcp-markdownify-server@1.1.0", reads("get-markdown-file", "sample.md", "filepath"),
         outside=("get-markdown-file", {"filepath": "<file>"}, "sample.md")),
    Play("fast-filesystem", "fast-filesystem-mcp@3.5.2", reads("fast_read_file", "sample.txt", "path"), words=("--allow", "<cwd>")),
    Play("sqlite", "@bytebase/dbhub@1.4.0", sqlite, words=("--dsn", "sqlite://<cwd>/test.db")),
]


# ---- a run of one ----

# Names that a server makes up, and the time.
RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def fill(value, known):
    if isinstance(value, str):
        for name, text in known.items():
            value = value.replace(name, text)
        return value
    if isinstance(value, (list, tuple)):
        return [fill(item, known) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, known) for key, item in value.items()}
    return value


def tree(project):
    return {str(path.relative_to(project)): path.read_bytes() for path in sorted(project.rglob("*")) if path.is_file()}


class Place:
    """A home with a configuration, a project and something outside; the project is made anew for each run."""

    def __init__(self, home, options):
        self.home, self.options = pathlib.Path(os.path.realpath(home)), options
        self.home.chmod(0o755)  # a session that root starts runs as another user
        self.project, self.outside = self.home / "project", self.home / "outside"
        keep = ("PATH", "LANG", "TERM", "NODE_EXTRA_CA_CERTS")
        self.env = {name: os.environ[name] for name in keep if name in os.environ}
        self.env.update({name: value for name, value in os.environ.items() if name.lower().startswith("npm_config_")})
        self.env.update(HOME=str(self.home), XDG_CACHE_HOME=str(options.cache))
        userconfig = pathlib.Path.home() / ".npmrc"
        if userconfig.exists():
            self.env.setdefault("npm_config_userconfig", str(userconfig))

    def configure(self, play, runtime, port):
        directory = self.home / ".config/npxc/packages"
        directory.mkdir(parents=True, exist_ok=True)
        (directory.parent / "npxc.json").write_text(json.dumps({"defaults": {"runtime": runtime}}))
        config = dict(play.config)
        if play.forge:
            config["network"] = {"mode": "allowlist", "allow": ["host.npxc.internal:%d" % port]}
        name = play.package.rpartition("@")[0].replace("/", "+")
        (directory / (name + ".json")).write_text(json.dumps(config))

    def renew(self):
        for directory in (self.project, self.outside):
            shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(HERE / "project", self.project)
        (self.project / "README.md").write_text("the one that is here\n")

    def npxc(self, *words):
        done = subprocess.run([str(self.options.npxc), *words], env=self.env, cwd=self.project, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Wrong("npxc %s exited %d: %s" % (words[0], done.returncode, (done.stderr.strip().splitlines() or [""])[-1]))
        return done.stdout

    def bare(self, package):
        """The installed package's own command, on the Node that it gets under npxc."""
        plan = json.loads(self.npxc("inspect", "--json", package))
        command = pathlib.Path(plan["package"]["directory"]) / "node_modules/.bin" / plan["package"]["bin"]
        return [str(command)], str(pathlib.Path(plan["node"]["program"]).parent)


def session_of(place, play, runtime, port, log):
    known = {"<cwd>": str(place.project), "<forge>": "http://%s:%d" % ("127.0.0.1" if runtime is None else "host.npxc.internal", port)}
    words, env = fill(play.words, known), fill(play.env, known)
    if runtime is None:
        command, node = place.bare(play.package)
        env = {**place.env, **env, "PATH": node + os.pathsep + place.env["PATH"]}
        return Session([*command, *words], place.project, env, log, fill(play.roots, known))
    flags = [flag for name, value in env.items() for flag in ("-e", "%s=%s" % (name, value))]
    return Session([str(place.options.npxc), *flags, play.package, *words], place.project, place.env, log, fill(play.roots, known))


def look_outside(place, play, session, runtime):
    """What the server says of a file beside the project that is not there (bare), or that it cannot see."""
    tool, arguments, name = play.outside
    arguments = fill(arguments, {"<file>": str(place.outside / name)})

    def put():
        place.outside.mkdir()
        shutil.copy(HERE / "project" / name, place.outside / name)
    if runtime is not None:
        put()
        return session.ask(tool, **arguments)
    answer = session.ask(tool, **arguments)
    put()
    if session.ask(tool, **arguments) == answer and str(place.project) not in json.dumps(play.words).replace("<cwd>", str(place.project)):
        raise Wrong("bare it does not read the file outside either: nothing is shown")
    return answer


def run(place, play, runtime):
    """Everything that came of it, to be compared."""
    place.renew()
    with Stub() as stub, open(place.home / "stderr", "wb") as log:
        place.configure(play, runtime or "auto", stub.port)
        session = session_of(place, play, runtime, stub.port, log)
        try:
            play.steps(session, place.project)
            after = tree(place.project)
            if play.outside:
                session.answers.append(look_outside(place, play, session, runtime))
            status = session.close()
        except Exception:
            session.process.terminate()
            session.process.wait()
            raise
    if runtime is not None and status != 0:
        raise Wrong("npxc ended with %d" % status)
    text = RANDOM.sub("<random>", json.dumps(session.answers, sort_keys=True))
    return {"answers": json.loads(text), "files": after, "forge": stub.asked}


def difference(bare, boxed):
    for index, (one, other) in enumerate(zip(bare["answers"], boxed["answers"])):
        if one != other:
            return "answer %d: bare %s, under npxc %s" % (index + 1, json.dumps(one)[:400], json.dumps(other)[:400])
    for what in ("answers", "forge", "files"):
        if bare[what] != boxed[what]:
            return "%s differ: bare %.400s, under npxc %.400s" % (what, bare[what], boxed[what])
    return None


def examine(options, play, runtimes):
    """(runtime, None or what is wrong) of each."""
    with tempfile.TemporaryDirectory(prefix="corpus-files-") as home:
        place = Place(home, options)
        place.renew()
        try:
            place.configure(play, "auto", 9)
            place.npxc("install", play.package)
            bare = run(place, play, None)
        except (Wrong, OSError, KeyError) as error:
            yield "bare", "%s: %s" % (type(error).__name__, error)
            return
        for runtime in runtimes:
            try:
                place.configure(play, runtime, 9)
                place.npxc("install", play.package)
                yield runtime, difference(bare, run(place, play, runtime))
            except (Wrong, OSError, KeyError) as error:
                said = [line for line in (place.home / "stderr").read_text(errors="replace").splitlines() if line.startswith("npxc:")]
                yield runtime, "%s: %s (%s)" % (type(error).__name__, error, " | ".join(said[-2:]))


def main(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npxc", type=pathlib.Path, default=TOP / "build" / "npxc")
    parser.add_argument("--cache", type=pathlib.Path, default=TOP / "build" / f"corpus-cache-{os.getuid()}",
                        help="XDG_CACHE_HOME of all runs, kept [build/corpus-cache-UID]")
    parser.add_argument("--runtime", default="bwrap", help="one or more, with commas [bwrap]")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="these plays")
    parser.add_argument("--ci", action="store_true", help="those of every push")
    parser.add_argument("--list", action="store_true", help="print the plays and their packages; run nothing")
    options = parser.parse_args(words)
    options.npxc, options.cache = options.npxc.resolve(), options.cache.resolve()
    unknown = set(options.only) - {play.name for play in PLAYS}
    if unknown:
        sys.exit("files.py: no such play: %s; see --list" % ", ".join(sorted(unknown)))
    options.cache.mkdir(parents=True, exist_ok=True)
    failed = 0
    for play in PLAYS:
        if (options.ci and not play.ci) or (options.only and play.name not in options.only):
            continue
        if options.list:
            print("%-22s %s" % (play.name, play.package))
            continue
        for runtime, wrong in examine(options, play, options.runtime.split(",")):
            failed += wrong is not None
            print("%-22s %-8s %s" % (play.name, runtime, wrong or "the same bare and under npxc"), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
