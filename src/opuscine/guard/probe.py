"""Whether a server behind us is up, asked in the background so that a health answer never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import structlog

from opuscine.errors import UpstreamError

log = structlog.get_logger("opuscine.guard")


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """What the last probe found. `up` is None before the first has ended; the details hold nothing that is not meant for callers."""

    up: bool | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    checked_at: datetime | None = None  # aware, UTC


class CachedProbe:
    """Run `check` every `interval_s` seconds while entered (`async with`), and remember how it ended.

    A check that raises, or takes longer than `timeout_s`, means "down". The first one begins at once; two never overlap.
    """

    def __init__(self, name: str, check: Callable[[], Awaitable[Mapping[str, Any]]], *, interval_s: float, timeout_s: float) -> None:
        """Name the server for the log; nothing runs yet."""
        self._name = name
        self._check = check
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._task: asyncio.Task[None] | None = None
        self.outcome = ProbeOutcome()

    async def __aenter__(self) -> Self:
        """Start probing."""
        self._task = asyncio.create_task(self._run(), name=f"probe {self._name}")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Stop probing; a check that is under way is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def check_now(self) -> ProbeOutcome:
        """Probe once and remember the outcome. Never raises."""
        details: Mapping[str, Any]
        try:
            async with asyncio.timeout(self._timeout_s):
                details = await self._check()
            up, cause = True, ""
        except Exception as error:  # whatever a check raises, the server cannot be said to be up
            up, cause = False, repr(error)
            details = {"error": _word_for(error)}
        if up is not self.outcome.up:
            (log.info if up else log.warning)("probe changed", probe=self._name, up=up, cause=cause)
        self.outcome = ProbeOutcome(up, details, datetime.now(UTC))
        return self.outcome

    async def _run(self) -> None:
        while True:
            await self.check_now()
            await asyncio.sleep(self._interval_s)


def _word_for(error: Exception) -> str:
    if isinstance(error, UpstreamError):
        return error.reason.value
    return "timeout" if isinstance(error, TimeoutError) else "unavailable"
