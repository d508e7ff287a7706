"""A short line for callers who find every place taken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from opuscine.errors import OpusCineError

T = TypeVar("T")


class OverloadedError(OpusCineError):
    """Say that every place is taken and none came free in time."""


class WaitingLine(Generic[T]):
    """Hand out places, first come, first served; who finds none waits at most `wait_s`, and at most `longest()` callers wait.

    The line knows neither how many places there are nor what they are: `take()` returns one, or None while there is none. Whoever frees
    places calls `move()`. A cancelled caller leaves neither a place nor its turn behind. All of one event loop.
    """

    def __init__(
        self, take: Callable[[], T | None], give_back: Callable[[T], None], *, longest: Callable[[], int], wait_s: float = 0.1
    ) -> None:
        """Start with nobody waiting. `give_back` gets a place whose caller has left; what `take` raises, its caller gets."""
        self._take = take
        self._give_back = give_back
        self._longest = longest
        self._wait_s = wait_s
        self._queue: deque[asyncio.Future[T]] = deque()
        self.refused = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._queue)

    async def enter(self) -> T:
        """Return a place.

        Raises:
            OverloadedError: there is none, and none came free in time.
        """
        if not self._queue and (place := self._take()) is not None:
            return place
        if self._wait_s <= 0 or len(self._queue) >= self._longest():
            self.refused += 1
            raise OverloadedError("every place is taken" + (f" and {len(self._queue)} callers wait" if self._queue else ""))
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self._wait_s):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_back(turn.result())  # it came in the moment we left
            else:
                with suppress(ValueError):  # a move may have passed over it already
                    self._queue.remove(turn)
            if isinstance(error, TimeoutError):
                self.refused += 1
                raise OverloadedError(f"every place stayed taken for {self._wait_s} s") from None
            raise

    def move(self) -> None:
        """Let those go in for whom there is a place now."""
        while self._queue:
            turn = self._queue[0]
            if turn.done():
                del self._queue[0]
                continue
            try:
                place = self._take()
            except Exception as error:  # whatever it is, it is the answer to whoever waits for a place
                del self._queue[0]
                turn.set_exception(error)
                continue
            if place is None:
                return
            del self._queue[0]
            turn.set_result(place)
