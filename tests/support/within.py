"""A bound on how long a block takes, as a caller would see it on an idle machine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.redis_gateways import LoopWatch

TOLERANCE_S = 0.25  # answers leave 0.1 s before their deadline on an idle machine; tests share theirs


@asynccontextmanager
async def within(seconds: float, *, tolerance_s: float = TOLERANCE_S) -> AsyncIterator[None]:
    """Fail if the block takes longer; the longest time for which the machine held up this process is not counted."""
    began = time.monotonic()
    async with LoopWatch() as watch:
        yield
    took_s = time.monotonic() - began
    assert took_s < seconds + tolerance_s + watch.longest_stall_s, f"it took {took_s:.3f} s, not {seconds} s"
