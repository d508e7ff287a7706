"""The share of calls that may be repetitions."""

from __future__ import annotations

import random

from opuscine.guard.retry_budget import RetryBudget
from support.manual_clock import ManualClock


def spend_all(budget: RetryBudget) -> int:
    """Repeat until it is denied."""
    spent = 0
    while budget.spend():
        spent += 1
    return spent


def test_a_quiet_service_has_the_floor() -> None:
    budget = RetryBudget(floor=3, clock=ManualClock())
    assert spend_all(budget) == 3
    assert (budget.info.calls, budget.info.spent, budget.info.denied) == (0, 3, 1)


def test_each_tenth_call_gives_one_more() -> None:
    budget = RetryBudget(floor=3, clock=ManualClock())
    for _ in range(100):
        budget.note_call()
    assert spend_all(budget) == 13


def test_what_lies_back_longer_than_the_window_counts_no_more() -> None:
    clock = ManualClock()
    budget = RetryBudget(floor=2, window_s=10.0, clock=clock)
    for _ in range(100):
        budget.note_call()
    assert spend_all(budget) == 12
    clock.advance(8.9)
    assert spend_all(budget) == 0
    clock.advance(1.2)
    assert spend_all(budget) == 2


def test_however_calls_and_failures_come_any_ten_seconds_stay_within_the_rule() -> None:
    chance, clock = random.Random(11), ManualClock()
    budget = RetryBudget(clock=clock)
    calls: list[float] = []
    spent: list[float] = []
    for _ in range(20_000):
        clock.advance(chance.expovariate(chance.choice([2.0, 200.0])))
        if chance.random() < 0.5:
            budget.note_call()
            calls.append(clock.now)
        elif budget.spend():
            spent.append(clock.now)
    for at in spent[::50]:
        recent = sum(at - 9.0 < one <= at for one in spent)
        allowed = 10 + 0.1 * sum(at - 10.0 < one <= at for one in calls)
        assert recent <= allowed
    assert budget.info.denied > 0
