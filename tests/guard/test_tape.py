"""Whoever follows a call gets all that it gives, from the first item on, and ends with it."""

from __future__ import annotations

import asyncio

from opuscine.guard.tape import Tape


async def collect(tape: Tape[int], call: asyncio.Future[None]) -> list[int]:
    return [item async for item in tape.follow(call)]


async def test_all_who_follow_get_all_items_whenever_they_began() -> None:
    tape, call = Tape[int](), asyncio.get_running_loop().create_future()
    early = asyncio.create_task(collect(tape, call))
    await asyncio.sleep(0)
    tape.add(1)
    await asyncio.sleep(0)
    late = asyncio.create_task(collect(tape, call))
    tape.add(2)
    tape.add(3)
    call.set_result(None)
    tape.add(4)  # before those who follow have looked
    assert list(await asyncio.gather(early, late, collect(tape, call))) == [[1, 2, 3, 4]] * 3


async def test_a_call_that_fails_ends_those_who_follow_with_what_there_was() -> None:
    tape, call = Tape[int](), asyncio.get_running_loop().create_future()
    following = asyncio.create_task(collect(tape, call))
    tape.add(1)
    await asyncio.sleep(0)
    call.set_exception(LookupError("no more"))
    assert await following == [1]
    assert isinstance(call.exception(), LookupError)


async def test_one_who_is_slow_misses_nothing_that_came_meanwhile() -> None:
    tape, call = Tape[int](), asyncio.get_running_loop().create_future()
    tape.add(1)
    following = tape.follow(call)
    assert await anext(following) == 1
    tape.add(2)
    call.set_result(None)
    tape.add(3)
    assert [item async for item in following] == [2, 3]
