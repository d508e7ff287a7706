"""A phase tells those that stay too long, in their order, and nobody else."""

from __future__ import annotations

import asyncio

from opuscine.connections.phase import Phase


class Guest:
    """Something that can be in a phase."""

    def __init__(self, told: list[Guest]) -> None:
        """Write down here that it was told."""
        self.told = told

    def overdue(self, phase: Phase) -> None:
        """Write down that it came."""
        assert phase.limit_s < 1
        self.told.append(self)

    def evict(self) -> bool:
        """Never."""
        return False


async def test_those_that_stay_too_long_are_told_once_and_in_order() -> None:
    phase, told = Phase("test", 0.05), list[Guest]()
    loop = asyncio.get_running_loop()
    first, second = Guest(told), Guest(told)
    phase.enter(first, loop)
    await asyncio.sleep(0.02)
    phase.enter(second, loop)
    assert list(phase) == [first, second]
    async with asyncio.timeout(5):
        while len(told) < 2:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    assert told == [first, second]
    assert len(phase) == 0


async def test_who_leaves_or_enters_again_is_not_told_too_early() -> None:
    phase, told = Phase("test", 0.2), list[Guest]()
    loop = asyncio.get_running_loop()
    left, again, stays = Guest(told), Guest(told), Guest(told)
    began = loop.time()
    for guest in (left, again, stays):
        phase.enter(guest, loop)
    phase.leave(left)
    phase.leave(left)
    await asyncio.sleep(0.1)
    phase.leave(again)
    phase.enter(again, loop)
    async with asyncio.timeout(5):
        while again not in told:
            await asyncio.sleep(0.005)
    assert loop.time() - began >= 0.3
    assert told == [stays, again]


async def test_a_closed_phase_tells_nobody() -> None:
    phase, told = Phase("test", 0.02), list[Guest]()
    phase.enter(Guest(told), asyncio.get_running_loop())
    phase.close()
    await asyncio.sleep(0.06)
    assert told == []
