"""git in a project that a server is shown: its repository, wherever git keeps that, and nothing that a `.git` only claims."""

import json
import shutil
import subprocess

import pytest

from conftest import RUNTIME

pytestmark = [pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="bubblewrap makes the sandbox here"),
              pytest.mark.skipif(shutil.which("git") is None, reason="git is wanted")]

SERVER = r"""#!/usr/bin/env node
const { execFileSync } = require('child_process'), fs = require('fs')
try { console.error('GIT ' + execFileSync('git', ['log', '--format=%s'], { stdio: ['ignore', 'pipe', 'pipe'] }).toString().trim()) }
catch (e) { console.error('FAILED ' + e.stderr.toString().split('\n')[0]) }
for (const p of process.argv.slice(2)) { try { fs.statSync(p); console.error('SEEN ' + p) } catch (e) { console.error(e.code) } }
console.error(Object.keys(process.env).filter(n => n.startsWith('GIT_')).sort().map(n => n + '=' + process.env[n]).join())
"""


@pytest.fixture
def server(world):
    directory = world.home / "server"
    directory.mkdir()
    (directory / "package.json").write_text('{"name": "server", "version": "1.0.0", "bin": "s.js"}')
    (directory / "s.js").write_text(SERVER)
    (directory / "s.js").chmod(0o755)
    return directory


@pytest.fixture
def git(world):
    def run(*words, cwd):
        env = {**world.env, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
               "GIT_COMMITTER_EMAIL": "a@b"}
        subprocess.run(["git", "-c", "protocol.file.allow=always", *map(str, words)], cwd=cwd, env=env, check=True,
                       capture_output=True)
    return run


@pytest.fixture
def repository(world, git):
    directory = world.home / "main"
    git("init", "-q", directory, cwd=world.home)
    git("commit", "-q", "--allow-empty", "-m", "first", cwd=directory)
    return directory


def said(result):
    assert (result.returncode, result.stdout) == (0, b""), result.stderr
    return result.stderr.splitlines()


def own(directory):
    return f"GIT_CONFIG_COUNT=1,GIT_CONFIG_KEY_0=safe.directory,GIT_CONFIG_VALUE_0={directory}"


@pytest.mark.parametrize("flag", ["--project", "--project=rw"])
def test_works_in_a_repository_of_the_user_whoever_started_it(world, server, repository, flag):
    assert said(world.run(flag, server, cwd=repository))[-2:] == ["GIT first", own(repository)]


@pytest.mark.parametrize("relative", [False, True])
def test_works_in_a_linked_work_tree(world, server, repository, git, relative):
    tree = world.home / "tree"
    git("worktree", "add", "-q", tree, cwd=repository)
    if relative:
        (tree / ".git").write_text("gitdir: ../main/.git/worktrees/tree\n")
    lines = said(world.run("--project", server, repository / ".git/HEAD", cwd=tree))
    assert lines[0] == f"npxc: read-only with {tree}, because git needs it there: {repository}/.git"
    assert lines[-3:] == ["GIT first", f"SEEN {repository}/.git/HEAD", own(tree)]
    assert "FAILED" in "".join(said(world.run("--mount", tree, server, cwd=tree))), "only with --project"


def test_works_in_a_submodule(world, server, repository, git):
    top = world.home / "top"
    git("init", "-q", top, cwd=world.home)
    git("submodule", "add", "-q", repository, "sub", cwd=top)
    lines = said(world.run("--project", server, top / ".git/config", cwd=top / "sub"))
    assert lines[0] == f"npxc: read-only with {top}/sub, because git needs it there: {top}/.git/modules/sub"
    assert lines[-3:-1] == ["GIT first", "ENOENT"]


def git_directory(directory):
    for name in ("objects", "refs"):
        (directory / name).mkdir(parents=True)
    (directory / "HEAD").write_text("ref: refs/heads/main\n")
    return directory


def test_a_git_file_shows_nothing_that_does_not_name_it_back(world, server, repository, git):
    other, project = world.home / "other", world.home / "project"
    git("worktree", "add", "-q", other, cwd=repository)
    ssh = git_directory(world.home / ".ssh")
    (ssh / "id").write_text("key")
    (ssh / "worktrees/x").mkdir(parents=True)
    (ssh / "worktrees/x/commondir").write_text("../..\n")
    (ssh / "worktrees/x/gitdir").write_text(f"{project}/.git\n")
    fake = project / "fake/worktrees/x"
    fake.mkdir(parents=True)
    git_directory(project / "fake")
    (fake / "gitdir").write_text(f"{project}/.git\n")
    (fake / "commondir").write_text(f"{ssh}\n")
    (project / "link").symlink_to(ssh)
    foreign = git_directory(world.home / "foreign")
    (foreign / "config").write_text(f"[core]\n\tworktree = {world.home}\n")
    for named in (ssh, ssh / "worktrees/x", "link", "link/worktrees/x", world.home, "..", "/etc", repository / ".git",
                  repository / ".git/worktrees/other", "fake/worktrees/x", foreign, "nowhere"):
        (project / ".git").write_text(f"gitdir: {named}\n")
        lines = said(world.run("--project", server, ssh / "id", repository / ".git/HEAD", foreign / "HEAD", cwd=project))
        assert lines[0] == (f"npxc: git does not work in {project}: its .git names {named}, which is no git directory that "
                            "names this work tree back, and is not shown")
        assert lines[-4:-1] == ["ENOENT"] * 3, named


@pytest.mark.parametrize("text", [b"", b"\n", b"gitdir:\n", b"gitdir: \n", b"gitdir: /etc\nx\n", b"gitdir: /et\0c\n",
                                  b"gitdir: " + b"x" * 9000, b"ref: x"])
def test_a_git_file_may_be_anything(world, server, text):
    (world.project / ".git").write_bytes(text)
    assert any(line.startswith("FAILED ") for line in said(world.run("--project", server)))


def test_leaves_git_alone_without_a_repository_and_where_the_user_configures_it(world, server, repository):
    assert said(world.run("--project", server))[-1] == ""
    assert said(world.run(server, cwd=repository))[-1] == ""
    lines = said(world.run("-e", "GIT_CONFIG_COUNT=0", "--project", server, cwd=repository))
    assert lines[-1] == "GIT_CONFIG_COUNT=0"


def test_inspect_names_what_is_shown(world, server, repository, git):
    tree = world.home / "tree"
    git("worktree", "add", "-q", tree, cwd=repository)
    shown = json.loads(world.run("inspect", "--json", "--project=rw", server, cwd=tree).stdout)
    assert {(mount["host"], mount["mode"], mount["origin"]) for mount in shown["mounts"]} >= {
        (f"{repository}/.git", "ro", "git"), (str(tree), "rw", "project"), (str(server), "ro", "package")}
