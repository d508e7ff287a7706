from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.identity.attempts import Attempts, network_of
from support.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_the_budget_is_spent_by_failures_only(clock: ManualClock) -> None:
    attempts = Attempts(budget=5, window_s=60, clock=clock)
    for _ in range(5):
        assert attempts.allowed("192.0.2.1") is None
        assert attempts.allowed("192.0.2.1") is None
        attempts.failed("192.0.2.1")
    assert attempts.allowed("192.0.2.1") == pytest.approx(12)
    assert attempts.allowed("192.0.2.2") is None


def test_it_comes_back_one_by_one_and_is_whole_after_a_window(clock: ManualClock) -> None:
    attempts = Attempts(budget=5, window_s=60, clock=clock)
    for _ in range(5):
        attempts.failed("192.0.2.1")
    clock.advance(11.9)
    assert attempts.allowed("192.0.2.1") == pytest.approx(0.1)
    clock.advance(0.1)
    assert attempts.allowed("192.0.2.1") is None
    attempts.failed("192.0.2.1")
    assert attempts.allowed("192.0.2.1") == pytest.approx(12)
    clock.advance(60)
    assert attempts.allowed("192.0.2.1") is None
    assert len(attempts) == 0


def test_failures_beyond_the_budget_prolong_no_wait_beyond_one_place(clock: ManualClock) -> None:
    """Counted or not, the one after may come when one place is free."""
    attempts = Attempts(budget=5, window_s=60, clock=clock)
    for _ in range(100):
        attempts.failed("192.0.2.1")
    assert attempts.allowed("192.0.2.1") == pytest.approx(12)


def test_memory_is_bounded_and_who_failed_longest_ago_is_forgotten(clock: ManualClock) -> None:
    attempts = Attempts(budget=1, window_s=60, clock=clock, limit=3)
    for last in (1, 2, 1, 3, 4):
        attempts.failed(f"192.0.2.{last}")
    assert len(attempts) == 3
    assert attempts.allowed("192.0.2.2") is None
    assert attempts.allowed("192.0.2.1") is not None


@pytest.mark.parametrize(
    ("address", "counted_by"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("unix:" + "x" * 100, "unix:" + "x" * 59),
    ],
)
def test_an_ipv6_caller_is_its_network(address: str, counted_by: str) -> None:
    assert network_of(address) == counted_by


@given(
    budget=st.integers(1, 50),
    window_s=st.floats(0.1, 3600),
    steps=st.lists(st.floats(0, 100), max_size=60),
)
def test_no_window_admits_more_than_the_budget_and_what_came_back(budget: int, window_s: float, steps: list[float]) -> None:
    clock = ManualClock(0.0)
    attempts = Attempts(budget=budget, window_s=window_s, clock=clock)
    failures = 0
    for step in steps:
        clock.advance(step)
        wait_s = attempts.allowed("192.0.2.1")
        if wait_s is None:
            attempts.failed("192.0.2.1")
            failures += 1
        else:
            assert 0 < wait_s <= window_s / budget * 1.000001
        assert failures <= budget + clock.now / window_s * budget + 1e-6
