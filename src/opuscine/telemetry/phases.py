"""How long the parts of one request took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Phases:
    """Collect the seconds spent in named phases of one request; a phase entered twice adds up."""

    __slots__ = ("_clock", "seconds")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no phase."""
        self._clock = clock
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block as part of the phase `name`."""
        begun = self._clock()
        try:
            yield
        finally:
            self.add(name, self._clock() - begun)

    def add(self, name: str, seconds: float) -> None:
        """Add seconds that were measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def server_timing(self, total_s: float) -> str:
        """Write the phases as a `Server-Timing` value in milliseconds (W3C Server Timing)."""
        parts = [f"{name};dur={seconds * 1000:.1f}" for name, seconds in self.seconds.items()]
        return ", ".join([*parts, f"total;dur={total_s * 1000:.1f}"])
