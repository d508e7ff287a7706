"""How long one request may wait for Redis in all."""

from __future__ import annotations

import time
from collections.abc import Callable

from opuscine.guard.deadline import Deadline


class RedisBudget:
    """Count down the time that one request's uses of Redis take: each gets what the ones before it left.

    Only time spent waiting for Redis counts. Uses that overlap are counted one by one, so that the sum is never above the budget.
    """

    __slots__ = ("_clock", "_deadline", "_left_s", "_whole")

    def __init__(self, budget_s: float, clock: Callable[[], float] = time.monotonic, deadline: Deadline | None = None) -> None:
        """Start with all of `budget_s` seconds, which never reach beyond the request's deadline."""
        self._left_s = budget_s
        self._clock = clock
        self._deadline = deadline
        self._whole: RedisBudget | None = None

    def under(self, deadline: Deadline) -> RedisBudget:
        """Return what is left for work under another deadline, which may outlast the request; what it spends is spent here too."""
        part = RedisBudget(self._left_s, self._clock, deadline)
        part._whole = self
        return part

    @property
    def remaining_s(self) -> float:
        """Return the seconds left, never below 0.0."""
        left_s = self._left_s if self._deadline is None else min(self._left_s, self._deadline.remaining())
        return max(0.0, left_s)

    def now(self) -> float:
        """Return the reading of the clock that `spend_since` compares with."""
        return self._clock()

    def spend_since(self, began: float) -> None:
        """Take the time from `began` until now off the budget."""
        self._left_s -= self._clock() - began
        if self._whole is not None:
            self._whole.spend_since(began)
