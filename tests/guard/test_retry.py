"""When to try again, and after how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.guard.retry import RetryPolicy, backoff_s

POLICY = RetryPolicy(attempts=3, base_s=0.1, cap_s=1.0, quick_s=1.0, least_s=0.1)


def at_most() -> float:
    """Draw the largest jitter."""
    return 1.0


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_backoff_lies_between_zero_and_its_cap(failures: int, drawn: float) -> None:
    assert 0 <= backoff_s(failures, base_s=0.1, cap_s=1.0, rng=lambda: drawn) <= 1.0


@pytest.mark.parametrize(("failures", "longest_s"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.0), (99, 1.0)])
def test_its_bound_doubles_up_to_the_cap(failures: int, longest_s: float) -> None:
    assert backoff_s(failures, base_s=0.1, cap_s=1.0, rng=at_most) == pytest.approx(longest_s)


def test_quick_failures_are_tried_again_up_to_the_attempts() -> None:
    assert POLICY.wait_s(1, took_s=0.01, remaining_s=10, rng=at_most) == pytest.approx(0.1)
    assert POLICY.wait_s(2, took_s=0.01, remaining_s=10, rng=at_most) == pytest.approx(0.2)
    assert POLICY.wait_s(3, took_s=0.01, remaining_s=10, rng=at_most) is None


def test_a_slow_failure_is_never_tried_again() -> None:
    assert POLICY.wait_s(1, took_s=1.01, remaining_s=10) is None


def test_no_attempt_is_made_that_would_have_no_time() -> None:
    assert POLICY.wait_s(1, took_s=0.01, remaining_s=0.19, rng=at_most) is None
    assert POLICY.wait_s(1, took_s=0.01, remaining_s=0.21, rng=at_most) is not None


def test_the_upstreams_retry_after_is_honoured_within_the_time_left_and_ends_it_beyond() -> None:
    assert POLICY.wait_s(1, took_s=0.01, remaining_s=3, retry_after_s=2, rng=at_most) == pytest.approx(2.1)
    assert POLICY.wait_s(1, took_s=0.01, remaining_s=2, retry_after_s=2) is None
