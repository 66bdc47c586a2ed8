"""What clients say of a server behind npxc when they are asked for their list, and of one that never answers: were that
not told apart, the first would mean nothing.
"""

import json
import re
import subprocess

from conftest import BLACK_BOX, PATIENCE, native

TOOLS = BLACK_BOX.parent.parent / "conformance/corpus/tools/modelcontextprotocol__server-everything.json"


def lines_of(done):
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout + done.stderr)
    return [line.strip() for line in text.splitlines()]


def the_line(done, name):
    found = [line for line in lines_of(done) if re.search(rf"(^|\W){name}\b", line) and re.match(r"\W*(\w\W+)?" + name, line)]
    assert len(found) == 1, (done.stdout, done.stderr)
    return found[0]


def test_claude_code(programs, home):
    claude = native(programs, "@anthropic-ai/claude-code-*/claude")
    home.write(".claude.json", {"mcpServers": home.entries})
    done = home.run(claude, "mcp", "list", MCP_TIMEOUT="20000")
    assert the_line(done, "answers").endswith("✔ Connected")
    assert "Failed to connect" in the_line(done, "silent")


def test_gemini_cli(programs, home):
    home.write(".gemini/settings.json", {"mcpServers": home.entries})
    home.write(".gemini/trustedFolders.json", {str(home.world.project): "TRUST_FOLDER"})
    done = home.run(programs / ".bin/gemini", "mcp", "list")
    assert re.match(r"✓ answers: .* - Connected$", the_line(done, "answers"))
    assert re.match(r"✗ silent: .* - Disconnected", the_line(done, "silent"))


def test_qwen_code(programs, home):
    home.write(".qwen/settings.json", {"mcpServers": home.entries})
    done = home.run(programs / ".bin/qwen", "mcp", "list")
    assert re.match(r"✓ answers: .* - Connected$", the_line(done, "answers"))
    assert re.match(r"✗ silent: .* - Disconnected", the_line(done, "silent"))


def test_opencode(programs, home):
    opencode = native(programs, "opencode-*/bin/opencode")
    home.write(".config/opencode/opencode.json", {"mcp": {
        name: {"type": "local", "command": [entry["command"], *entry["args"]], "timeout": 20000}
        for name, entry in home.entries.items()}})
    done = home.run(opencode, "mcp", "list")
    assert the_line(done, "✓ answers").endswith("connected")
    assert the_line(done, "✗ silent").endswith("failed")


def test_mcporter(programs, home):
    file = home.write("mcporter.json", {"mcpServers": home.entries})
    mcporter = [programs / ".bin/mcporter", "--config", file]
    listed = {server["name"]: server for server in json.loads(home.run(*mcporter, "list", "--json").stdout)["servers"]}
    assert listed["answers"]["status"] == "ok", listed
    assert listed["silent"]["status"] == "offline", listed
    recorded = {tool["name"] for tool in json.loads(TOOLS.read_text())["tools"]}
    assert {tool["name"] for tool in listed["answers"]["tools"]} == recorded
    called = home.run(*mcporter, "call", "answers.echo", "message=by mcporter")
    assert (called.returncode, called.stdout.strip()) == (0, "Echo: by mcporter"), called.stderr


def test_what_codex_reads_of_an_entry_runs(programs, home, clients, node):
    """Its list starts nothing: what it has read is run as it would be, by an SDK."""
    def table(name, entry):
        return f"[mcp_servers.{name}]\ncommand = {json.dumps(entry['command'])}\nargs = {json.dumps(entry['args'])}\n"
    home.write(".codex/config.toml", "".join(table(name, entry) for name, entry in home.entries.items()))
    done = home.run(programs / ".bin/codex", "mcp", "list", "--json")
    assert done.returncode == 0, done.stderr
    read = {entry["name"]: entry["transport"] for entry in json.loads(done.stdout)}
    assert set(read) == {"answers", "silent"}
    assert {name: [entry["type"], entry["command"], *entry["args"]] for name, entry in read.items()} == {
        name: ["stdio", entry["command"], *entry["args"]] for name, entry in home.entries.items()}
    wanted = dict(sdk="v1", command=read["answers"]["command"], args=read["answers"]["args"], cwd=str(home.world.project),
                  env=home.world.env, calls=[{"name": "echo", "arguments": {"message": "as codex would"}}])
    seen = subprocess.run([node, str(BLACK_BOX / "clients/drive.mjs"), json.dumps(wanted)], cwd=clients, env=home.world.env,
                          capture_output=True, text=True, timeout=PATIENCE, check=True)
    answer = json.loads(seen.stdout)
    assert answer["results"][0]["content"][0]["text"] == "Echo: as codex would", seen.stdout
