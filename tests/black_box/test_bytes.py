"""No byte of any message is changed: random sessions of both protocol eras, played bare and under npxc.

The client's lines and the server's are made from a seed, which a failure prints; NPXC_TEST_SEED plays one again. The
server gives back what it got, so that both directions are compared.
"""

import base64
import json
import os
import random
import subprocess

import pytest

from conftest import HERE

SCRIPT = HERE / "servers" / "script"
LINES = 300

# Method, and members of its params that hold paths: in a call any argument does.
CLIENT = {
    "2025-11-25": [
        ("initialize", "clientInfo"), ("ping", ""), ("tools/list", "cursor"), ("tools/call", "arguments"), ("prompts/list", ""),
        ("prompts/get", "arguments"), ("resources/list", ""), ("resources/templates/list", ""), ("resources/read", "uri"),
        ("resources/subscribe", "uri"), ("resources/unsubscribe", "uri"), ("completion/complete", "context"),
        ("logging/setLevel", "level"), ("tasks/get", "taskId"), ("tasks/list", ""), ("tasks/result", "taskId"),
        ("tasks/cancel", "taskId"), ("notifications/initialized", ""), ("notifications/cancelled", "requestId"),
        ("notifications/progress", "progressToken"), ("notifications/roots/list_changed", ""),
        ("notifications/tasks/status", "taskId"), ("notifications/elicitation/complete", "elicitationId")],
    "2026-07-28": [
        ("server/discover", ""), ("tools/list", "cursor"), ("tools/call", "arguments"), ("tools/call", "inputResponses"),
        ("prompts/list", ""), ("prompts/get", "arguments"), ("prompts/get", "inputResponses"), ("resources/list", ""),
        ("resources/templates/list", ""), ("resources/read", "uri"), ("resources/read", "inputResponses"),
        ("completion/complete", "context"), ("subscriptions/listen", "notifications"), ("tasks/get", "taskId"),
        ("tasks/update", "inputResponses"), ("tasks/cancel", "taskId"), ("notifications/cancelled", "requestId")],
}
SERVER = ["ping", "roots/list", "sampling/createMessage", "elicitation/create", "tasks/get", "notifications/message",
          "notifications/progress", "notifications/cancelled", "notifications/resources/updated",
          "notifications/resources/list_changed", "notifications/tools/list_changed", "notifications/prompts/list_changed",
          "notifications/subscriptions/acknowledged", "notifications/tasks/status", "notifications/elicitation/complete"]
KEYS = ["path", "file", "uri", "a", "arguments", "content", "text", "roots", "default", "enum", "const", "values", "name", "id",
        "method", "é", "x\\y", "requestState"]


class Maker:
    """Lines of a seed."""

    def __init__(self, seed, era, project):
        self.rng, self.era = random.Random(f"{seed} {era}"), era
        self.paths = [f"{project}/a.txt", f"{project}/sub", f"{project}/sub/b.txt", f"{project}/link", f"{project}/nothing",
                      f"{project}", f"{project}/", f"{project}/.env", f"{project}/../project/a.txt", f"file://{project}/a.txt",
                      f"file://localhost{project}/sub/b.txt", f"file:{project}/a%2etxt", "file:///%zz", "~/project/a.txt", "~/none",
                      "a.txt", "sub/b.txt", "./a.txt", "/etc/passwd", "/", "//x", f"k={project}/a.txt,/x",
                      f"sqlite://{project}/a.txt", f"see {project}/a.txt and ~/project/sub/b.txt.", "docs/new.md", "README.md"]

    def text(self):
        rng = self.rng
        return rng.choice([rng.choice(self.paths), rng.choice(self.paths), "", "text", "é漢😀\u2028", "\u0000\u001f\x7f", "a\\/b",
                           "\ud800", "y" * rng.choice([10, 3000, 70000])])

    def value(self, depth=3):
        rng, kind = self.rng, self.rng.randrange(8 if depth else 5)
        if kind < 3:
            return self.text()
        if kind == 3:
            return rng.choice([0, -1, 12345678901234567890, 1.5, 1e300, True, False, None])
        if kind in (4, 5):
            return [self.value(depth - 1) for _ in range(rng.randrange(4))] if depth else []
        return {rng.choice(KEYS): self.value(depth - 1) for _ in range(rng.randrange(5))}

    def id(self):
        return self.rng.choice([self.rng.randrange(20), 1.5, "x", "é", self.text()])

    def answer(self):
        """An input response, or the result of a server's request."""
        rng = self.rng
        return rng.choice([{"roots": [{"uri": self.text(), "name": "r"} for _ in range(rng.randrange(3))]},
                           {"action": "accept", "content": {rng.choice(KEYS): self.value(1)}},
                           {"role": "assistant", "content": {"type": "text", "text": self.text()}, "model": "m"}, self.value(2)])

    def params(self, member):
        rng = self.rng
        params = {"name": "t", "requestState": "a\\/b", "_meta": {"io.modelcontextprotocol/protocolVersion": self.era}}
        if member == "inputResponses":
            params[member] = {"k": self.answer(), self.text(): self.answer()}
            params["arguments"] = {"path": self.text()}
        elif member == "notifications":
            params[member] = {"resourceSubscriptions": [self.text(), self.value(1)], "toolsListChanged": True}
        elif member == "context":
            params.update(context={"arguments": {"p": self.text()}}, argument={"name": "p", "value": self.text()})
        elif member == "arguments":
            params[member] = {rng.choice(KEYS): self.value() for _ in range(rng.randrange(4))}
        elif member:
            params[member] = self.text() if rng.random() < 0.8 else self.value()
        return params if rng.random() < 0.9 else self.value()

    def client(self):
        method, member = self.rng.choice(CLIENT[self.era])
        message = {"jsonrpc": "2.0", "method": method, "params": self.params(member)}
        if not method.startswith("notifications/"):
            message["id"] = self.id()
        if self.rng.random() < 0.2:
            return {"jsonrpc": "2.0", "id": self.id(), self.rng.choice(["result", "error"]): self.answer()}
        return message

    def server(self):
        rng = self.rng
        schema = {"type": "object", "properties": {rng.choice(KEYS): {"type": "string", "format": "path", "default": self.text()}}}
        result = rng.choice([{"tools": [{"name": "t", "inputSchema": schema}]}, {"contents": [{"uri": self.text(), "text": self.text()}]},
                             {"resources": [{"uri": self.text(), "name": "r"}]}, {"content": [{"type": "text", "text": self.text()}]},
                             {"content": [{"type": "resource_link", "uri": self.text(), "name": "l"}]},
                             {"completion": {"values": [self.text()]}}, {"resultType": "input_required", "requestState": self.text(),
                                                                         "inputRequests": {"k": self.value(2)}}, self.value()])
        return rng.choice([{"jsonrpc": "2.0", "id": self.id(), "result": result}, {"jsonrpc": "2.0", "id": self.id(), "result": result},
                           {"jsonrpc": "2.0", "method": rng.choice(SERVER), "params": self.value()},
                           {"jsonrpc": "2.0", "id": self.id(), "method": rng.choice(SERVER[:5]), "params": self.value()}])

    def written(self, message):
        """One of the ways to write a message down; sometimes twice in a batch, a member twice, or not quite JSON."""
        rng, items = self.rng, list(message.items())
        rng.shuffle(items)
        separators = rng.choice([(",", ":"), (", ", ": "), (" ,\t", " : ")])
        halved = "\\ud800" in json.dumps(message)  # half of a character, which can be written as an escape only
        text = json.dumps(dict(items), ensure_ascii=halved or rng.random() < 0.5, separators=separators)
        kind = rng.randrange(20)
        if kind == 0:
            text = f"[{text}, {text}]"
        elif kind == 1:
            text = text[:-1] + ',"params":{"arguments":{"path":"' + self.paths[0] + '"}}}'
        elif kind == 2:
            text = text[:-1]
        elif kind == 3:
            text = text.replace("/", "\\/")
        elif kind == 4:
            text = text.replace("a.txt", "\\u0061.txt")
        return text.encode() + rng.choice([b"\n", b"\n", b"\r\n"])


@pytest.fixture
def player(world):
    world.configure({})
    # A line that is no message would go to stderr: another promise. All of these begin as messages do.
    world.write_config("packages/npxc-script.json", {"package_dir": str(SCRIPT)})
    (world.project / "sub").mkdir()
    (world.project / "a.txt").write_text("a")
    (world.project / "sub" / "b.txt").write_text("b")
    (world.project / ".env").write_text("SECRET")
    os.symlink("sub/b.txt", world.project / "link")
    return world


@pytest.mark.parametrize("era", sorted(CLIENT))
def test_both_streams_are_the_same_bare_and_under_npxc(player, era):
    seed = os.environ.get("NPXC_TEST_SEED") or str(random.SystemRandom().randrange(1 << 32))
    print(f"NPXC_TEST_SEED={seed}")
    maker = Maker(seed, era, player.project)
    sent = [maker.written(maker.client()) for _ in range(LINES)]
    said = [maker.written(maker.server()) for _ in range(LINES)]
    script = player.home / "said.json"
    script.write_text(json.dumps([base64.b64encode(line).decode() for line in said]))
    bare = subprocess.run([str(SCRIPT / "script.cjs"), str(script)], input=b"".join(sent), capture_output=True, check=True)
    boxed = player.run("--mount", str(script), str(SCRIPT), str(script), stdin=b"".join(sent))
    assert boxed.returncode == 0, boxed.stderr
    lines = bare.stdout.splitlines(keepends=True)
    assert base64.b64decode(json.loads(lines[-1])["params"]["bytes"]) == b"".join(sent)
    different = [(one, other) for one, other in zip(lines, boxed.stdout.splitlines(keepends=True)) if one != other]
    assert not different, different[0]
    assert boxed.stdout == bare.stdout
