"""How many of the calls to an upstream may be repetitions, so that retries never multiply the load of one that fails."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

BUCKETS = 10


@dataclass(frozen=True, slots=True)
class RetryBudgetInfo:
    """Counters since the start of the process, for metrics."""

    calls: int
    spent: int
    denied: int


class RetryBudget:
    """Allow `floor` repetitions in any `window_s` seconds, and one more for each 1/`share` calls begun in them.

    As the retry budgets of Finagle (`RetryBudget`: a share of requests plus a minimum, over a sliding time) and Envoy (`retry_budget`:
    `budget_percent` plus `min_retry_concurrency`). The floor lets a quiet service repeat; on a busy one it is lost in the share.
    """

    def __init__(self, *, share: float = 0.1, floor: int = 10, window_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with an empty window."""
        self.share = share
        self.floor = floor
        self._bucket_s = window_s / BUCKETS
        self._clock = clock
        self._buckets: deque[list[int]] = deque()  # [number, calls, repetitions], oldest first
        self._calls = 0
        self._spent = 0
        self._denied = 0

    def note_call(self) -> None:
        """Count a call that is no repetition."""
        self._bucket()[1] += 1
        self._calls += 1

    def spend(self) -> bool:
        """Count a repetition if the budget has one left, and say so."""
        bucket = self._bucket()
        calls, spent = (sum(counts) for counts in zip(*((kept[1], kept[2]) for kept in self._buckets), strict=True))
        if spent >= self.floor + math.floor(self.share * calls):
            self._denied += 1
            return False
        bucket[2] += 1
        self._spent += 1
        return True

    @property
    def info(self) -> RetryBudgetInfo:
        """Return the counters as of now."""
        return RetryBudgetInfo(self._calls, self._spent, self._denied)

    def _bucket(self) -> list[int]:
        number = int(self._clock() / self._bucket_s)
        while self._buckets and self._buckets[0][0] <= number - BUCKETS:
            self._buckets.popleft()
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0])
        return self._buckets[-1]
