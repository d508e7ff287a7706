"""How many log lines there may be of what goes as it should: under load a part of them stands for all."""

from __future__ import annotations

from collections.abc import Callable

ONE_OF = 100  # of the lines beyond the budget


class LineBudget:
    """Let `per_second` lines pass in each second, and of those beyond it the hundredth, two hundredth, ...; 0 lets all pass."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        """Start with a full budget."""
        self._per_second = per_second
        self._clock = clock
        self._second = -1
        self._passed = 0
        self._beyond = 0

    def allows(self) -> bool:
        """Count a line, and say whether it is written."""
        if not self._per_second:
            return True
        second = int(self._clock())
        if second != self._second:
            self._second, self._passed = second, 0
        if self._passed < self._per_second:
            self._passed += 1
            return True
        self._beyond += 1
        return self._beyond % ONE_OF == 0
