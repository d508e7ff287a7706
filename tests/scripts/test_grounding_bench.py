"""`scripts/grounding_bench.py` on small catalogues: what it counts, and that its targets hold there too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "grounding_bench.py"
KNOWN = ("exact", "other language", "invented id", "year off by one", "suffix", "article", "typo")


def measured(real: Path | None, *arguments: str) -> tuple[int, dict[str, Any]]:
    environment = os.environ | {"OPUSCINE_REAL_DATA": str(real or "/nowhere")}
    ended = subprocess.run(
        [sys.executable, BENCH, "--json", *arguments], check=False, capture_output=True, text=True, timeout=100, env=environment
    )
    assert ended.stderr == ""
    return ended.returncode, json.loads(ended.stdout)


@pytest.fixture(scope="module")
def invented() -> tuple[int, dict[str, Any]]:
    """Run it once without real data, and with the time measured."""
    return measured(None, "--rows", "150", "--others", "1500", "--absent", "300", "--speed", "1200")


def test_without_real_data_it_makes_films_up_and_says_so(invented: tuple[int, dict[str, Any]]) -> None:
    _, report = invented
    assert report["real"] is False
    assert report["known"] == 150
    assert report["replies"] is None


def test_every_noise_is_scored(invented: tuple[int, dict[str, Any]]) -> None:
    _, report = invented
    (run,) = report["runs"]
    for noise, score in run["noise"].items():
        assert score["cases"] > 0, noise
        assert 0 <= score["right"] + score["wrong"] <= score["cases"]
        assert sum(score["methods"].values()) == score["right"] + score["wrong"]
    assert run["noise"].keys() >= {*KNOWN, "held out", "namesakes", "namesakes, no year", "absent: sequel"}
    assert run["noise"]["exact"]["recall"] > 0.98
    assert run["noise"]["namesakes, no year"]["right"] == 0


def test_the_status_says_whether_the_targets_are_met(invented: tuple[int, dict[str, Any]]) -> None:
    """Made-up films of few words are closer to each other than real ones, so that a target may be missed here."""
    status, report = invented
    assert (status == 0) is report["targets_met"]
    assert sum(len(run["missed_targets"]) for run in report["runs"]) <= 3


def test_the_time_is_measured_for_replies_of_several_sorts(invented: tuple[int, dict[str, Any]]) -> None:
    _, report = invented
    assert report["speed"]["titles"] == 1200
    assert all(figures["median_ms"] > 0 for figures in report["speed"]["twenty_suggestions"].values())


def test_one_seed_is_one_result() -> None:
    runs = [measured(None, "--rows", "40", "--others", "200", "--absent", "40", "--seed", "7")[1]["runs"] for _ in range(2)]
    assert runs[0] == runs[1]


def test_real_films_meet_the_targets_in_a_small_catalogue(real_data: Path) -> None:
    status, report = measured(real_data, "--others", "2000", "--absent", "900", "--seed", "5")
    assert report["real"] is True
    assert report["runs"][0]["missed_targets"] == []
    assert status == 0
    assert all(figures["with_films"] > 0.97 * figures["replies"] for figures in (report["replies"] or {}).values())
