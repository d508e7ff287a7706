"""`scripts/verdict.py` on reports as coverage and pytest write them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

VERDICT = Path(__file__).resolve().parents[2] / "scripts" / "verdict.py"
ROOMS = ("catalogue", "llm", "ott", "providers", "recommend", "guard")


def measured(lines: int, covered_lines: int, branches: int, covered_branches: int) -> dict[str, dict[str, int]]:
    return {
        "summary": {
            "num_statements": lines,
            "covered_lines": covered_lines,
            "num_branches": branches,
            "covered_branches": covered_branches,
        }
    }


def verdict(folder: Path, files: dict[str, Any] | None, junit: str | None) -> tuple[int, list[str]]:
    coverage_json, tests_xml = folder / "coverage.json", folder / "tests.xml"
    if files is not None:
        coverage_json.write_text(json.dumps({"files": files}), encoding="utf-8")
    if junit is not None:
        tests_xml.write_text(junit, encoding="utf-8")
    ended = subprocess.run([sys.executable, VERDICT, coverage_json, tests_xml], check=False, capture_output=True, text=True, timeout=30)
    assert ended.stderr == ""
    return ended.returncode, ended.stdout.splitlines()


GOOD = {f"src/opuscine/{room}/part.py": measured(100, 95, 20, 18) for room in ROOMS}
JUNIT = '<testsuites><testsuite name="pytest" errors="0" failures="0" skipped="2" tests="40"/></testsuites>'


def test_rooms_at_their_floor_pass_and_the_last_line_counts_the_tests(tmp_path: Path) -> None:
    status, lines = verdict(tmp_path, GOOD, JUNIT)
    assert status == 0
    assert lines[0] == "catalogue   90.00 % of branches,  94.17 % with lines"
    assert lines[-1] == "38 passed, 0 failed, 2 skipped"


@pytest.mark.parametrize("short", [measured(1000, 1000, 100, 89), measured(100, 80, 2, 2)], ids=["branches", "lines"])
def test_a_room_below_its_floor_fails_and_is_named(tmp_path: Path, short: dict[str, Any]) -> None:
    status, lines = verdict(tmp_path, {**GOOD, "src/opuscine/guard/part.py": short}, JUNIT)
    assert status == 1
    assert [line.split()[0] for line in lines if "below the floor of 90 %" in line] == ["guard"]
    assert "--include='src/opuscine/guard/*'" in lines[-2]
    assert lines[-1] == "38 passed, 0 failed, 2 skipped"


def test_files_of_a_room_add_up_with_those_of_folders_inside_it(tmp_path: Path) -> None:
    files = {**GOOD, "src/opuscine/llm/protocols/openai.py": measured(100, 100, 20, 0)}
    status, lines = verdict(tmp_path, files, JUNIT)
    assert status == 1
    assert lines[1].startswith("llm         45.00 % of branches")


def test_other_rooms_are_not_judged(tmp_path: Path) -> None:
    status, _ = verdict(
        tmp_path, {**GOOD, "src/opuscine/handlers/x.py": measured(10, 0, 4, 0), "src/opuscine/cli.py": measured(9, 0, 0, 0)}, JUNIT
    )
    assert status == 0


def test_a_room_that_was_not_measured_fails(tmp_path: Path) -> None:
    files = {name: file for name, file in GOOD.items() if "/ott/" not in name}
    status, lines = verdict(tmp_path, files, JUNIT)
    assert status == 1
    assert "nothing was measured" in lines[2]


def test_a_run_that_broke_before_its_reports_counts_as_failed(tmp_path: Path) -> None:
    status, lines = verdict(tmp_path, None, None)
    assert status == 1
    assert lines[-1] == "0 passed, 1 failed, 0 skipped"


def test_errors_count_as_failures(tmp_path: Path) -> None:
    junit = '<testsuites><testsuite errors="1" failures="2" skipped="0" tests="10"/></testsuites>'
    assert verdict(tmp_path, GOOD, junit)[1][-1] == "7 passed, 3 failed, 0 skipped"
