"""The wall of faults: every test in tests/faults has its row, and the page says what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from opuscine.metrics import FIGURES
from support.fault_wall import Entry, Fault, IncompleteFaultError, fault, page

ROOT = Path(__file__).resolve().parents[2]
SILENT = {
    "caller_gets": "200 from the catalogue",
    "within": "the deadline",
    "told_by": "log `breaker`",
}


def test_the_page_is_what_the_tests_say_and_every_test_carries_a_fault() -> None:
    ended = subprocess.run(
        [sys.executable, "scripts/faults.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"caller_gets": ""}, "caller_gets"),
        ({"within": "soon"}, "at least 2 words"),
        ({"told_by": "log `a|b`"}, "cell of a table"),
        ({"caller_gets": "200 from the catalogue."}, "no full stop"),
    ],
)
def test_an_entry_that_leaves_its_reader_alone_is_refused(changed: dict[str, str], complaint: str) -> None:
    with pytest.raises(IncompleteFaultError, match=complaint):
        fault("LLM", "It is silent", **{**SILENT, **changed})


def test_the_metrics_and_alerts_that_tell_of_a_fault_are_there() -> None:
    page_text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)", (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    named = set(re.findall(r"\b(?:opuscine_[a-z_]+|OpusCine[A-Z]\w+)", page_text))
    assert named
    assert named <= {figure.name for figure in FIGURES} | {"opuscine_worker_up", *alerts}


def test_a_part_that_the_page_does_not_have_is_refused() -> None:
    with pytest.raises(IncompleteFaultError, match="valid: LLM, Overload"):
        fault("Weather", "It is raining", **SILENT)  # type: ignore[arg-type]


def entry(what: str, test: str) -> Entry:
    return Entry(Fault("LLM", what, **SILENT), test)


def test_parts_stand_in_order_with_a_row_for_each_fault() -> None:
    redis = Entry(Fault("Redis", "It is gone", **SILENT), "tests/faults/test_redis.py::test_gone")
    text = page([redis, entry("It is silent", "tests/faults/test_llm.py::test_it[silent]")])
    assert text.index("## LLM") < text.index("## Redis")
    assert "| It is gone | 200 from the catalogue | the deadline | log `breaker` | `test_redis.py::test_gone` |" in text.splitlines()


@pytest.mark.parametrize("tests", [("a", "b"), ("b", "a")])
def test_two_tests_of_one_fault_are_refused(tests: Sequence[str]) -> None:
    with pytest.raises(IncompleteFaultError, match=f"{tests[0]} and {tests[1]}"):
        page([entry("It is silent", test) for test in tests])
