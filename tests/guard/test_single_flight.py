"""One call for all who ask the same at the same time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from opuscine.guard.single_flight import FlightCancelledError, SingleFlight


class Call:
    """A call that ends when it is told how, and counts how often it was made and cancelled."""

    def __init__(self) -> None:
        self.made = 0
        self.cancelled = 0
        self.ends: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.made += 1
        try:
            return await asyncio.shield(self.ends)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def callers(flights: SingleFlight[str, str], count: int, call: Callable[[], Coroutine[Any, Any, str]]) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(flights.run("key", call)) for _ in range(count)]


async def spin() -> None:
    """Let every ready task run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_hundred_callers_share_one_call() -> None:
    flights, call = SingleFlight[str, str](), Call()
    asking = callers(flights, 100, call)
    await spin()
    assert ("key" in flights, len(flights)) == (True, 1)
    call.ends.set_result("answer")
    assert await asyncio.gather(*asking) == ["answer"] * 100
    assert call.made == 1


async def test_different_keys_are_different_calls() -> None:
    flights, call = SingleFlight[str, str](), Call()
    asking = [asyncio.create_task(flights.run(key, call)) for key in ("one", "two")]
    await spin()
    assert call.made == 2
    call.ends.set_result("answer")
    await asyncio.gather(*asking)


async def test_nothing_is_kept() -> None:
    flights, call = SingleFlight[str, str](), Call()
    call.ends.set_result("answer")
    assert [await flights.run("key", call) for _ in range(3)] == ["answer"] * 3
    assert call.made == 3
    await spin()
    assert len(flights) == 0


async def test_an_error_goes_to_all_and_is_not_kept_either() -> None:
    flights, call = SingleFlight[str, str](), Call()
    asking = callers(flights, 3, call)
    await spin()
    call.ends.set_exception(LookupError("no"))
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LookupError] * 3
    await spin()
    call.ends = asyncio.get_running_loop().create_future()
    call.ends.set_result("answer")
    assert await flights.run("key", call) == "answer"


@pytest.mark.parametrize("leaver", [0, 1, 2], ids=["the first", "the second", "the last"])
async def test_a_caller_that_leaves_leaves_the_others_waiting(leaver: int) -> None:
    flights, call = SingleFlight[str, str](), Call()
    asking = callers(flights, 3, call)
    await spin()
    asking[leaver].cancel()
    await spin()
    assert asking[leaver].cancelled()
    assert call.cancelled == 0
    call.ends.set_result("answer")
    assert sorted(map(str, await asyncio.gather(*asking, return_exceptions=True))) == ["", "answer", "answer"]


async def test_when_the_last_has_left_the_call_is_cancelled_and_the_next_caller_makes_a_new_one() -> None:
    flights, call = SingleFlight[str, str](), Call()
    asking = callers(flights, 2, call)
    await spin()
    for task in asking:
        task.cancel()
    late = asyncio.create_task(flights.run("key", call))
    await spin()
    assert (call.made, call.cancelled) == (2, 1)
    later = asyncio.create_task(flights.run("key", call))
    await spin()
    assert call.made == 2  # the end of the cancelled call has not ended the new one
    call.ends.set_result("answer")
    assert [await late, await later] == ["answer", "answer"]


async def test_a_call_that_fails_while_it_is_cancelled_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is left to be told, and asyncio must not complain that nobody asked."""
    flights = SingleFlight[str, str]()

    async def stubborn() -> str:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            raise LookupError("while leaving")

    [task] = callers(flights, 1, stubborn)
    await spin()
    task.cancel()
    await spin()
    assert task.cancelled()
    del task
    gc.collect()
    assert not caplog.records


async def test_a_call_that_is_cancelled_from_outside_is_an_error_and_no_cancellation_of_its_callers() -> None:
    flights = SingleFlight[str, str]()

    async def doomed() -> str:
        raise asyncio.CancelledError

    asking = callers(flights, 2, doomed)
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [FlightCancelledError] * 2


async def test_a_call_that_cannot_even_begin_raises_to_its_caller() -> None:
    flights = SingleFlight[str, str]()

    def broken() -> Coroutine[Any, Any, str]:
        raise LookupError("no call")

    with pytest.raises(LookupError, match="no call"):
        await flights.run("key", broken)
    assert len(flights) == 0


class Hurried(Call):
    """A call that can be told to hurry: then it ends as `TimeoutError`, unless it is deaf."""

    def __init__(self, *, deaf: bool = False) -> None:
        super().__init__()
        self.told = 0
        self.deaf = deaf

    def hurry(self) -> None:
        self.told += 1
        if not self.deaf:
            self.ends.set_exception(TimeoutError("in a hurry"))


def impatient(flights: SingleFlight[str, str], call: Hurried, wait_s: float | None) -> asyncio.Task[str]:
    return asyncio.create_task(flights.run("key", call, wait_s=wait_s, hurry=call.hurry))


async def test_a_caller_whose_time_is_up_leaves_the_others_waiting() -> None:
    flights, call = SingleFlight[str, str](), Hurried()
    patient, hasty = impatient(flights, call, None), impatient(flights, call, 0.01)
    with pytest.raises(TimeoutError, match="this caller's time"):
        await hasty
    assert (call.told, call.cancelled) == (0, 0)
    call.ends.set_result("answer")
    assert await patient == "answer"
    assert (flights.started, flights.joined) == (1, 1)


async def test_when_the_last_ones_time_is_up_the_call_is_told_to_hurry_and_not_cancelled() -> None:
    flights, call = SingleFlight[str, str](), Hurried()
    outcomes = await asyncio.gather(*(impatient(flights, call, wait_s) for wait_s in (0.0, 0.01, 0.02)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TimeoutError] * 3
    assert "key" not in flights
    await spin()
    assert (call.told, call.cancelled) == (1, 0)


async def test_when_the_last_one_is_cancelled_so_is_the_call_even_if_others_ran_out_of_time_before() -> None:
    flights, call = SingleFlight[str, str](), Hurried()
    hasty, leaving = impatient(flights, call, 0.0), impatient(flights, call, None)
    await asyncio.wait({hasty})
    leaving.cancel()
    await spin()
    assert (call.told, call.cancelled) == (0, 1)
    assert isinstance(hasty.exception(), TimeoutError)


async def test_who_comes_after_a_call_was_told_to_hurry_makes_a_new_one() -> None:
    flights, call = SingleFlight[str, str](), Hurried(deaf=True)
    await asyncio.wait({impatient(flights, call, 0.0)})
    late = impatient(flights, call, None)
    await spin()
    assert call.made == 2
    call.ends.set_result("answer")
    assert await late == "answer"


async def test_a_call_that_does_not_hurry_is_cancelled_in_the_end() -> None:
    flights, call = SingleFlight[str, str](), Hurried(deaf=True)
    await asyncio.wait({impatient(flights, call, 0.0)})
    async with asyncio.timeout(10):
        while not call.cancelled:
            await asyncio.sleep(0.02)


async def test_a_call_that_knows_no_hurry_is_cancelled_when_time_is_up() -> None:
    flights, call = SingleFlight[str, str](), Call()
    with pytest.raises(TimeoutError):
        await flights.run("key", call, wait_s=0.0)
    await spin()
    assert call.cancelled == 1
