"""The deadline: what remains, and what an upstream may have of it."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.guard.deadline import Deadline
from support.manual_clock import ManualClock


def test_it_counts_down_to_zero_and_no_further() -> None:
    clock = ManualClock()
    deadline = Deadline(2.0, clock)
    assert deadline.remaining() == 2.0
    clock.advance(1.5)
    assert deadline.remaining() == 0.5
    assert not deadline.expired
    clock.advance(1.0)
    assert deadline.remaining() == 0.0
    assert deadline.expired


def test_a_request_that_began_earlier_has_less_left() -> None:
    clock = ManualClock()
    began = clock()
    clock.advance(0.4)
    assert Deadline.after(1.0, started_at=began, clock=clock).remaining() == pytest.approx(0.6)


@pytest.mark.parametrize(("budget_s", "reserve_s"), [(0.1, 0.02), (1.0, 0.2), (2.5, 0.5), (30.0, 0.5)])
def test_the_reserve_is_half_a_second_and_at_most_a_fifth(budget_s: float, reserve_s: float) -> None:
    assert Deadline(budget_s).reserve() == pytest.approx(reserve_s)


def test_an_upstream_gets_its_limit_or_the_rest_less_the_reserve() -> None:
    clock = ManualClock()
    deadline = Deadline(30.0, clock)
    assert deadline.for_upstream(10.0) == 10.0
    assert deadline.for_upstream(30.0) == 29.5
    clock.advance(25.0)
    assert deadline.for_upstream(10.0) == 4.5
    clock.advance(4.9)
    assert deadline.for_upstream(10.0) == 0.0


@pytest.mark.parametrize("budget_s", [0.0, -1.0, math.nan])
def test_a_budget_must_be_positive(budget_s: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Deadline(budget_s)


@given(st.floats(0.1, 3600), st.floats(0, 4000), st.floats(0.001, 3600))
def test_upstream_time_and_reserve_never_exceed_what_remains(budget_s: float, passed_s: float, limit_s: float) -> None:
    clock = ManualClock(0.0)
    deadline = Deadline(budget_s, clock)
    clock.advance(passed_s)
    granted_s = deadline.for_upstream(limit_s)
    assert 0 <= granted_s <= limit_s
    assert granted_s == 0 or granted_s + deadline.reserve() <= deadline.remaining() + 1e-9


async def test_a_block_ends_after_its_own_time() -> None:
    with pytest.raises(TimeoutError):
        async with Deadline(10.0).timeout(0.01):
            await asyncio.get_running_loop().create_future()


async def test_a_deadline_that_is_brought_forward_ends_every_block_within_it() -> None:
    deadline = Deadline(1000.0)

    async def waiting(limit_s: float) -> None:
        async with deadline.timeout(limit_s):
            await asyncio.get_running_loop().create_future()

    tasks = [asyncio.create_task(waiting(limit_s)) for limit_s in (500.0, 900.0)]
    await asyncio.sleep(0)
    deadline.expire()
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TimeoutError] * 2
    assert (deadline.expired, deadline.remaining(), deadline.for_upstream(10.0)) == (True, 0.0, 0.0)


async def test_what_was_over_before_is_left_alone_when_a_deadline_is_brought_forward() -> None:
    deadline = Deadline(1000.0)
    async with deadline.timeout(500.0):
        pass
    deadline.expire()
    deadline.expire()
    await asyncio.sleep(0.01)  # a block that were still bound would be cancelled here
