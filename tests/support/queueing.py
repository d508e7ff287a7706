"""A simulated upstream for limiters: callers in a closed loop, and an answer time that depends on how many calls are under way."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from opuscine.guard.adaptive_limit import AdaptiveLimit, Slot
from support.manual_clock import ManualClock

AnswerTime = Callable[[float, int, random.Random], float]  # from seconds since the start, calls under way and chance


def knee(at: int, *, quick_s: float = 0.06, slow_s: float = 2.0) -> AnswerTime:
    """Answer quickly, but slowly when more calls than this are under way; 10 % of chance in both."""
    return lambda _, running, chance: (quick_s if running <= at else slow_s) * chance.uniform(0.9, 1.1)


@dataclass
class Queueing:
    """Callers who ask again as soon as they are answered, and after `pause_s` when they were turned away. The same at each run."""

    limit: AdaptiveLimit
    clock: ManualClock
    answer_s: AnswerTime
    callers: int = 100
    pause_s: float = 0.2
    answered: int = 0
    limits: list[int] = field(default_factory=list)  # the limit at each full second

    def __post_init__(self) -> None:
        """Let the callers come within the first pause."""
        self._chance = random.Random(7)
        self._began = self.clock.now
        self._order = itertools.count()
        self._running = 0
        self._events: list[tuple[float, int, Slot | None]] = []  # when; who came first of those at once; what ends, or None: someone asks
        for _ in range(self.callers):
            self._later(self._chance.uniform(0, self.pause_s), None)

    def run(self, seconds: float) -> float:
        """Go on for so long, and return the answers per second in it."""
        ends_at, before = self.clock.now + seconds, self.answered
        while self._events and self._events[0][0] <= ends_at:
            at, _, slot = heapq.heappop(self._events)
            self._note_limits(until=at)
            self.clock.now = at
            self._ask() if slot is None else self._end(slot)
        self._note_limits(until=ends_at)
        self.clock.now = ends_at
        return (self.answered - before) / seconds

    def _note_limits(self, until: float) -> None:
        while self._began + len(self.limits) <= until:
            self.limits.append(self.limit.limit)

    def _ask(self) -> None:
        slot = self.limit.begin()
        if slot is None:
            self._later(self.pause_s * self._chance.uniform(0.5, 1.5), None)
            return
        self._running += 1
        self._later(self.answer_s(self.clock.now - self._began, self._running, self._chance), slot)

    def _end(self, slot: Slot) -> None:
        slot.answered()
        slot.end()
        self._running -= 1
        self.answered += 1
        self._later(0.001, None)

    def _later(self, by_s: float, slot: Slot | None) -> None:
        heapq.heappush(self._events, (self.clock.now + by_s, next(self._order), slot))
