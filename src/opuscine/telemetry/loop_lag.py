"""How late the event loop is: the first thing to look at when everything is slow at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

INTERVAL_S = 0.1


class LoopLag:
    """Wake up every tenth of a second while entered (`async with`), and tell by how much that was too late."""

    def __init__(self, observe: Callable[[float], None], *, interval_s: float = INTERVAL_S) -> None:
        """Take what is told each lag in seconds."""
        self._observe = observe
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start to watch."""
        self._task = asyncio.create_task(self._watch(), name="loop lag")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._interval_s
            await asyncio.sleep(self._interval_s)
            self._observe(max(0.0, loop.time() - due))
