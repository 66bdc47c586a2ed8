"""Files that calls name: what the server gets to see of them, and what the client reads of it."""

import json
import os
import random

import pytest

from conftest import wait_until



@pytest.fixture
def files(world):
    """A project with something in it, something beside it, and the ordinary strategies."""
    world.configure({})
    (world.project / "sub").mkdir()
    (world.project / "a.txt").write_text("content of a")
    (world.project / "unnamed.txt").write_text("not named")
    (world.project / "sub" / 'odd "näme" \\.txt').write_text("odd")
    outside = world.home / "outside"
    outside.mkdir()
    (outside / "secret").write_text("SECRET")
    (world.home / "project2").mkdir()
    (world.home / "project2" / "secret").write_text("SECRET")
    os.symlink(outside / "secret", world.project / "link")
    os.symlink("../outside", world.project / "middle")
    return world


def client_of(world, probe, *flags):
    client = world.client(*flags, probe)
    client.handshake()
    return client


def raw_call(client, name, **arguments):
    return client.request("tools/call", name=name, arguments=arguments)


def test_a_named_file_is_read(files, probe):
    client = client_of(files, probe)
    before = os.stat(files.project / "a.txt")
    assert client.call("read", path=str(files.project / "a.txt")) == {"ok": True, "value": "content of a"}
    assert client.call("read", path=f"file://{files.project}/a.txt")["code"] == "ENOENT"  # readFileSync takes no URI
    assert client.call("read", path=str(files.project / "sub" / 'odd "näme" \\.txt')) == {"ok": True, "value": "odd"}
    # It cannot be written to, and the host's file is another one.
    assert client.call("write", path=str(files.project / "a.txt"), text="x")["code"] == "EROFS"
    after = os.stat(files.project / "a.txt")
    assert (before.st_ino, before.st_mtime_ns, after.st_nlink) == (after.st_ino, after.st_mtime_ns, 1)
    # Changed, and the server sees the change.
    (files.project / "a.txt").write_text("another content")
    assert client.call("read", path=str(files.project / "a.txt"))["value"] == "another content"
    assert client.close()[0] == 0


def test_what_was_not_named_is_not_there(files, probe):
    client = client_of(files, probe)
    client.call("read", path=str(files.project / "a.txt"))
    found = client.call("spawn", command="find", args=["/workspace", "-type", "f"])["value"]["stdout"]
    assert found.splitlines() == [str(files.project / "a.txt")]  # which is how the client reads the path inside
    seen = client.call("spawn", command="sh", args=["-c", "cat /workspace/*/unnamed.txt; cat unnamed.txt"])
    assert "not named" not in json.dumps(seen)
    client.close()


def test_errors_speak_of_the_host(files, probe):
    client = client_of(files, probe)
    directory = client.call("read", path=str(files.project / "sub"))
    assert directory["code"] == "EISDIR"
    listed = client.call("list", path=str(files.project / "sub"))
    assert listed["value"] == ['odd "näme" \\.txt']
    missing = raw_call(client, "read", path=str(files.project / "nothing.txt"))
    assert missing["error"]["code"] == -32602
    assert missing["error"]["data"]["cwd"] == str(files.project)
    assert "non_path_arguments" in missing["error"]["data"]["hint"]
    client.close()


@pytest.mark.parametrize("text", [
    "/etc/passwd", "~/outside/secret", "{home}/outside/secret", "{home}/project2/secret", "{project}/../outside/secret",
    "{project}/link", "{project}/middle/secret", "{project}/sub/../../outside/secret", "file://{home}/outside/secret",
    "file://{project}/%2e%2e/outside/secret", "file://{project}/..%2foutside%2fsecret", "file://elsewhere{project}/a.txt",
])
def test_outside_is_refused(files, probe, text):
    client = client_of(files, probe)
    path = text.format(home=files.home, project=files.project)
    answer = raw_call(client, "read", path=path)
    assert answer["error"]["code"] == -32602, answer
    assert answer["error"]["data"]["path"] == path
    assert "SECRET" not in json.dumps(answer)
    # The session goes on.
    assert client.call("read", path=str(files.project / "a.txt"))["ok"]
    assert client.close()[0] == 0


def test_outputs(files, probe):
    files.configure_probe({"outputs": True})
    client = client_of(files, probe)
    target = files.project / "sub" / "new.txt"
    assert client.call("write", path=str(target), text="made inside")["ok"]
    assert target.read_text() == "made inside"
    assert client.call("read", path=str(target)) == {"ok": True, "value": "made inside"}
    assert client.call("write", path=str(target), text="again")["code"] == "EROFS"
    assert client.call("read", path=str(files.project / "never"))["code"] == "ENOENT"
    assert not (files.project / "never").exists()
    assert sorted(os.listdir(files.project / "sub")) == ["new.txt", 'odd "näme" \\.txt']
    client.close()


def test_the_workspace_goes(files, probe):
    sessions = files.home / ".local/state/npxc/sessions"
    client = client_of(files, probe)
    client.call("read", path=str(files.project / "a.txt"))
    workspace, = [entry for entry in sessions.iterdir() if entry.is_dir()]  # its lease beside it
    assert oct(workspace.stat().st_mode & 0o777) == "0o700"
    client.close()
    assert list(sessions.iterdir()) == []
    client = client_of(files, probe)
    client.call("read", path=str(files.project / "a.txt"))
    client.process.kill()
    client.process.wait()
    assert wait_until(lambda: list(sessions.iterdir()) == [])


def test_a_working_directory_that_is_too_wide(files, probe):
    client = client_of(files, probe, "--cwd", str(files.home))
    answer = raw_call(client, "read", path=str(files.project / "a.txt"))
    assert answer["error"]["code"] == -32602
    assert "--cwd DIR" in answer["error"]["data"]["hint"]
    client.close()


def test_mounted_paths_are_left_alone(files, probe):
    client = client_of(files, probe, "--mount", str(files.home / "outside"))
    assert client.call("read", path=str(files.home / "outside/secret"))["value"] == "SECRET"
    client.close()



def test_stdout_is_clean(files, probe):
    """What is printed beside messages goes to stderr, with the package in front."""
    payload = b"hello\n{\"method\":\"a\"}\n  x\n[]\nlast"
    result = files.run(probe, "echo", stdin=payload)
    assert result.stdout == b"{\"method\":\"a\"}\n[]\n"
    assert [line for line in result.stderr.splitlines() if "ready" not in line] == [
        f"{probe}: hello", f"{probe}:   x", f"{probe}: last"]
    files.configure_probe({"stdout_guard": False})
    assert files.run(probe, "echo", stdin=payload).stdout == payload


def test_a_call_that_is_too_long_is_answered(files, probe):
    """It may name files anywhere, and is too long to be kept; what comes after it is relayed as before."""
    call = b'{"jsonrpc":"2.0","id":"7\\u0041","method":"tools/call","params":{"name":"t","arguments":{"text":"%s"}}}\n'
    after = b'{"jsonrpc":"2.0","id":8,"method":"ping"}\n'
    result = files.run(probe, "echo", stdin=call % (b"x" * (65 << 20)) + after)
    lines = result.stdout.splitlines(keepends=True)
    assert len(lines) == 2 and after in lines
    answer = lines[1 - lines.index(after)]
    assert answer.startswith(b'{"jsonrpc":"2.0","id":"7\\u0041","error":{"code":-32603,')
    assert json.loads(answer)["error"]["data"]["source"] == "npxc"
    assert "67108864" in json.loads(answer)["error"]["message"]


def random_value(rng, depth):
    kind = rng.randrange(8 if depth else 5)
    if kind == 0:
        return rng.choice(["", "text", "é漢😀", "\\u002f", "a/b", "workspace", "x\\/y"])
    if kind == 1:
        return rng.choice([0, -1, 12345678901234567890, 1.5])
    if kind in (2, 3):
        return rng.choice([True, False, None])
    if kind == 4:
        return "y" * rng.choice([10, 3000, 200000])
    if kind == 5:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice("abcpm") * rng.randrange(1, 3): random_value(rng, depth - 1) for _ in range(rng.randrange(4))}


def random_line(rng):
    method = rng.choice(["tools/call", "resources/read", "ping", "prompts/get", "notifications/cancelled", "tools/list"])
    message = {"jsonrpc": "2.0", "method": method, "id": rng.randrange(1000),
               "params": {"name": "t", "arguments": {"q": random_value(rng, 3)}, "requestState": "a\\/b"}}
    if rng.random() < 0.3:
        message = {"jsonrpc": "2.0", "id": 4, "result": random_value(rng, 3)}
    items = list(message.items())
    rng.shuffle(items)
    if rng.random() < 0.15:
        text = json.dumps([dict(items), dict(items)], ensure_ascii=rng.random() < 0.5)
    else:
        text = json.dumps(dict(items), ensure_ascii=rng.random() < 0.5, indent=None,
                          separators=rng.choice([(",", ":"), (", ", " : ")]))
    if rng.random() < 0.05:
        text = text[:-1]  # not JSON, and nobody's business
    return text.encode() + rng.choice([b"\n", b"\r\n"])


@pytest.mark.parametrize("seed", range(3))
def test_without_paths_every_byte_is_the_same(files, probe, seed):
    rng = random.Random(seed)
    payload = b"".join(random_line(rng) for _ in range(300))
    result = files.run(probe, "echo", stdin=payload)
    assert result.returncode == 0
    assert result.stdout == payload
