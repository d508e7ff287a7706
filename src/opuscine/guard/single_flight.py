"""One call for all who ask the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from opuscine.errors import OpusCineError

KeyT = TypeVar("KeyT", bound=Hashable)
T = TypeVar("T")
HURRIED_S = 1.0  # within which a call that was told to hurry has to end


class FlightCancelledError(OpusCineError):
    """Say that the shared call was cancelled from outside, while this caller still waited for it."""


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    hurry: Callable[[], None] | None
    waiting: int = 0


class SingleFlight(Generic[KeyT, T]):
    """Share calls that are under way: who asks for a key that is being asked for waits for that answer. Nothing is kept afterwards.

    The call runs in a task of its own, so that a caller who leaves, cancelled or because its time is up, leaves the others waiting. When
    the last one is cancelled, so is the call; when the last one's time is up, the call is told to hurry, so that it ends by a timeout
    of its own and not by a cancellation, which says nothing to those who watch it. All of one event loop.
    """

    def __init__(self) -> None:
        """Start with nothing under way."""
        self._flights: dict[KeyT, _Flight[T]] = {}
        self._hurried: set[asyncio.Task[T]] = set()  # the loop itself holds tasks only weakly
        self.started = 0
        self.joined = 0  # calls that were saved

    def __len__(self) -> int:
        """Return how many calls are under way and may be joined."""
        return len(self._flights)

    def __contains__(self, key: object) -> bool:
        """Tell whether a call for the key is under way."""
        return key in self._flights

    async def run(
        self,
        key: KeyT,
        factory: Callable[[], Coroutine[Any, Any, T]],
        *,
        wait_s: float | None = None,
        hurry: Callable[[], None] | None = None,
    ) -> T:
        """Return what the call for `key` returns, or raise what it raises; `factory()` makes the call if none is under way.

        The caller waits for at most `wait_s` seconds. `hurry()` goes with the call that `factory` makes and brings it to its end soon;
        a call that has none, or does not end within a second, is cancelled.

        Raises:
            TimeoutError: this caller's time is up.
            FlightCancelledError: somebody else than its callers cancelled the call.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._start(key, factory, hurry)
        else:
            self.joined += 1
        flight.waiting += 1
        time_is_up = False
        try:
            time_is_up = not await _ends_within(flight.task, wait_s)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._leave(key, flight, hurry=time_is_up)
        if time_is_up:
            raise TimeoutError("the shared call did not end in this caller's time")
        if flight.task.cancelled():
            raise FlightCancelledError("the shared call was cancelled")
        return flight.task.result()

    def _start(self, key: KeyT, factory: Callable[[], Coroutine[Any, Any, T]], hurry: Callable[[], None] | None) -> _Flight[T]:
        flight = _Flight(asyncio.create_task(factory()), hurry)
        self.started += 1
        self._flights[key] = flight
        flight.task.add_done_callback(lambda _: self._end(key, flight))
        return flight

    def _leave(self, key: KeyT, flight: _Flight[T], *, hurry: bool) -> None:
        """Bring a call to its end that nobody waits for any more."""
        self._end(key, flight)
        if not hurry or flight.hurry is None:
            flight.task.cancel()
            return
        self._hurried.add(flight.task)
        flight.task.add_done_callback(self._hurried.discard)
        flight.hurry()
        asyncio.get_running_loop().call_later(HURRIED_S, flight.task.cancel)

    def _end(self, key: KeyT, flight: _Flight[T]) -> None:
        """Let the next caller make a new call."""
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.task.done() and not flight.task.cancelled():
            flight.task.exception()  # nobody may be left to ask for it


async def _ends_within(task: asyncio.Task[Any], wait_s: float | None) -> bool:
    """Wait for a task, however it ends, and say whether it has: `asyncio.wait` for one alone."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[bool] = loop.create_future()

    def wake(ended: object) -> None:
        if not waiter.done():
            waiter.set_result(ended is not None)

    timer = loop.call_later(wait_s, wake, None) if wait_s is not None else None
    task.add_done_callback(wake)
    try:
        return await waiter
    finally:
        task.remove_done_callback(wake)
        if timer is not None:
            timer.cancel()
