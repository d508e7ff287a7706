"""The line before places that are taken."""

from __future__ import annotations

import asyncio

import pytest

from opuscine.guard.waiting_line import OverloadedError, WaitingLine


class Places:
    """Numbered places, with a line before them."""

    def __init__(self, number: int, *, wait_s: float = 30.0, longest: int = 100) -> None:
        self.free = list(range(number))
        self.error: Exception | None = None
        self.line: WaitingLine[int] = WaitingLine(self.take, self.give_back, longest=lambda: longest, wait_s=wait_s)

    def take(self) -> int | None:
        if self.error is not None:
            raise self.error
        return self.free.pop(0) if self.free else None

    def give_back(self, place: int) -> None:
        self.free.append(place)
        self.line.move()


async def spin() -> None:
    """Let every ready task run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_a_place_does_not_wait() -> None:
    places = Places(2, wait_s=0.0)
    assert [await places.line.enter(), await places.line.enter()] == [0, 1]
    assert places.line.refused == 0


async def test_a_full_line_refuses_at_once_when_nobody_may_wait() -> None:
    places = Places(0, wait_s=0.0)
    with pytest.raises(OverloadedError, match="every place is taken"):
        await places.line.enter()
    assert places.line.refused == 1


async def test_a_caller_waits_shortly_and_is_then_refused() -> None:
    places = Places(0, wait_s=0.01)
    with pytest.raises(OverloadedError, match="stayed taken"):
        await places.line.enter()
    assert (len(places.line), places.line.refused) == (0, 1)


async def test_freed_places_go_to_those_who_wait_in_their_order_and_no_newcomer_overtakes_them() -> None:
    places = Places(0)
    order: list[int] = []

    async def wait(number: int) -> None:
        await places.line.enter()
        order.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(3)]
    await spin()
    places.free.append(0)  # and nobody has told the line yet
    tasks.append(asyncio.create_task(wait(3)))
    await spin()
    assert (order, len(places.line)) == ([], 4)
    for place in range(4):
        places.give_back(place)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]


async def test_no_more_wait_than_may() -> None:
    places = Places(0, longest=1)
    waiter = asyncio.create_task(places.line.enter())
    await spin()
    with pytest.raises(OverloadedError, match="1 callers wait"):
        await places.line.enter()
    places.give_back(7)
    assert await waiter == 7


async def test_a_cancelled_waiter_leaves_its_turn() -> None:
    places = Places(0)
    first, second = (asyncio.create_task(places.line.enter()) for _ in range(2))
    await spin()
    first.cancel()
    await asyncio.wait({first})
    assert len(places.line) == 1
    places.give_back(5)
    assert await second == 5


@pytest.mark.parametrize("cancel_first", [True, False])
async def test_a_waiter_cancelled_in_the_moment_of_its_turn_loses_no_place(cancel_first: bool) -> None:
    places = Places(0)
    waiter = asyncio.create_task(places.line.enter())
    await spin()
    if cancel_first:
        waiter.cancel()
        places.give_back(3)
    else:
        places.give_back(3)
        waiter.cancel()
    await asyncio.wait({waiter})
    assert waiter.cancelled()
    assert (places.free, len(places.line)) == ([3], 0)


async def test_what_taking_a_place_raises_is_the_answer_to_newcomers_and_to_those_who_wait() -> None:
    places = Places(0)
    waiters = [asyncio.create_task(places.line.enter()) for _ in range(2)]
    await spin()
    places.error = LookupError("no server is left")
    places.line.move()
    assert [type(outcome) for outcome in await asyncio.gather(*waiters, return_exceptions=True)] == [LookupError, LookupError]
    with pytest.raises(LookupError):
        await places.line.enter()
    assert (len(places.line), places.line.refused) == (0, 0)
