"""The moment by which an answer must have left."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """Count down one request's time; every part that waits asks it how long it may."""

    __slots__ = ("_clock", "_ends_at", "budget_s")

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
