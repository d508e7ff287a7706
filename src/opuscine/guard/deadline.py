"""The moment by which an answer must have left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType


class Deadline:
    """Count down the time of one request, or of a call that several share; every part that waits asks it how long it may."""

    __slots__ = ("_clock", "_ends_at", "_timeouts", "budget_s")

    def __init__(self, budget_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start now, `budget_s` seconds before the end.

        Raises:
            ValueError: the budget is not a positive number.
        """
        if not budget_s > 0:
            raise ValueError(f"a deadline needs a budget above 0 s, not {budget_s!r}")
        self.budget_s = budget_s
        self._clock = clock
        self._ends_at = clock() + budget_s
        self._timeouts: set[asyncio.Timeout] | None = None  # made when the first block is bound

    @classmethod
    def after(cls, budget_s: float, *, started_at: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
        """Build the deadline of a request that began at `started_at` of the same clock, perhaps a while ago."""
        deadline = cls(budget_s, clock)
        deadline._ends_at = started_at + budget_s
        return deadline

    def remaining(self) -> float:
        """Return the seconds left, 0.0 once they are used up."""
        return max(0.0, self._ends_at - self._clock())

    @property
    def expired(self) -> bool:
        """Tell whether the time is used up."""
        return self._clock() >= self._ends_at

    def reserve(self) -> float:
        """Return the seconds kept back for the answer after an upstream call: 0.5, at most a fifth of the budget."""
        return min(0.5, self.budget_s / 5)

    def for_upstream(self, limit_s: float) -> float:
        """Return the seconds an upstream call may take: its own limit or what remains less the reserve; 0.0 means don't call."""
        return max(0.0, min(limit_s, self.remaining() - self.reserve()))

    def timeout(self, limit_s: float) -> BoundBlock:
        """Bound an `async with` block to `limit_s` seconds, as `asyncio.timeout` does, and to what `expire` leaves of them.

        Raises:
            TimeoutError: the seconds are over, or the deadline was brought forward.
        """
        if self._timeouts is None:
            self._timeouts = set()
        return BoundBlock(limit_s, self._timeouts)

    def expire(self) -> None:
        """Bring the end forward to now: blocks within `timeout` end as if their own time were up, and nothing further is begun."""
        self._ends_at = min(self._ends_at, self._clock())
        now = asyncio.get_running_loop().time()
        for bound in self._timeouts or ():
            if not bound.expired():
                bound.reschedule(now)


class BoundBlock:
    """One block that a deadline bounds. A plain object: a generator made into a context manager costs more."""

    __slots__ = ("_bound", "_bounds")

    def __init__(self, limit_s: float, bounds: set[asyncio.Timeout]) -> None:
        """Take the deadline's blocks, among which this one is while it runs."""
        self._bound = asyncio.timeout(limit_s)
        self._bounds = bounds

    async def __aenter__(self) -> None:
        """Begin."""
        await self._bound.__aenter__()
        self._bounds.add(self._bound)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """End, as `asyncio.timeout` does."""
        self._bounds.discard(self._bound)
        await self._bound.__aexit__(kind, error, traceback)
