"""How long the parts of one request took."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

SHORT_S = 0.00005  # is shown as 0.0 ms


class Phases:
    """Collect the seconds spent in named phases of one request; a phase entered twice adds up."""

    __slots__ = ("clock", "seconds")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no phase."""
        self.clock = clock  # for who measures a part without a `with` block
        self.seconds: dict[str, float] = {}

    def phase(self, name: str) -> Phase:
        """Measure a `with` block as part of the phase `name`."""
        return Phase(self, name, self.clock)

    def add(self, name: str, seconds: float) -> None:
        """Add seconds that were measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def server_timing(self, total_s: float) -> str:
        """Write the phases as a `Server-Timing` value in milliseconds (W3C Server Timing)."""
        if total_s < SHORT_S:  # and so is each phase: as of what is kept
            return f"{_short(tuple(self.seconds))}total;dur=0.0"
        written = ""
        for name, seconds in self.seconds.items():
            written += f"{name};dur=0.0, " if seconds < SHORT_S else _written(name, int(seconds * 10_000 + 0.5))
        return f"{written}total;dur={total_s * 1000:.1f}"


@lru_cache(maxsize=64)
def _short(names: tuple[str, ...]) -> str:
    """Write phases that took no time."""
    return "".join([f"{name};dur=0.0, " for name in names])


@lru_cache(maxsize=1_024)  # most phases are short: 0.1 µs instead of 0.3 (measured)
def _written(name: str, tenths: int) -> str:
    """Write a phase, so many tenths of a millisecond long, and what parts it from the next."""
    return f"{name};dur={tenths / 10:.1f}, "


class Phase:
    """One block that is being measured. A plain object: a generator made into a context manager costs twice as much (0.7 µs, measured)."""

    __slots__ = ("_begun", "_clock", "_name", "_phases")

    def __init__(self, phases: Phases, name: str, clock: Callable[[], float]) -> None:
        """Measure nothing before the block begins."""
        self._phases = phases
        self._name = name
        self._clock = clock
        self._begun = 0.0

    def __enter__(self) -> None:
        """Begin."""
        self._begun = self._clock()

    def __exit__(self, *_: object) -> None:
        """Add what it took, however it ended."""
        self._phases.add(self._name, self._clock() - self._begun)
