"""The scripts that prepare `.venv`, run as processes around a project of one file."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.miniature import Ended, Miniature, ended


@dataclass(frozen=True)
class FirstStart:
    miniature: Miniature
    process: int
    ended: Ended


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> FirstStart:
    """Start the service of a miniature as cloned."""
    miniature = Miniature.create(tmp_path_factory.mktemp("cloned"))
    process = miniature.start("serve", "--port", "80 81", "")
    return FirstStart(miniature, process.pid, ended(process))


@pytest.fixture
def prepared(first_start: FirstStart) -> Miniature:
    """Give a miniature whose environment is up to date; each test that uses it leaves it so."""
    return first_start.miniature


@pytest.fixture
def fresh(tmp_path: Path) -> Miniature:
    """Give a miniature as cloned."""
    return Miniature.create(tmp_path)


def test_serve_on_a_fresh_clone_starts_the_service_where_the_caller_stands(first_start: FirstStart) -> None:
    assert first_start.ended.status == 0, first_start.ended
    assert json.loads(first_start.ended.out) == {
        "arguments": ["serve", "--port", "80 81", ""],
        "folder": str(first_start.miniature.tools),
        "process": first_start.process,
    }
    assert "creating .venv" in first_start.ended.err
    assert not (first_start.miniature.root / "no home").exists()


def test_a_second_run_says_and_changes_nothing(prepared: Miniature) -> None:
    before = prepared.stamp.stat().st_mtime_ns
    again = prepared.run("bootstrap")
    assert (again.status, again.out, again.err) == (0, "", "")
    assert prepared.stamp.stat().st_mtime_ns == before


def test_two_runs_at_once_build_one_environment_in_the_place_of_one_whose_python_is_gone(fresh: Miniature) -> None:
    (fresh.root / ".venv" / "bin").mkdir(parents=True)
    (fresh.root / ".venv" / "bin" / "python").symlink_to("/nonexistent/python3")
    runs = [ended(process) for process in [fresh.start("bootstrap"), fresh.start("bootstrap")]]
    assert [run.status for run in runs] == [0, 0]
    said = "".join(run.err for run in runs)
    assert said.count("creating .venv") == 1
    assert "its Python or its pip does not run" in said
    assert "waiting for another run" in said
    assert fresh.has("opuscine")


def test_a_changed_lock_is_installed_into_the_environment_that_is_there(prepared: Miniature) -> None:
    marker = prepared.root / ".venv" / "kept"
    marker.touch()
    (prepared.root / "requirements.lock").write_text(prepared.add_wheel("added"), encoding="utf-8")
    updated = prepared.run("bootstrap")
    assert updated.status == 0, updated
    assert "updating .venv from requirements.lock" in updated.err
    assert prepared.has("added")
    assert marker.exists()


def test_a_changed_pyproject_installs_the_project_again(prepared: Miniature) -> None:
    pyproject = prepared.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text("utf-8") + "\n# changed\n", encoding="utf-8")
    assert "updating .venv" in prepared.run("bootstrap").err
    assert prepared.run("bootstrap").err == ""


def test_a_package_of_another_hash_is_refused_and_the_environment_stays_as_it_was(prepared: Miniature) -> None:
    lock = prepared.root / "requirements.lock"
    kept, line = lock.read_text("utf-8"), prepared.add_wheel("tampered")
    lock.write_text(line.rpartition(":")[0] + ":" + "0" * 64 + "\n", encoding="utf-8")
    refused = prepared.run("serve")
    assert refused.status == 1
    assert refused.out == ""
    assert "bootstrap: pip could not install what requirements.lock asks for" in refused.err
    assert not prepared.has("tampered")

    lock.write_text(kept, encoding="utf-8")
    assert prepared.run("bootstrap").err == ""


def test_a_package_without_a_hash_is_refused(prepared: Miniature) -> None:
    lock = prepared.root / "requirements.lock"
    kept = lock.read_text("utf-8")
    prepared.add_wheel("unlocked")
    lock.write_text("unlocked==1.0\n", encoding="utf-8")
    assert prepared.run("bootstrap").status == 1
    lock.write_text(kept, encoding="utf-8")
    assert prepared.run("bootstrap").err == ""


def test_the_tools_for_development_are_added_only_when_asked_for_and_serve_leaves_them(prepared: Miniature) -> None:
    line = prepared.add_wheel("devtool")
    runtime = (prepared.root / "requirements.lock").read_text("utf-8")
    (prepared.root / "requirements-dev.lock").write_text(runtime + line, encoding="utf-8")
    assert prepared.run("bootstrap").err == ""
    assert not prepared.has("devtool")
    assert "updating .venv from requirements-dev.lock" in prepared.run("bootstrap", "--dev").err
    assert prepared.has("devtool")
    assert prepared.run("bootstrap").err == ""


@pytest.mark.parametrize("reason", ["the repository was moved or copied", "an earlier run did not finish"])
def test_an_environment_that_is_not_to_be_trusted_is_built_anew(prepared: Miniature, reason: str) -> None:
    leftover = prepared.root / ".venv" / "leftover"
    leftover.touch()
    stamp = json.loads(prepared.stamp.read_bytes())
    spoilt = {**stamp, "folder": "/elsewhere/.venv"} if "moved" in reason else {"unfinished": True}
    prepared.stamp.write_text(json.dumps(spoilt), encoding="utf-8")
    rebuilt = prepared.run("bootstrap")
    assert rebuilt.status == 0
    assert f"creating .venv with Python 3.{sys.version_info.minor}" in rebuilt.err
    assert reason in rebuilt.err
    assert not leftover.exists()
    assert prepared.has("opuscine")


def test_a_python_that_does_not_run_or_is_too_old_is_passed_over(prepared: Miniature) -> None:
    prepared.add_tool("python3", "echo 'shim: python3: command not found' >&2; exit 127")
    prepared.add_tool("python3.13", "exit 4")
    prepared.add_python("python3.12")
    try:
        assert prepared.run("bootstrap").status == 0
    finally:
        prepared.add_python("python3")
        (prepared.tools / "python3.13").unlink()
        (prepared.tools / "python3.12").unlink()


def test_without_any_python_the_message_says_what_to_install(fresh: Miniature) -> None:
    (fresh.tools / "python3").unlink()
    refused = fresh.run("serve")
    assert (refused.status, refused.out) == (1, "")
    assert "No Python 3.11 or newer was found" in refused.err
    assert "apt-get install python3 python3-venv" in refused.err


def test_a_python_that_is_asked_for_must_run(fresh: Miniature) -> None:
    refused = fresh.run("bootstrap", env={"PYTHON": "/nonexistent/python"})
    assert refused.status == 1
    assert "PYTHON is '/nonexistent/python'" in refused.err
    assert not (fresh.root / ".venv").exists()


def test_a_missing_lock_is_named(fresh: Miniature) -> None:
    (fresh.root / "requirements.lock").unlink()
    refused = fresh.run("bootstrap")
    assert refused.status == 1
    assert "requirements.lock is missing" in refused.err


def test_the_scripts_can_be_called_through_a_link(prepared: Miniature) -> None:
    link = prepared.tools / "serve-it"
    link.symlink_to(prepared.root / "scripts" / "serve")
    assert prepared.run(str(link)).status == 0


@pytest.mark.parametrize("script", ["test", "check"])
def test_help_needs_no_environment(fresh: Miniature, script: str) -> None:
    told = fresh.run(script, "--help")
    assert told.status == 0
    assert f"scripts/{script} [" in told.out
    assert "#" not in told.out
    assert "set -eu" not in told.out
    assert not (fresh.root / ".venv").exists()


def test_check_refuses_what_it_does_not_know(fresh: Miniature) -> None:
    assert fresh.run("check", "--fast").status == 2
