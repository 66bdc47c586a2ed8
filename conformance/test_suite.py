"""The suite itself: the registry is whole, and every check can pass and can fail."""

import json
import re
import shutil
import subprocess
import sys

import pytest

import broken_launchers
import mutations
import registry
import status_files
from checks import CHECKS, REASONS
from checks.base import check as register
from judge import Row, decide, judge
from scenarios import SCENARIOS
from show import missing, show
from worlds import HERE, TOP, Lab, runtimes_here

FIELDS = {"id", "area", "level", "text", "source", "evidence", "runtimes", "due"}


def test_each_requirement_has_all_fields_and_an_id_of_its_area():
    requirements = registry.load()
    ids = [r["id"] for r in requirements]
    assert len(ids) == len(set(ids))
    for r in requirements:
        assert set(r) == FIELDS, r["id"]
        assert re.fullmatch(r["area"] + r"(-[a-z0-9]+)+", r["id"]) or r["id"] == "install-registry-only"
        assert r["level"] in ("must", "should")
        assert r["evidence"] and set(r["evidence"]) <= {"argv", "wire", "live"}
        assert r["text"].endswith(".")


def test_every_check_is_of_a_requirement_and_has_negative_samples():
    known = {r["id"] for r in registry.load()}
    for (identity, family), check in CHECKS.items():
        assert identity in known
        assert check.samples, identity
        for name in check.needs:
            assert family in SCENARIOS[name].families, (identity, family, name)


def test_a_check_is_named_after_its_requirement():
    for (identity, _), one in CHECKS.items():
        assert one.function.__code__.co_name.startswith(identity.replace("-", "_")), identity
    with pytest.raises(TypeError, match=r"the check of net-new at conformance/test_suite.py:\d+ is called <lambda>"):
        register("net-new", "none")(lambda e: [])


def test_a_check_that_falls_over_is_told_by_name_and_place():
    row = Row(registry.load()[0], runtimes_here()["bwrap"])
    row.check = CHECKS["net-none-argument", "bwrap"]
    decide(row, row.check, {"none": None})
    assert row.verdict == "fail" and "base.py:" in row.problems[0]
    assert row.as_json()["check"].startswith("net_none_argument_on_bwrap, conformance/checks/net.py:")


def test_every_requirement_that_is_due_has_a_check():
    have = {identity for identity, _ in CHECKS}
    assert {r["id"] for r in registry.load() if r["due"] in registry.BUILT} <= have


def test_no_row_lacks_a_part():
    broken = broken_launchers.load()
    lacking = [what for requirement in registry.load() for what in missing(requirement, broken)]
    assert not lacking, "\n".join(lacking)


def test_a_row_is_shown_with_all_its_parts(capsys):
    assert show(registry.choose(registry.load(), ["retry-attempts"]))
    shown = capsys.readouterr().out
    for part in ("level     must", r"check     retry_attempts, conformance/checks/retry.py:\d+ \(replay\)",
                 r"scenario    busy_forever, conformance/scenarios/retry.py:\d+",
                 r"red by    conformance/broken/seven_attempts.py \(replay-1.0.0\)"):
        assert re.search(part, shown), part
    assert not show([{**registry.load()[0], "id": "net-new"}])
    assert "MISSING   net-new has no check in conformance/checks/" in capsys.readouterr().out


def test_each_mutation_has_its_switch_in_the_sources():
    holes = re.findall(r'^    Hole\("([^"]+)"', (HERE / "attacks" / "holes.py").read_text(), re.MULTILINE)
    assert sorted([*{one.switch for one in mutations.MUTATIONS}, *holes]) == sorted(mutations.switches())
    assert len({one.name for one in mutations.MUTATIONS}) == len(mutations.MUTATIONS)


def test_nothing_is_taken_from_the_tests():
    assert [path for path in HERE.rglob("*.py") if "tests" in re.findall(r"[\"']([a-z_/]+)[\"']", path.read_text())
            and path.name != "test_suite.py"] == []


def test_the_index_agrees_with_the_files_and_the_broken_launchers():
    assert status_files.stale_index() == [], "conformance/status_files.py writes it anew"


def whole_run(name, **verdicts):
    """A report of a run on this runtime in which all passes, but for what `verdicts` says."""
    rows = [{"runtime": name, "id": r["id"], "level": r["level"], "verdict": verdicts.get(r["id"].replace("-", "_"), "pass"),
             "reason": None, "evidence": [], "clean_ms": {"answer": 7} if r["id"] == "tear-sigkill-all" else {}, "figures": {}}
            for r in registry.load()]
    return {"launcher": {"version": "1"}, "machine": {"system": "Linux"}, "runtimes": {name: {"cli": "none"}}, "rows": rows}


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(status_files, "DIRECTORY", tmp_path / "status")
    monkeypatch.setattr(status_files, "INDEX", tmp_path / "STATUS.md")
    return tmp_path / "status"


def test_a_run_writes_the_files_of_its_runtimes_only(files, tmp_path):
    output = tmp_path / "output"
    output.mkdir()
    (output / "endings.json").write_text(json.dumps([{"runtime": "bwrap:netns", "sessions": 9, "failed": 0, "endings": {}}]))
    status_files.write(whole_run("podman"), output)
    before = (files / "podman.md").read_text()
    status_files.write(whole_run("bwrap"), output)
    assert (files / "podman.md").read_text() == before
    assert "(status/podman.md)" in (tmp_path / "STATUS.md").read_text() and "(status/bwrap.md)" in (tmp_path / "STATUS.md").read_text()
    assert status_files.stale_index() == []
    # figures of the index are those of a run of everything
    (output / "mutations.json").write_text(json.dumps([{"name": "a", "what": "a part", "red": ["relay-large"]}]))
    status_files.write(whole_run("bwrap"), output)
    assert "| a part |" not in (tmp_path / "STATUS.md").read_text()
    status_files.write(whole_run("bwrap"), output, everything=True)
    (output / "mutations.json").unlink()
    status_files.write(whole_run("bwrap"), output, everything=True)
    assert "| a part | relay-large |" in (tmp_path / "STATUS.md").read_text()
    # what this run has not looked at stays as it was
    (output / "endings.json").unlink()
    status_files.write(whole_run("bwrap", net_cli_missing="fail"), output)
    text = (files / "bwrap.md").read_text()
    assert "| sessions, failed | 9, 0 |" in text and "| tear-sigkill-all | answer | 7 |" in text
    assert "| net-cli-missing | must | FAIL |" in text
    # and what this machine could not judge at all
    status_files.write(whole_run("podman", net_cli_missing="untestable"), output)
    assert (files / "podman.md").read_text() == before


def test_a_run_is_held_against_the_files_of_its_runtimes_only(files, tmp_path):
    status_files.write(whole_run("bwrap"), tmp_path)
    status_files.write(whole_run("podman", relay_large="not-run"), tmp_path)
    assert status_files.stale(whole_run("bwrap")) == []
    assert status_files.stale(whole_run("docker")) == []  # nothing is told of it
    assert status_files.stale(whole_run("bwrap", relay_large="not-run")) == [
        "relay-large: status/bwrap.md says pass, this run not run"]
    part = whole_run("bwrap", relay_large="not-run")
    part["rows"].pop()
    assert status_files.stale(part) == []
    (files / "bwrap.md").write_text((files / "bwrap.md").read_text().replace("| relay-large | must | pass |\n", ""))
    assert status_files.stale(whole_run("bwrap")) == ["relay-large: status/bwrap.md says nothing, this run pass"]
    (files / "podman.md").unlink()
    assert status_files.stale_index() == ["STATUS.md says otherwise than the files of status/"]


@pytest.fixture
def copy(tmp_path):
    """A copy of the suite, and how a command ends in it: (exit status, what it said)."""
    shutil.copytree(HERE, tmp_path / "conformance", ignore=shutil.ignore_patterns("tools", "__pycache__"))
    shutil.copy(TOP / "Makefile", tmp_path)
    (tmp_path / "fixtures").symlink_to(TOP / "fixtures")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "shim").symlink_to(TOP / "build" / "shim")

    def run(*words):
        done = subprocess.run(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        return done.returncode, done.stdout
    return run


def pytest_of(name):
    return sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "conformance/" + name


def test_a_new_requirement_is_complained_about_until_it_is_written(copy):
    identities = [area + "-scaffolded" for area in ("net", "map", "tear", "retry", "relay", "fs", "box", "install")]
    for identity in identities:
        status, said = copy("make", "new-requirement", "ID=" + identity)
        assert status == 0, said
    assert copy("make", "new-requirement", "ID=net-scaffolded")[0] != 0  # there is one now
    status, shown = copy("conformance/run.py", "--show", "*-scaffolded")
    assert status == 1
    status, said = copy(*pytest_of("test_suite.py::test_no_row_lacks_a_part"))
    assert status == 1
    for identity in identities:
        for what in ("the text of %s in conformance/requirements.json is a stub", "the check of %s (", "the scenario of %s (",
                     "%s is broken by no launcher of conformance/broken/"):
            assert "MISSING   " + what % identity in shown
            assert what % identity in said
    status, said = copy("conformance/run.py", "--npxc", "conformance/reference/launcher.py", "--runtime", "replay-1.0.0",
                        "--req", "net-scaffolded")
    assert status == 1
    assert "the check of net-scaffolded is a stub: write conformance/checks/net.py" in said
    assert "by net_scaffolded, conformance/checks/net.py:" in said


def test_a_new_broken_launcher_is_complained_about_until_it_is_written(copy):
    names = pytest_of("test_broken.py::test_names_of_requirements_are_right")
    status, said = copy("make", "new-broken", "NAME=scaffolded")
    assert status == 0, said
    status, said = copy(*names)
    assert status == 1 and "BREAKS of conformance/broken/scaffolded.py names no requirement" in said
    status, said = copy("make", "new-broken", "NAME=asks", "REQ=net-name-shape")
    assert status == 0, said
    assert copy("rm", "conformance/broken/scaffolded.py")[0] == 0
    status, said = copy(*names)
    assert status == 1 and "conformance/broken/asks.py is a stub" in said
    status, said = copy("conformance/run.py", "--npxc", "conformance/broken/asks.py", "--runtime", "replay-1.0.0", "--req", "net-name-shape")
    assert status == 0 and "MUST 1 of 1 decided pass" in said  # it is the reference until it overrides something
    assert copy("make", "new-broken", "NAME=other", "REQ=no-such")[0] != 0


@pytest.mark.parametrize("name", ["replay-0.9.0", "replay-0.12.3", "replay-1.0.0", "replay-1.2.2", "bwrap"])
def test_every_excuse_is_from_the_list(name):
    for requirement in registry.load():
        excuse = registry.excuse(requirement, runtimes_here()[name])
        if excuse is not None and excuse[0] != "not-run":
            assert excuse[0] == "not-applicable" and excuse[1] in REASONS, (requirement["id"], excuse)


@pytest.mark.parametrize("name", ["replay-0.9.0", "replay-0.12.3", "replay-1.0.0", "replay-1.2.2", "bwrap"])
def test_the_reference_launcher_passes_and_every_negative_sample_fails(name):
    with Lab(HERE / "reference" / "launcher.py", quick=True) as lab:
        rows = judge(lab, runtimes_here()[name], registry.load(), workers=4)
    assert [(row.requirement["id"], row.problems, row.reason, row.toothless) for row in rows if row.red] == []
