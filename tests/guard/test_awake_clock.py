"""The clock that counts only while the event loop turns."""

from __future__ import annotations

import asyncio
import time

import pytest

from opuscine.guard.awake_clock import BEAT_S, MOST_S, AwakeClock
from support.manual_clock import ManualClock

HELD_UP_S = 0.5


async def test_it_goes_on_while_the_loop_turns() -> None:
    with AwakeClock() as clock:
        began = clock()
        async with asyncio.timeout(30.0):
            while clock() - began < 4 * MOST_S:
                await asyncio.sleep(BEAT_S)


async def test_it_stands_still_while_the_loop_is_held_up() -> None:
    with AwakeClock() as clock:
        before = clock()
        time.sleep(HELD_UP_S)  # noqa: ASYNC251  that is the fault
        assert clock() - before <= MOST_S
        await asyncio.sleep(0)
        assert clock() - before <= HELD_UP_S / 2, "nor does it make up for it afterwards"


async def test_it_never_goes_back_and_outside_of_its_block_all_time_counts() -> None:
    time_s = ManualClock()
    clock = AwakeClock(time_s)
    seen = [clock()]
    time_s.advance(10.0)
    seen.append(clock())
    assert seen[1] - seen[0] == pytest.approx(10.0)
    with clock:
        time_s.advance(10.0)
        seen.append(clock())
    seen.append(clock())
    time_s.advance(10.0)
    seen.append(clock())
    assert seen[2] - seen[1] == pytest.approx(MOST_S)
    assert seen[3] == seen[2]
    assert seen[4] - seen[3] == pytest.approx(10.0)
