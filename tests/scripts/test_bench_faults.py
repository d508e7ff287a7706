"""The bench of faults: a broken bound shows in the table and in the exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.scenarios.figures import Figure, broken, percentile

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("figure", "holds"),
    [
        (Figure("without a bound", 9.0), True),
        (Figure("at most", 5.0, "%", "<=", 5.0), True),
        (Figure("at most", 5.1, "%", "<=", 5.0), False),
        (Figure("at least", 70.0, "%", ">=", 70.0), True),
        (Figure("at least", 69.0, "%", ">=", 70.0), False),
        (Figure("exactly", 1.0, "", "=", 1.0), True),
        (Figure("exactly", 2.0, "", "=", 1.0), False),
    ],
)
def test_a_figure_holds_or_does_not(figure: Figure, holds: bool) -> None:
    assert figure.holds is holds
    assert figure.shown()["holds"] is holds
    assert broken([figure], with_timed=False) == ([] if holds else [figure])


def test_only_the_bench_holds_times_to_their_bound() -> None:
    slow = Figure("slowest", 9.0, "s", "<=", 1.0, timed=True)
    assert broken([slow], with_timed=False) == []
    assert broken([slow], with_timed=True) == [slow]


def test_percentiles() -> None:
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([1, 2], 1.0) == 2
    assert percentile([], 0.5) == 0.0


def test_the_table_says_what_is_broken() -> None:
    program = (
        "import sys; sys.path.insert(0, 'scripts')\n"
        "from bench.faults import table\n"
        "from support.scenarios.figures import Figure\n"
        "print(table({'one': [Figure('lost', 1, '', '=', 0), Figure('p50', 2.5, 'ms')]}, {'two': 'OSError: no'}))"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert lines[1:] == [
        ["one", "lost", "1", "=", "0", "BROKEN"],
        ["one", "p50", "2.5", "ms"],
        ["two", "it", "broke", "off", "OSError:", "no", "BROKEN"],
    ]


def test_an_unknown_scenario_is_refused() -> None:
    ended = subprocess.run(
        [sys.executable, "scripts/bench.py", "faults", "--only", "weather"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "silent-model" in ended.stderr
