"""What was asked for in vain a moment ago."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from opuscine.model import TitleRef


class Misses:
    """Remember for `ttl_s` seconds that a title has no link in a region; at most `maximum` of them, the oldest go first.

    A lifetime of 0 remembers nothing.
    """

    def __init__(self, *, ttl_s: float, maximum: int = 20_000, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing remembered."""
        self._ttl_s = ttl_s
        self._maximum = maximum
        self._clock = clock
        self._until: OrderedDict[tuple[TitleRef, str], float] = OrderedDict()  # by age, as all live equally long

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._until)

    def add(self, ref: TitleRef, region: str) -> None:
        """Remember a miss from now on."""
        if self._ttl_s <= 0:
            return
        now = self._clock()
        self._until.pop((ref, region), None)
        self._until[ref, region] = now + self._ttl_s
        for _ in range(2):  # two out for one in, so that the past goes
            oldest = next(iter(self._until))
            if self._until[oldest] > now and len(self._until) <= self._maximum:
                break
            del self._until[oldest]

    def has(self, ref: TitleRef, region: str) -> bool:
        """Tell whether a miss is remembered."""
        until = self._until.get((ref, region))
        return until is not None and until > self._clock()
