"""A clock that tests turn by hand."""

from __future__ import annotations

from datetime import UTC, datetime


class ManualClock:
    """Stand in for `time.monotonic`."""

    def __init__(self, now: float = 1000.0) -> None:
        """Show this time."""
        self.now = now

    def __call__(self) -> float:
        """Return the time shown."""
        return self.now

    def utc_now(self) -> datetime:
        """Return the time shown as an instant, for where the time of day is asked for."""
        return datetime.fromtimestamp(self.now, UTC)

    def advance(self, seconds: float) -> None:
        """Turn it on."""
        self.now += seconds
