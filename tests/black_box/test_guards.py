"""What the host would execute in a tree that a server may write to: kept as it is, or told when the session is over."""

import json
import os
import resource
import shutil
import signal
import subprocess

import pytest

from conftest import RUNTIME, wait_until

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="told of bubblewrap; others in tests/live")

SCRIPT = r"""
const fs = require('fs')
const acts = {
  append: p => fs.appendFileSync(p, 'x'),
  unlink: p => fs.unlinkSync(p),
  replace: p => { fs.writeFileSync('new', 'x'); fs.renameSync('new', p) },
  move: (p, q) => fs.renameSync(p, q),
  inside: p => fs.writeFileSync(p + '/new', 'x'),
  make: p => fs.mkdirSync(p, { recursive: true }),
  touch: p => fs.writeFileSync(p, 'x'),
  remove: p => fs.rmSync(p, { recursive: true }),
  link: (p, q) => fs.linkSync(p, q),
  swap: (p, q) => { fs.renameSync(p, 'aside'); fs.cpSync('aside', p, { recursive: true }) },
}
const said = []
for (const [act, ...words] of JSON.parse(process.argv[1])) {
  try { acts[act](...words); said.push('ok') } catch (e) { said.push(e.code) }
}
console.log(JSON.stringify(said))
"""


@pytest.fixture
def tree(world, probe):
    """A project with what tools of the host execute, and `act(flags, [act, path...]...)`."""
    world.configure_probe({"stdout_guard": False})
    for name in (".git/config", ".vscode/tasks.json", ".envrc", "node_modules/.bin/tool", "sub/mod/.git/config",
                 "work/.git", "sub/data", "other/data"):
        path = world.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    opened(world.project)

    def act(flags, *acts, rc=0):
        # the script stands in a variable: npxc looks at arguments as at names of files
        result = world.run(*flags, "-e", "SCRIPT=" + SCRIPT, "-e", "ACTS=" + json.dumps(acts), "-p", probe, "-c",
                           'node -e "$SCRIPT" "$ACTS"')
        assert result.returncode == rc, result.stderr
        return json.loads(result.stdout) if rc == 0 else None, result.stderr

    world.act = act
    return world


def opened(top):
    for path, _, names in os.walk(top):
        os.chmod(path, 0o777)
        for name in names:
            os.chmod(os.path.join(path, name), 0o666)


def contents(top):
    return {str(p.relative_to(top)): p.read_text() for p in sorted(top.rglob("*")) if p.is_file()}


HELD = [["append", ".git/config"], ["replace", ".git/config"], ["inside", ".git"], ["move", ".git", "was"], ["remove", ".git"],
        ["append", ".envrc"], ["unlink", ".envrc"], ["replace", ".envrc"], ["link", ".envrc", "hard"],
        ["inside", ".vscode"], ["inside", "node_modules/.bin"], ["move", "node_modules", "nm"],
        ["append", "work/.git"], ["unlink", "work/.git"], ["swap", "work"],
        ["append", "sub/mod/.git/config"], ["swap", "sub/mod"], ["swap", "sub"], ["move", "sub/mod", "elsewhere"]]


def test_what_is_there_at_the_start_cannot_be_written_replaced_or_moved_away(tree):
    before = contents(tree.project)
    said, err = tree.act(["--project=rw"], *HELD)
    assert "ok" not in said, list(zip(HELD, said))
    (tree.project / "new").unlink(missing_ok=True)
    assert contents(tree.project) == before
    assert err.count("--project=rw,all makes them writable") == 1
    for name in (".envrc", ".git", ".vscode", "node_modules/.bin", "sub/mod/.git", "work/.git"):
        assert name in err
    assert "unsafe to execute" not in err


@pytest.mark.parametrize("at", range(len(HELD)))
def test_each_of_these_works_where_all_is_asked_for(tree, at):
    """The control: nothing else than the guard stands in the way."""
    said, err = tree.act(["--project=rw,all"], HELD[at])
    assert said == ["ok"], (HELD[at], said, err)
    assert "read-only in" not in err and "unsafe to execute" not in err


def test_what_such_names_lead_to_is_held_too(tree):
    """git and editors follow: a link, a .git file, core.hooksPath, a repository without a work tree."""
    def write(name, text="mine"):
        (tree.project / name).parent.mkdir(parents=True, exist_ok=True)
        (tree.project / name).write_text(text)

    shutil.rmtree(tree.project / ".vscode")
    (tree.project / ".vscode").symlink_to("editor")
    write("editor/tasks.json")
    write("work/.git", "gitdir: ../separate\n")
    write("separate/config")
    write(".git/config", "[core]\n\thooksPath = tools/hooks\n")
    write("tools/hooks/pre-commit")
    for name in ("bare/HEAD", "bare/objects/x", "bare/refs/x", "bare/config"):
        write(name)
    opened(tree.project)
    acts = [["append", "editor/tasks.json"], ["move", "editor", "e"], ["append", "separate/config"], ["inside", "separate"],
            ["append", "tools/hooks/pre-commit"], ["move", "tools", "t"], ["append", "bare/config"], ["move", "bare", "b"]]
    said, err = tree.act(["--project=rw"], *acts)
    assert "ok" not in said, list(zip(acts, said))
    assert "a server can replace them" in err and ".vscode" in err
    said, err = tree.act(["--project=rw"], ["unlink", ".vscode"], ["make", ".vscode"])
    assert said == ["ok"] * 2 and "unsafe to execute" in err and ": .vscode; look at it" in err
    said, err = tree.act(["--project=rw"], ["make", "objects"], ["make", "refs"], ["touch", "HEAD"])
    assert said == ["ok"] * 3 and ": .; look at it" in err
    said, _ = tree.act(["--project=rw,all"], *[act for act in acts if act[0] == "append"])
    assert said == ["ok"] * 4  # the control


def test_the_rest_of_the_tree_is_written_as_ever(tree):
    said, _ = tree.act(["--project=rw"], ["touch", "sub/mod/code.js"], ["replace", "sub/data"], ["move", "sub/data", "other/moved"],
                       ["make", "work/dir"], ["remove", "other"], ["touch", "node_modules/x"], ["append", "sub/mod/code.js"])
    assert said == ["ok"] * 7


@pytest.mark.parametrize("flag", ["--mount={0}:rw", "--mount={0}:{0}:rw"])
def test_a_writable_mount_of_a_tree_is_held_the_same(tree, flag):
    said, err = tree.act([flag.format(tree.project), "--mount", f"{tree.project}/sub:/srv/sub:rw"], *HELD)
    assert "ok" not in said, list(zip(HELD, said))
    assert f"--mount {tree.project}:rw,all makes them writable" in err
    assert f"--mount {tree.project}/sub:/srv/sub:rw,all" in err
    said, err = tree.act([f"--mount={tree.project}:rw,all"], HELD[0])
    assert said == ["ok"] and "read-only in" not in err


def test_what_a_server_makes_is_told_at_the_end(tree):
    said, err = tree.act(["--project=rw"], ["make", ".idea"], ["touch", "sub/.npmrc"], ["touch", "plain"])
    assert said == ["ok"] * 3
    assert "unsafe to execute, made or replaced in" in err and ": .idea, sub/.npmrc; look at it" in err
    assert not list((tree.home / ".local/state/npxc/unsafe").glob("*"))
    assert json.loads(tree.run("gc", "--json").stdout)["unsafe"] == []


@pytest.mark.parametrize("both", [False, True])
def test_of_a_session_that_was_killed_gc_tells(tree, probe, both):
    client = tree.client("--project=rw", probe)
    client.handshake()
    assert client.call("write", path=".envrc2", text="1")["ok"]
    assert client.call("write", path=".zshrc", text="1")["ok"]
    if both:
        stopped = next(pid for pid in tree.leftovers() if is_janitor(pid, client.process.pid))
        os.kill(stopped, signal.SIGSTOP)
        client.process.send_signal(signal.SIGKILL)
        client.process.wait()
        os.kill(stopped, signal.SIGKILL)
    else:
        client.process.send_signal(signal.SIGKILL)
        client.process.wait()
    client.process.stdin.close()
    client.process.stdout.close()
    client.process.stderr.close()
    assert wait_until(lambda: both or not tree.leftovers())
    told = tree.run("gc")
    assert "unsafe to execute, made or replaced in" in told.stderr and ".zshrc" in told.stderr, told.stderr
    assert ".envrc2" not in told.stderr
    again = tree.run("gc", "--json")
    assert json.loads(again.stdout)["unsafe"] == [] and "unsafe" not in again.stderr


def is_janitor(pid, launcher):
    try:
        with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/cmdline") as line:
            parent = int(stat.read().rsplit(")", 1)[1].split()[1])
            return parent == launcher and "npxc" in line.read().split("\0")[0]
    except OSError:
        return False


def test_a_list_that_cannot_be_gone_through_is_not_kept_silent(tree, probe):
    """As where a server makes so much that there is no time to look through it."""
    client = tree.client("--project=rw", probe)
    client.handshake()
    assert client.call("write", path=".zshrc", text="1")["ok"]
    lists = list((tree.home / ".local/state/npxc/unsafe").glob("*.json"))
    assert len(lists) == 1
    lists[0].write_text("{}")
    _, _, err = client.close()
    assert "not yet looked for what is unsafe to execute" in err and "npxc gc" in err
    assert "not looked through" in tree.run("gc").stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_another_file_system_in_the_tree_is_held_the_same(tree):
    inner = tree.project / "inner"
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "npxc-test", inner], check=True)
    try:
        (inner / ".git").mkdir()
        (inner / ".git/config").write_text("mine")
        opened(inner)
        said, err = tree.act(["--project=rw"], ["append", "inner/.git/config"], ["move", "inner/.git", "inner/was"],
                             ["touch", "inner/.envrc"])
        assert said == ["EROFS", "EBUSY", "ok"]
        assert ", inner/.git, " in err and ": inner/.envrc; look at it" in err
        assert tree.act(["--project=rw,all"], ["append", "inner/.git/config"])[0] == ["ok"]
    finally:
        subprocess.run(["umount", inner], check=True)


def test_many_packages_need_no_more_open_files_than_a_shell_gives(tree):
    """Each has a name to keep and three directories above it."""
    acts = []
    for i in range(165):
        (tree.project / f"packages/p{i}/node_modules/.bin").mkdir(parents=True)
        acts += [["inside", f"packages/p{i}/node_modules/.bin"], ["move", f"packages/p{i}/node_modules", f"packages/p{i}/n"],
                 ["move", f"packages/p{i}", f"packages/q{i}"]]
    opened(tree.project)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        said, _ = tree.act(["--project=rw"], *acts)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert set(said) == {"EROFS", "EBUSY"}


def test_a_session_without_a_writable_tree_keeps_no_list(tree):
    tree.act(["--project"])
    assert not (tree.home / ".local/state/npxc/unsafe").exists()


@pytest.mark.skipif(not shutil.which("git"), reason="no git here")
def test_git_works_beside_a_running_session_and_runs_nothing_of_the_servers(world, probe):
    world.configure_probe({"stdout_guard": False})
    git = ["git", "-C", str(world.project), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (world.project / "f").write_text("1")
    opened(world.project)
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    client = world.client("--project=rw", probe)
    client.handshake()
    evil = '[core]\n\tfsmonitor = "touch pwned; false"\n'
    assert not client.call("write", path=".git/config", text=evil)["ok"]
    assert client.call("write", path="g", text="2")["ok"]
    subprocess.run([*git, "add", "f", "g"], check=True, env=env)
    subprocess.run([*git, "commit", "-qm", "x"], check=True, env=env)
    assert not (world.project / "pwned").exists()
    _, _, err = client.close()
    assert "unsafe" not in err
    # the control: written from outside, git runs it
    with open(world.project / ".git/config", "a") as config:
        config.write(evil)
    (world.project / "f").write_text("3")
    subprocess.run([*git, "status"], check=False, env=env, stdout=subprocess.DEVNULL)
    assert (world.project / "pwned").exists()
