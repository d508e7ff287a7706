"""Writes that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from opuscine.redis_gateway.away import RedisAwayError

_BATCH = 64


class WriteQueue:
    """Keep values until a task in the background has written them; what does not fit is dropped and counted.

    A later value of the same key takes the place of one that still waits. The task lives only while there is something to write.
    """

    def __init__(self, write: Callable[[Mapping[str, bytes], float], Awaitable[None]], *, max_items: int, max_bytes: int) -> None:
        """Write by `write(items, ttl_s)`, which raises `RedisAwayError` when it can't: that batch is dropped too."""
        self._write = write
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._waiting: dict[str, tuple[bytes, float]] = {}
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.written = 0
        self.dropped = 0

    def __len__(self) -> int:
        """Return how many values wait."""
        return len(self._waiting)

    def put(self, items: Mapping[str, bytes], ttl_s: float) -> None:
        """Take values that are to live for `ttl_s` seconds from when they are written. Never waits, never raises."""
        for key, value in items.items():
            old, _ = self._waiting.pop(key, (b"", 0.0))
            self._bytes += len(value) - len(old)
            if self._closed or len(self._waiting) >= self._max_items or self._bytes > self._max_bytes:
                self._bytes -= len(value)
                self.dropped += 1
                continue
            self._waiting[key] = (value, ttl_s)
        if self._waiting and self._task is None:
            self._task = asyncio.create_task(self._work(), name="redis write queue")

    async def close(self, timeout_s: float) -> None:
        """Write what waits, for at most `timeout_s` seconds; drop the rest."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self._bytes = 0

    async def _work(self) -> None:
        batch: dict[str, bytes] = {}
        try:
            while self._waiting:
                batch, ttl_s = self._take()
                try:
                    await self._write(batch, ttl_s)
                except RedisAwayError:
                    self.dropped += len(batch)
                else:
                    self.written += len(batch)
                batch = {}
        finally:
            self.dropped += len(batch)
            self._task = None

    def _take(self) -> tuple[dict[str, bytes], float]:
        """Take the oldest values that share one lifetime."""
        batch: dict[str, bytes] = {}
        ttl_s = next(iter(self._waiting.values()))[1]
        for key, (value, value_ttl_s) in self._waiting.items():
            if value_ttl_s != ttl_s or len(batch) == _BATCH:
                break
            batch[key] = value
        for key, value in batch.items():
            del self._waiting[key]
            self._bytes -= len(value)
        return batch, ttl_s
