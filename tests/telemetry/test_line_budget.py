"""The log is whole while it is quiet, and a sample under load."""

from __future__ import annotations

from opuscine.telemetry.line_budget import LineBudget
from support.manual_clock import ManualClock


def test_beyond_so_many_lines_a_second_one_of_a_hundred_is_written() -> None:
    clock = ManualClock()
    budget = LineBudget(10, clock)
    assert [budget.allows() for _ in range(10)] == [True] * 10
    assert sum(budget.allows() for _ in range(1000)) == 10
    clock.advance(1.0)
    assert [budget.allows() for _ in range(10)] == [True] * 10


def test_zero_writes_all() -> None:
    budget = LineBudget(0, ManualClock())
    assert all(budget.allows() for _ in range(1000))
