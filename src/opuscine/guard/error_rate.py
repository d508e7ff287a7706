"""The share of calls that went badly over the last seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

BUCKETS = 10


@dataclass(frozen=True, slots=True)
class ErrorRateLimit:
    """Say which share of bad calls is too many. A call that took `slow_s` or longer is bad even if it succeeded."""

    window_s: float = 30.0
    minimum_calls: int = 20
    share: float = 0.5
    slow_s: float | None = None


class ErrorRate:
    """Keep the outcomes of a sliding window in ten buckets, so that its size does not grow with the traffic.

    Times are readings of one monotonic clock, given by the caller.
    """

    def __init__(self, limit: ErrorRateLimit) -> None:
        """Start with an empty window."""
        self.limit = limit
        self._bucket_s = limit.window_s / BUCKETS
        self._buckets: deque[list[int]] = deque()  # [number, calls, bad calls], oldest first
        self._calls = 0
        self._bad = 0

    def record(self, now: float, *, failed: bool, took_s: float) -> bool:
        """Add one outcome, and tell whether it was a bad one: failed, or too slow."""
        number = self._forget(now)
        bad = failed or (self.limit.slow_s is not None and took_s >= self.limit.slow_s)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0])
        self._buckets[-1][1] += 1
        self._buckets[-1][2] += bad
        self._calls += 1
        self._bad += bad
        return bad

    def exceeded(self, now: float) -> bool:
        """Tell whether there were enough calls to judge, and too many of them bad."""
        self._forget(now)
        return self._calls >= self.limit.minimum_calls and self._bad >= self.limit.share * self._calls

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self._calls = self._bad = 0

    def _forget(self, now: float) -> int:
        number = int(now / self._bucket_s)
        while self._buckets and self._buckets[0][0] <= number - BUCKETS:
            _, calls, bad = self._buckets.popleft()
            self._calls -= calls
            self._bad -= bad
        return number
