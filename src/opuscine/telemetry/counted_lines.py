"""Log lines that somebody else can cause at will: at most one a second for each cause, with a count."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

WINDOW_S = 1.0


class CountedLines:
    """Log the first event of a cause at once, and those that follow within a second as one line with their `count`.

    Whoever sends rubbish a thousand times a second fills no disk, and none of it goes uncounted. Causes are words of ours, so they are few.
    """

    def __init__(self, logger: str, *, window_s: float = WINDOW_S) -> None:
        """Log by the name `logger`; needs a running loop from the first line on."""
        self._log = structlog.get_logger(logger)
        self._window_s = window_s
        self._held_back: dict[tuple[str, str], int] = {}

    def info(self, event: str, cause: str, **fields: Any) -> None:
        """Log one event; `fields` are those of the first, and left out where lines are counted together."""
        key = (event, cause)
        if key in self._held_back:
            self._held_back[key] += 1
            return
        self._log.info(event, cause=cause, count=1, **fields)
        self._open_window(key)

    def flush(self) -> None:
        """Log what was counted and held back, before the end."""
        for (event, cause), count in self._held_back.items():
            if count:
                self._log.info(event, cause=cause, count=count)
                self._held_back[event, cause] = 0

    def _open_window(self, key: tuple[str, str]) -> None:
        self._held_back[key] = 0
        asyncio.get_running_loop().call_later(self._window_s, self._close_window, key)

    def _close_window(self, key: tuple[str, str]) -> None:
        if not (count := self._held_back.pop(key)):
            return
        event, cause = key
        self._log.info(event, cause=cause, count=count)
        self._open_window(key)
