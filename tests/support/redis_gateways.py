"""Gateways for tests, and a watch on how long the event loop itself was held up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from opuscine.guard.breaker import Breaker
from opuscine.redis_gateway import RedisGateway, RedisSettings


@contextlib.asynccontextmanager
async def open_gateway(
    url: str, *, fail_max: int = 5, open_s: float = 0.2, budget_s: float = 5.0, **settings: Any
) -> AsyncIterator[RedisGateway]:
    """Give a gateway with a breaker of its own, and so much time per request that a busy machine makes no test fail."""
    gateway = RedisGateway(
        RedisSettings(url, budget_s=budget_s, **settings), breaker=Breaker("redis", fail_max=fail_max, open_s=open_s, listeners=())
    )
    try:
        yield gateway
    finally:
        await gateway.close()


async def eventually(condition: Callable[[], object], *, for_s: float = 10.0, what: str = "the condition") -> None:
    """Poll until `condition()` is true; fail the test after `for_s` seconds."""
    end = time.monotonic() + for_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come true within {for_s} s")
        await asyncio.sleep(0.002)


class LoopWatch:
    """Measure the longest time that the event loop (or the machine) let a sleeping task wait beyond its time."""

    def __init__(self) -> None:
        self.longest_stall_s = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LoopWatch:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.001)
            self.longest_stall_s = max(self.longest_stall_s, time.monotonic() - began - 0.001)
