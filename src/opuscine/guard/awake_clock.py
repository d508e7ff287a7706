"""The time in which this process was awake: an answer that nobody was there to take is late, but not by the upstream's doing."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

BEAT_S = 0.025
MOST_S = 0.05  # of the time between two beats that counts


class AwakeClock:
    """A clock that stands still while the event loop is held up: by work of ours, or because the machine has no processor to spare.

    with AwakeClock() as clock:
        limit = AdaptiveLimit(64, clock=clock)

    The loop shows that it turns by a beat every 25 ms; of a longer time between two of them only 50 ms count. Outside of the block it is
    the clock that it was given.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with all time counting."""
        self._clock = clock
        self._counted = self._beat_at = clock()
        self._most_s = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> float:
        """Return the seconds that count."""
        return self._counted + min(self._clock() - self._beat_at, self._most_s)

    def __enter__(self) -> Self:
        """Begin to beat in the running loop."""
        self._beat()
        self._most_s = MOST_S
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._note()
        self._most_s = math.inf

    def _beat(self) -> None:
        self._note()
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def _note(self) -> None:
        self._counted, self._beat_at = self(), self._clock()
