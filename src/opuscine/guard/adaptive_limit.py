"""How many calls an upstream takes at once before its answers become slow, learnt from the answers' times. Knows no event loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_LIMIT = 16  # where nothing is known: a quarter of the maximum, but no less than this
SLOW_FACTOR = 2.5  # times the base; below it, a queue at the upstream cannot be told from its usual variation
NEVER_SLOW_S = (
    0.02  # a busy loop of ours alone adds as much: with a model of 1 ms, eight callers at once were too many for the limit (measured)
)
CUT = 0.8
FULL_WINDOW = 20  # calls that a judgement needs; fewer at low limits, where they come rarely
LEAST_WINDOW = 10
FIRST_PAUSE_S = 20.0  # before a limit that was too high is tried again, doubled with each failure
LONGEST_PAUSE_S = 120.0
QUICKER, SLOWER, SLOWER_AND_FULL, ALONE = 0.05, 0.02, 0.005, 0.3  # how far the base follows a window; alone: slow without company
USUAL = 0.02  # how far the usual share of slow answers follows each answer
MOST_USUAL = 0.5


@dataclass(frozen=True, slots=True)
class AdaptiveLimitInfo:
    """The state of a limit, for metrics and `/admin/stats`."""

    limit: int
    max: int
    in_flight: int
    base_s: float | None  # the usual time to the first byte; None: not known yet
    cuts: int


class Slot:
    """The place of one call. Every slot must end."""

    __slots__ = ("_limit", "begun_at", "crowded", "ended", "judged", "under")

    def __init__(self, limit: AdaptiveLimit) -> None:
        """Begin now, as one more of those under way."""
        self._limit = limit
        self.crowded = limit.in_flight > 1  # others were under way when it began
        self.under = limit.limit
        self.begun_at = limit.clock()
        self.judged = False
        self.ended = False

    def begin_again(self) -> None:
        """Note that an attempt begins: what came before in this slot says nothing of the upstream's speed."""
        self.begun_at = self._limit.clock()

    def answered(self) -> None:
        """Note the first byte of a good answer; how long the rest takes depends on how much there is to say."""
        self._limit.note_answer(self)

    def end(self) -> None:
        """Give the place back, once."""
        if not self.ended:
            self.ended = True
            self._limit.note_end(self)


@dataclass(slots=True)
class _Window:
    """Calls that began one after the other under one limit, and how they did."""

    size: int
    open: set[Slot] = field(default_factory=set)  # not judged yet
    times: list[float] = field(default_factory=list)
    slow: int = 0
    slow_in_company: int = 0
    pressed: int = 0  # all places were taken at some moment of the call

    @property
    def quick(self) -> int:
        """Return how many were not slow."""
        return len(self.times) - self.slow

    @property
    def full(self) -> bool:
        """Tell whether at least half of the calls judged saw all places taken: only then do they tell of this limit."""
        return 2 * self.pressed >= len(self.times)

    def lower_quartile(self) -> float:
        """Return the time that a quarter of the calls stayed within. Half of them must be judged."""
        return sorted(self.times)[(self.size - 1) // 4]


class AdaptiveLimit:
    """Bound the calls to one upstream, between 1 and `maximum`, near the number beyond which its answers become slow.

    Calls are judged in windows of those that began under the present limit, the quick ones and the slow ones alike. When half of a
    window took more than 2.5 times the base (and 20 ms) the limit is cut by a fifth, and the number that was too high is remembered: it
    is tried again after 20 s, and ever more rarely while that fails, be it only the next number that does, soon after. A window that was
    not slow raises the limit by one if half of its calls saw all places taken, and doubles it until the first slow window, which then
    only goes back to the last good number.

    The base is the lower quartile of windows. It follows them, but upwards only while no number is known to be too high, so that a
    queue that grows is not taken for the usual. Where long answers are usual among short ones, that share is forgiven: half of the
    others must be slow. How calls did under a limit known to be too high is not the usual. A call that ran alone and was slow has other
    reasons than company: a window of such calls moves the base, not the limit.

    A call is slow from the moment that it should have been answered, whether an answer, an error or nothing comes. An error before that
    says nothing.
    """

    def __init__(self, maximum: int, *, first: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Start at `first`, or at a quarter of the maximum (at least 16, where the maximum allows it).

        Raises:
            ValueError: the maximum is below 1.
        """
        if maximum < 1:
            raise ValueError(f"a concurrency limit is at least 1, not {maximum!r}")
        self.maximum = maximum
        self.clock = clock
        self.limit = min(maximum, max(FIRST_LIMIT, maximum // 4) if first is None else max(1, first))
        self.in_flight = 0
        self.base_s: float | None = None
        self._doubling = True
        self._good = max(1, self.limit // 2)  # the last limit that was not too high; half of the first is taken for that
        self._ceiling: int | None = None  # what was too high the last time
        self._overcome: int | None = None  # the last ceiling that was tried and looked good
        self._overcome_at = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._try_ceiling_at = 0.0
        self._usually_slow = 0.0  # share of answers
        self._cuts = 0
        self._full_at = -math.inf  # the last moment when all places were taken
        self._since = clock()  # when this limit began
        self._window = _Window(LEAST_WINDOW)

    @property
    def has_room(self) -> bool:
        """Tell whether a call could begin now."""
        return self.in_flight < self.limit

    @property
    def info(self) -> AdaptiveLimitInfo:
        """Return the state as of now."""
        return AdaptiveLimitInfo(self.limit, self.maximum, self.in_flight, self.base_s, self._cuts)

    def begin(self) -> Slot | None:
        """Take a place, or return None if there is none."""
        self._note_overdue()
        if not self.has_room:
            self._full_at = self.clock()
            return None
        self.in_flight += 1
        slot = Slot(self)
        if not self.has_room:
            self._full_at = slot.begun_at
        window = self._window
        if len(window.open) + len(window.times) < window.size:
            window.open.add(slot)
        return slot

    def note_answer(self, slot: Slot) -> None:
        """Judge a call by its answer; the slot calls this itself."""
        if not slot.judged:
            self._note(slot, self.clock() - slot.begun_at)
            self._judge()

    def note_end(self, slot: Slot) -> None:
        """Count a slot that has ended; it calls this itself."""
        self.in_flight -= 1
        self._note_overdue()
        if not slot.judged:
            took_s = self.clock() - slot.begun_at
            if self._is_slow(took_s):
                self._note(slot, took_s)
                self._judge()
            self._window.open.discard(slot)  # another may take its place in it

    def _note_overdue(self) -> None:
        now = self.clock()
        overdue = [slot for slot in self._window.open if self._is_slow(now - slot.begun_at)]
        for slot in overdue:
            self._note(slot, now - slot.begun_at)
        if overdue:
            self._judge()

    def _note(self, slot: Slot, took_s: float) -> None:
        slot.judged = True
        window, slow = self._window, self._is_slow(took_s)
        if self._ceiling is None or slot.under < self._ceiling:  # else it was company that made it slow, which is not forgiven
            self._usually_slow = min(MOST_USUAL, self._usually_slow + USUAL * (slow - self._usually_slow))
        if slot in window.open:
            window.open.remove(slot)
            window.times.append(took_s)
            window.slow += slow
            window.slow_in_company += slow and slot.crowded
            window.pressed += self._full_at >= slot.begun_at

    def _is_slow(self, took_s: float) -> bool:
        return self.base_s is not None and took_s > max(SLOW_FACTOR * self.base_s, NEVER_SLOW_S)

    def _judge(self) -> None:
        """End the window as soon as its outcome can't change any more."""
        window = self._window
        too_many = window.size * (1 + self._usually_slow) / 2
        if window.slow >= too_many:
            self._judge_slow(window)
        elif window.quick > window.size - too_many:
            self._judge_good(window)

    def _judge_slow(self, window: _Window) -> None:
        if 2 * window.slow_in_company < window.slow:
            self._follow(window, ALONE)
            self._go_on_with(self.limit)
            return
        self._cuts += 1
        looked_good = self._overcome is not None and self.clock() - self._overcome_at < FIRST_PAUSE_S
        failed_again = looked_good or (self._ceiling is not None and self.limit >= self._ceiling)
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s) if failed_again else FIRST_PAUSE_S
        self._try_ceiling_at = self.clock() + self._pause_s
        if self._doubling and self._good < self.limit:
            self._ceiling = self._good + 1
            lower = self._good
        else:
            self._ceiling = self.limit
            lower = max(1, min(self.limit - 1, int(self.limit * CUT)))
        if self._overcome is not None and looked_good:  # but was not: its slow calls take a while to fill the places
            self._ceiling = min(self._ceiling, self._overcome)
            lower = max(1, min(lower, self._ceiling - 1))
        self._doubling = False
        self._go_on_with(lower)

    def _judge_good(self, window: _Window) -> None:
        if self.base_s is None:  # there was nothing to judge by
            self.base_s = window.lower_quartile()
            self._go_on_with(self.limit)
            return
        if window.lower_quartile() < self.base_s:
            self._follow(window, QUICKER)
        elif not window.full:
            self._follow(window, SLOWER)
        elif self._ceiling is None:
            self._follow(window, SLOWER_AND_FULL)
        tried = self._ceiling is not None and self.limit >= self._ceiling
        if not window.full or ((tried or self._doubling) and self._is_new()):
            self._go_on_with(self.limit)
            if tried:
                self._window.open = window.open  # should they be slow and fill the places, hardly another call comes to be judged
            return
        self._good = self.limit
        if tried:
            self._overcome, self._overcome_at = self._ceiling, self.clock()
            self._ceiling = None
        self._go_on_with(self._raised())

    def _is_new(self) -> bool:
        """Tell whether calls of this limit can't be late yet: its first answers are quick ones, whatever follows."""
        return self.base_s is not None and self.clock() - self._since < 2 * SLOW_FACTOR * self.base_s

    def _raised(self) -> int:
        raised = min(self.maximum, self.limit * 2 if self._doubling else self.limit + 1)
        too_early = self._ceiling is not None and raised >= self._ceiling and self.clock() < self._try_ceiling_at
        return self.limit if too_early else raised

    def _follow(self, window: _Window, share: float) -> None:
        if self.base_s is not None:
            self.base_s += share * (window.lower_quartile() - self.base_s)

    def _go_on_with(self, limit: int) -> None:
        if limit != self.limit:
            self.limit = limit
            self._since = self.clock()
        self._window = _Window(max(LEAST_WINDOW, min(FULL_WINDOW, 2 * limit)))
