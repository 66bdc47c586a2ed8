"""Real servers with files: conformance/corpus/files.py plays its small ones, and sees what it is there to see."""

import subprocess
import sys

import pytest

from conftest import NPXC, RUNTIME, TOP

FILES = TOP / "conformance" / "corpus" / "files.py"


def play(cache, *flags, npxc=NPXC):
    return subprocess.run([sys.executable, str(FILES), "--npxc", str(npxc), "--cache", str(cache), *flags],
                          capture_output=True, text=True)


def test_real_servers_say_the_same_bare_and_under_npxc(cache):
    done = play(cache, "--ci", "--runtime", RUNTIME or "bwrap")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("the same bare and under npxc") == len(done.stdout.splitlines()) >= 6


# Stands between npxc and its client, and does one thing wrong.
SPOILER = """\
#!{python}
import os, subprocess, sys
if sys.argv[1] in ("inspect", "install"):
    os.execv({npxc!r}, [{npxc!r}, *sys.argv[1:]])
child = subprocess.Popen([{npxc!r}, *sys.argv[1:]], stdin=subprocess.PIPE)
for line in sys.stdin.buffer:
    child.stdin.write(line.replace({old!r}, {new!r}))
    child.stdin.flush()
child.stdin.close()
sys.exit(child.wait())
"""


@pytest.mark.parametrize("name,old,new,wrong", [
    ("filesystem", b"sample.txt", b"sample.md", "answer 3: "),
    ("gitlab", b'"docs/new.md"', b'"/x/docs/new.md"', "answer 3: "),
], ids=["another file is read", "a path is rewritten"])
def test_a_launcher_that_is_wrong_fails(cache, tmp_path, name, old, new, wrong):
    launcher = tmp_path / "npxc"
    launcher.write_text(SPOILER.format(python=sys.executable, npxc=str(NPXC), old=old, new=new))
    launcher.chmod(0o755)
    done = play(cache, "--only", name, "--runtime", RUNTIME or "bwrap", npxc=launcher)
    assert done.returncode == 1 and wrong in done.stdout, done.stdout + done.stderr
