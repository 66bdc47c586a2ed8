"""Files that calls name: what the server gets to see of them, and what the client reads of it."""

import json
import os

import pytest

from conftest import wait_until, without_limits



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


def client_of(world, probe, *flags, words=(), **more):
    client = world.client(*flags, probe, *words, **more)
    client.handshake()
    return client


def raw_call(client, name, **arguments):
    return client.request("tools/call", name=name, arguments=arguments)


def stderr_of(client):
    return client.close()[2]


def test_a_named_file_is_read_at_its_own_path(files, probe):
    client = client_of(files, probe)
    a = files.project / "a.txt"
    before = os.stat(a)
    assert client.call("cwd") == {"ok": True, "value": str(files.project)}
    assert client.call("list", path=".")["value"] == []
    for name in (str(a), f"file://{a}", "~/project/a.txt"):
        client.call("read", path=name)
        assert client.call("list", path=".")["value"] == ["a.txt"], name
    assert client.call("read", path=str(a)) == {"ok": True, "value": "content of a"}
    odd = files.project / "sub" / 'odd "näme" \\.txt'
    assert client.call("read", path=str(odd)) == {"ok": True, "value": "odd"}
    # It cannot be written to, and the host's file is another one.
    assert client.call("write", path=str(a), text="x")["code"] in ("EROFS", "EACCES")
    after = os.stat(a)
    assert (before.st_ino, before.st_mtime_ns, after.st_nlink) == (after.st_ino, after.st_mtime_ns, 1)
    # Changed, replaced and removed, and the server sees it, also in a call that does not name it.
    a.write_text("another content")
    assert client.call("read", path=str(a))["value"] == "another content"
    (files.project / "a.new").write_text("a third")
    os.rename(files.project / "a.new", a)
    assert client.call("spawn", command="cat", args=["a.txt"])["value"]["stdout"] == "a third"
    a.unlink()
    assert client.call("read", path=str(a))["code"] == "ENOENT"
    assert client.call("list", path=".")["value"] == ["sub"]
    assert client.close()[0] == 0


def test_what_was_not_named_is_not_there(files, probe):
    client = client_of(files, probe)
    client.call("read", path=str(files.project / "a.txt"))
    found = client.call("spawn", command="find", args=[str(files.project), "-type", "f"])["value"]["stdout"]
    assert found.splitlines() == [str(files.project / "a.txt")]
    seen = client.call("spawn", command="sh", args=["-c", "cat unnamed.txt */unnamed.txt"])
    assert "not named" not in json.dumps(seen)
    client.close()


def test_a_named_directory_is_there_with_what_it_holds_but_secrets(files, probe):
    (files.project / "sub" / ".env").write_text("SECRET")
    (files.project / "sub" / "deep").mkdir()
    (files.project / "sub" / "deep" / "b").write_text("b")
    client = client_of(files, probe)
    listed = client.call("list", path=str(files.project / "sub"))
    assert listed["value"] == ["deep", 'odd "näme" \\.txt']
    assert client.call("read", path=str(files.project / "sub/deep/b"))["value"] == "b"
    assert ".env" in stderr_of(client)


@pytest.mark.parametrize("text", [
    "/etc/shadow", "~/outside/secret", "{home}/outside/secret", "{home}/project2/secret", "{project}/../outside/secret",
    "{project}/link", "{project}/middle/secret", "{project}/sub/../../outside/secret", "{project}/nothing",
])
def test_outside_is_the_servers_own_answer(files, probe, text):
    client = client_of(files, probe)
    path = text.format(home=files.home, project=files.project)
    answer = raw_call(client, "read", path=path)
    assert "SECRET" not in json.dumps(answer)
    assert json.loads(answer["result"]["content"][0]["text"])["code"] in ("ENOENT", "EACCES"), answer
    assert client.call("read", path=str(files.project / "a.txt"))["ok"]
    told = stderr_of(client)
    assert ("--mount" in told) == (not text.endswith("nothing")), told


def test_outside_is_refused_where_that_is_asked(files, probe):
    files.configure({"outside": "refuse"})
    client = client_of(files, probe)
    answer = raw_call(client, "read", path=str(files.home / "outside/secret"))
    assert answer["error"]["code"] == -32602
    assert answer["error"]["data"]["path"] == str(files.home / "outside/secret")
    assert client.call("read", path=str(files.project / "a.txt"))["ok"]
    client.close()


def test_a_write_without_outputs_fails_and_stderr_says_once_what_would_keep_it(files, probe):
    client = client_of(files, probe)
    for name in ("new.txt", str(files.project / "new.txt"), str(files.project / "never" / "new.txt")):
        assert client.call("write", path=name, text="x")["code"] in ("EROFS", "ENOENT")
    assert client.call("spawn", command="mkdir", args=["d"])["value"]["status"] != 0
    told = stderr_of(client)
    assert told.count('"outputs": true') == 1
    assert not (files.project / "new.txt").exists()


def test_a_write_that_fails_beneath_an_argument_is_told_too(files, probe):
    """The argument is the working directory: it is mounted as a whole, and outputs would change nothing."""
    files.configure_probe({"outputs": True})
    client = client_of(files, probe, words=["serve", "."])
    assert client.call("write", path=str(files.project / "new.txt"), text="x")["code"] == "EROFS"
    assert client.call("write", path=str(files.project / "new.txt"), text="x")["code"] == "EROFS"
    told = stderr_of(client)
    assert told.count("--project=rw") == 1
    assert f"outputs have no effect: argument 2 shows the server all of the working directory, read-only; --mount {files.project}:rw" in told


def test_what_the_server_makes_becomes_visible_outside(files, probe):
    files.configure_probe({"outputs": True})
    client = client_of(files, probe)
    target = files.project / "made" / "new.txt"
    assert client.call("spawn", command="mkdir", args=["made"])["value"]["status"] == 0
    assert client.call("write", path=str(target), text="made inside")["ok"]
    assert target.read_text() == "made inside"
    assert client.call("read", path=str(target)) == {"ok": True, "value": "made inside"}
    # What is there already is nobody's to replace, and what this machine would execute is not made.
    client.call("spawn", command="sh", args=["-c", "echo x > unnamed.txt; echo x > .envrc; ln -s /etc/passwd l"])
    assert (files.project / "unnamed.txt").read_text() == "not named"
    assert not (files.project / ".envrc").exists() and not (files.project / "l").is_symlink()
    told = stderr_of(client)
    assert "made by the server: made/new.txt" in told and "not kept: unnamed.txt" in told


def test_output_arguments_narrow_it(files, probe):
    files.configure_probe({"output_arguments": {"write": ["path"]}})
    client = client_of(files, probe)
    written = client.call("write", path="new.txt", text="x")
    assert written["ok"], written
    client.call("spawn", command="sh", args=["-c", "echo x > other.txt"])
    assert (files.project / "new.txt").read_text() == "x"
    assert not (files.project / "other.txt").exists()
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
    assert client.call("read", path=str(files.project / "a.txt"))["code"] == "ENOENT"
    assert client.call("cwd")["value"] == str(files.home)
    assert "--cwd DIR" in stderr_of(client)


def test_home_is_the_hosts_path_and_empty(files, probe):
    client = client_of(files, probe)
    assert client.call("whoami")["value"]["home"] == str(files.home)
    assert client.call("write", path=str(files.home / "x"), text="x")["ok"]
    assert not (files.home / "x").exists()
    assert client.call("read", path=str(files.home / "outside/secret"))["code"] == "ENOENT"
    client.close()


def test_both_spellings_of_a_linked_working_directory(files, probe):
    os.symlink(files.project, files.home / "linked")
    client = client_of(files, probe, cwd=str(files.home / "linked"), env={**os.environ, "PWD": str(files.home / "linked")})
    assert client.call("cwd")["value"] == str(files.project)
    assert client.call("env")["value"]["PWD"] == str(files.home / "linked")
    assert client.call("read", path=str(files.home / "linked/a.txt"))["value"] == "content of a"
    assert client.call("read", path=str(files.project / "a.txt"))["value"] == "content of a"
    client.close()


def test_arguments_name_files_in_every_way(files, probe):
    (files.project / "d").mkdir()
    (files.project / "d/e.txt").write_text("e")
    ways = [f"--x=file://{files.project}/a.txt", f"db=sqlite://{files.project}/unnamed.txt", "sub,d"]
    client = files.client(probe, "serve", *ways)
    client.handshake()
    for name, text in (("a.txt", "content of a"), ("unnamed.txt", "not named"), ("d/e.txt", "e")):
        assert client.call("spawn", command="cat", args=[name])["value"]["stdout"] == text
    # One that is replaced, as editors do it.
    (files.project / "new").write_text("saved")
    os.rename(files.project / "new", files.project / "a.txt")
    assert client.call("spawn", command="cat", args=["a.txt"])["value"]["stdout"] == "saved"
    client.close()


def reads(client, name):
    return client.call("spawn", command="cat", args=[name])["value"]["stdout"]


@pytest.mark.parametrize("way", ["{p}/{f}", "file://{p}/{f}", "file://localhost{p}/{f}", "file:./{f}", "./{f}", "sqlite://{p}/{f}",
                                 "sqlite:///{p}/{f}", "sqlite:///{f}", "sqlite:./{f}?mode=ro", "key={p}/{f}", "x,{p}/{f}",
                                 "key=x,file://{p}/{f}"])
@pytest.mark.parametrize("spelled", ["real", "linked"])
def test_variables_and_arguments_name_files_in_every_way(files, probe, way, spelled):
    """Also where the working directory is reached by a link; and a file that an editor replaces is seen anew."""
    os.symlink(files.project, files.home / "linked")
    place = files.project if spelled == "real" else files.home / "linked"
    for name in ("var", "arg", "opt", "other"):
        (files.project / name).write_text("content of " + name)
    words = {name: way.format(p=place, f=name) for name in ("var", "arg", "opt")}
    client = files.client("-e", f"NAMED={words['var']}", probe, "serve", words["arg"], f"--x={words['opt']}", cwd=str(place),
                          env={"PWD": str(place)})
    client.handshake()
    for name in words:
        assert reads(client, name) == "content of " + name
        (files.project / "new").write_text("saved")
        os.rename(files.project / "new", files.project / name)
        assert reads(client, name) == "saved"
    assert reads(client, "other") == ""
    client.close()


def test_a_file_too_large_to_copy_is_bound_and_that_is_said(files, probe):
    with open(files.project / "large", "wb") as file:
        file.truncate((64 << 20) + 1)
    result = files.run(probe, "args", "large")
    assert result.returncode == 0
    assert f"argument 2 names {files.project}/large, which is larger than 64 MiB" in result.stderr
    whole = files.run("--project", probe, "args", "large")  # a mount of its directory shows what is there now
    assert "larger than" not in whole.stderr


def test_mounted_paths_are_left_alone(files, probe):
    (files.project / "m").mkdir()
    (files.project / "m/x").write_text("in m")
    client = client_of(files, probe, "--mount", str(files.home / "outside"), "--mount", str(files.project / "m"))
    assert client.call("read", path=str(files.home / "outside/secret"))["value"] == "SECRET"
    assert client.call("read", path=str(files.project / "m/x"))["value"] == "in m"
    assert client.call("read", path=str(files.project / "a.txt"))["value"] == "content of a"
    assert client.call("list", path=".")["value"] == ["a.txt", "m"]
    client.close()


def test_a_guest_that_attacks_what_it_was_shown_reaches_nothing(files, probe):
    """Where it may write: links in the place of copies and of their directories."""
    files.configure_probe({"outputs": True})
    victim = files.home / "victim"
    victim.write_text("mine")
    client = client_of(files, probe)
    client.call("read", path=str(files.project / "sub"))
    for attack in ("rm -rf a.txt; ln -s %s a.txt" % victim, "rm -rf sub; ln -s %s sub" % files.home,
                   "rm -rf a.txt; mkfifo a.txt", "rm -rf sub; mkdir -p sub; ln -s / sub/deep"):
        client.call("spawn", command="sh", args=["-c", attack])
        (files.project / "a.txt").write_text("again " + attack)
        client.request("tools/call", name="read", arguments={"path": str(files.project / "a.txt")})
        client.request("tools/call", name="list", arguments={"path": str(files.project / "sub")})
    assert victim.read_text() == "mine"
    assert sorted(os.listdir(files.project / "sub")) == ['odd "näme" \\.txt']
    client.close()


def test_stdout_is_clean(files, probe):
    """What is printed beside messages goes to stderr, with the package in front. A byte order mark is no print."""
    payload = b"hello\n{\"method\":\"a\"}\n  x\n\xef\xbb\xbf[]\nlast"
    result = files.run(probe, "echo", stdin=payload)
    assert result.stdout == b"{\"method\":\"a\"}\n\xef\xbb\xbf[]\n"
    assert [line for line in without_limits(result.stderr).splitlines() if "ready" not in line] == [
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


@pytest.mark.parametrize("place", ["cache", "sub", "sub/deeper", "new/cache", "."])
def test_a_writable_place_beneath_the_working_directory_stays_one(files, probe, place):
    writable = os.path.normpath(files.project / place)
    files.configure_probe({"storage": {"writable": [writable]}})
    client = client_of(files, probe)
    (files.project / "cache").mkdir(exist_ok=True)
    (files.project / "cache" / "host").write_text("host")
    assert client.call("write", path=f"{writable}/mine", text="mine")["ok"]
    for name in ("cache/host", "cache", "sub", "a.txt", "new"):
        client.call("read", path=str(files.project / name))
    assert client.call("read", path=f"{writable}/mine") == {"ok": True, "value": "mine"}
    client.close()
    assert not (files.project / place / "mine").exists()
