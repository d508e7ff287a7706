"""How many calls of one kind may run at once."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from types import TracebackType

from opuscine.errors import OpusCineError


class OverloadedError(OpusCineError):
    """Say that every slot is taken and none came free in time."""


class ConcurrencyLimit:
    """Bound the calls that run at once: `async with limit:` holds one slot, first come, first served.

    When all are taken a caller waits at most `wait_s`, and at most as many wait as there are slots; then it gets `OverloadedError`.
    A cancelled caller leaves neither a slot nor its place in the queue behind.
    """

    def __init__(self, maximum: int, *, wait_s: float = 0.1) -> None:
        """Start with `maximum` free slots.

        Raises:
            ValueError: the maximum is below 1.
        """
        if maximum < 1:
            raise ValueError(f"a concurrency limit is at least 1, not {maximum!r}")
        self.maximum = maximum
        self._wait_s = wait_s
        self._in_use = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def in_use(self) -> int:
        """Return the number of slots taken now."""
        return self._in_use

    @property
    def waiting(self) -> int:
        """Return the number of callers in the queue now."""
        return len(self._queue)

    async def __aenter__(self) -> None:
        """Take a slot.

        Raises:
            OverloadedError: none is free and none came free in time.
        """
        if self._in_use < self.maximum:
            self._in_use += 1
            return
        if self._wait_s <= 0 or len(self._queue) >= self.maximum:
            raise OverloadedError(f"all {self.maximum} slots are taken")
        handed_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(handed_over)
        try:
            async with asyncio.timeout(self._wait_s):
                await handed_over
        except BaseException as error:
            if handed_over.done() and not handed_over.cancelled():
                self._release()  # the slot came in the moment we left
            else:
                with suppress(ValueError):  # a release may have passed over it already
                    self._queue.remove(handed_over)
            if isinstance(error, TimeoutError):
                raise OverloadedError(f"all {self.maximum} slots stayed taken for {self._wait_s} s") from None
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Give the slot back, or on to the longest waiting caller."""
        self._release()

    def _release(self) -> None:
        while self._queue:
            handed_over = self._queue.popleft()
            if not handed_over.done():
                handed_over.set_result(None)
                return
        self._in_use -= 1
