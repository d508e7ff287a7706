"""One call for all who ask the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from opuscine.errors import OpusCineError

KeyT = TypeVar("KeyT", bound=Hashable)
T = TypeVar("T")


class FlightCancelledError(OpusCineError):
    """Say that the shared call was cancelled from outside, while this caller still waited for it."""


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0


class SingleFlight(Generic[KeyT, T]):
    """Share calls that are under way: who asks for a key that is being asked for waits for that answer. Nothing is kept afterwards.

    The call runs in a task of its own, so that a caller who is cancelled leaves the others waiting; when the last one has left, the
    call is cancelled. All of one event loop.
    """

    def __init__(self) -> None:
        """Start with nothing under way."""
        self._flights: dict[KeyT, _Flight[T]] = {}

    def __len__(self) -> int:
        """Return how many calls are under way."""
        return len(self._flights)

    def __contains__(self, key: object) -> bool:
        """Tell whether a call for the key is under way."""
        return key in self._flights

    async def run(self, key: KeyT, factory: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the call for `key` returns, or raise what it raises; `factory()` makes the call if none is under way.

        Raises:
            FlightCancelledError: somebody else than its callers cancelled the call.
        """
        flight = self._flights.get(key) or self._start(key, factory)
        flight.waiting += 1
        try:
            await asyncio.wait((flight.task,))
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._end(key, flight)
                flight.task.cancel()
        if flight.task.cancelled():
            raise FlightCancelledError(f"the call for {key!r} was cancelled")
        return flight.task.result()

    def _start(self, key: KeyT, factory: Callable[[], Coroutine[Any, Any, T]]) -> _Flight[T]:
        flight = _Flight(asyncio.create_task(factory()))
        self._flights[key] = flight
        flight.task.add_done_callback(lambda _: self._end(key, flight))
        return flight

    def _end(self, key: KeyT, flight: _Flight[T]) -> None:
        """Let the next caller make a new call."""
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.task.done() and not flight.task.cancelled():
            flight.task.exception()  # nobody may be left to ask for it
