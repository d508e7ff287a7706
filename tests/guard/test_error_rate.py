"""The sliding window of outcomes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opuscine.guard.error_rate import BUCKETS, ErrorRate, ErrorRateLimit


def rate(**limit: float) -> ErrorRate:
    """Build a window of 10 s that judges from 4 calls on, at half."""
    return ErrorRate(ErrorRateLimit(window_s=10.0, minimum_calls=4, share=0.5, slow_s=limit.get("slow_s")))


def test_it_judges_only_from_its_minimum_of_calls_on() -> None:
    window = rate()
    for now in (0.0, 0.1, 0.2):
        window.record(now, failed=True, took_s=0.1)
        assert not window.exceeded(now)
    window.record(0.3, failed=True, took_s=0.1)
    assert window.exceeded(0.3)


def test_half_of_the_calls_are_too_many_and_fewer_are_not() -> None:
    window = rate()
    for failed in (True, False, False, False, True):
        window.record(1.0, failed=failed, took_s=0.1)
    assert not window.exceeded(1.0)
    window.record(1.0, failed=True, took_s=0.1)
    assert window.exceeded(1.0)


def test_outcomes_are_forgotten_after_the_window() -> None:
    window = rate()
    for _ in range(4):
        window.record(0.5, failed=True, took_s=0.1)
    assert window.exceeded(9.9)
    assert not window.exceeded(10.5)


def test_a_slow_call_is_bad_even_if_it_succeeded() -> None:
    window = rate(slow_s=2.0)
    for _ in range(4):
        window.record(0.0, failed=False, took_s=2.0)
    assert window.exceeded(0.0)


def test_cleared_it_knows_nothing() -> None:
    window = rate()
    for _ in range(9):
        window.record(0.0, failed=True, took_s=0.1)
    window.clear()
    assert not window.exceeded(0.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans())))
def test_it_agrees_with_counting_and_stays_small(steps: list[tuple[float, bool]]) -> None:
    window, now, seen = rate(), 0.0, list[tuple[int, bool]]()
    for step, failed in steps:
        now += step
        window.record(now, failed=failed, took_s=0.0)
        seen.append((int(now), failed))
        recent = [bad for second, bad in seen if second > int(now) - BUCKETS]
        assert window.exceeded(now) == (len(recent) >= 4 and sum(recent) * 2 >= len(recent))
        assert len(window._buckets) <= BUCKETS
