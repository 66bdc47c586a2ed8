"""ci/paths sees a call that takes a path where hostile trees are met, and an exception that has none any more."""

import shutil
import subprocess

import pytest

from conftest import TOP


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(TOP / "src", tmp_path / "src")
    return tmp_path


def check(top):
    return subprocess.run([TOP / "ci" / "paths", top], capture_output=True, text=True, check=False)


def test_the_sources_as_they_are_pass(copy):
    result = check(copy)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("line", [
    "\tif (file_remove_tree(path, err))",
    "\tok = fine && unlink(path) == 0;",
    "\treturn fchmodat(root, location, 0755, 0) == 0;",
    "\t/* why */ FILE *file = fopen(path, \"/* \\\"r\");",
    "\tconst int fd = openat(root, location, O_RDONLY); // base/tree.h says no",
    "\tif (c == '\"' && unlink(path) == 0 && d != '\"')",
    "\tif (strchr(\"\\\\\", c) != NULL && rmdir(path) == 0) log_info(\"store\", \"gone\");",
])
def test_a_call_that_takes_a_path_is_named(copy, line):
    file = copy / "src/store/install.c"
    file.write_text(file.read_text() + line + "\n")
    result = check(copy)
    assert result.returncode != 0 and "src/store/install.c:" in result.stdout


def test_a_call_in_a_header_is_named(copy):
    file = copy / "src/store/install.h"
    file.write_text(file.read_text() + "static inline int drop(const char *path)\n{\n\treturn unlink(path);\n}\n")
    result = check(copy)
    assert result.returncode != 0 and "src/store/install.h:" in result.stdout


@pytest.mark.parametrize("line", [
    "\t/* unlink(path) would follow it */",
    "\tlog_info(\"store\", \"unlink(path) \\\" open(path)\");",
    "\treturn host->open(path) && box.stat(path) && tree_open(path, &fd, err);",
    "/*\n * rename(a, b)\n */",
])
def test_what_is_no_call_passes(copy, line):
    file = copy / "src/store/install.c"
    file.write_text(file.read_text() + line + "\n")
    assert check(copy).stdout == ""


def test_an_exception_without_its_call_is_named(copy):
    file = copy / "src/relay/relay.c"
    file.write_text(file.read_text().replace("lstat(", "look("))
    result = check(copy)
    assert result.returncode != 0 and "relay/relay.c has no call of lstat" in result.stdout
