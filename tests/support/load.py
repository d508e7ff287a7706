"""Callers in numbers: a closed loop that is bounded in callers and time, and what each call came to.

llm.answer = clogging_beyond(llm, 16)               # 60 ms, but 2 s beyond 16 calls at once
calls = await closed_loop(ask, callers=300, seconds=5.0, pause_s=0.5)
report(calls)                                      # counts by reason, rates, percentiles
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from support.llm_server import Behaviour, LlmServer, reply


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it began (seconds since the loop did), how long it took, and a word for what came of it."""

    began_s: float
    took_s: float
    outcome: str


def clogging_beyond(
    server: LlmServer, at_once: int, *, quick_s: float = 0.06, slow_s: float = 2.0, then: Behaviour | None = None
) -> Behaviour:
    """Answer in `quick_s`, but in `slow_s` when a call comes while as many as `at_once` are under way at the server."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(quick_s if server.in_flight <= at_once else slow_s)
        return await (then or reply())(request)

    return answer


async def closed_loop(ask: Callable[[int], Awaitable[str]], *, callers: int, seconds: float, pause_s: float = 0.0) -> list[Call]:
    """Let each caller ask again and again, with a pause of about `pause_s` before each time, and return all calls in order of their ends.

    `ask` gets the number of the call and returns a word for its outcome; what it raises is the outcome by its type's name. No call
    begins after `seconds`; those under way are waited for.
    """
    began, chance, numbers = time.monotonic(), random.Random(5), itertools.count()
    calls: list[Call] = []

    async def caller() -> None:
        await asyncio.sleep(chance.uniform(0, pause_s))
        while (at := time.monotonic()) < began + seconds:
            try:
                outcome = await ask(next(numbers))
            except Exception as error:  # a caller that fails is a finding, and the others go on
                outcome = type(error).__name__
            calls.append(Call(at - began, time.monotonic() - at, outcome))
            await asyncio.sleep(pause_s * chance.uniform(0.5, 1.5))

    await asyncio.gather(*(caller() for _ in range(callers)))
    return calls


def percentile_s(calls: Sequence[Call], share: float) -> float:
    """Return the time that so large a share of the calls stayed within; 0.0 without calls."""
    times = sorted(call.took_s for call in calls)
    return times[min(len(times) - 1, int(share * len(times)))] if times else 0.0


def report(calls: Sequence[Call]) -> dict[str, dict[str, Any]]:
    """Return count, rate and percentiles for each outcome."""
    span_s = max((call.began_s + call.took_s for call in calls), default=0.0) or 1.0
    kinds = Counter(call.outcome for call in calls)
    of_kind = {kind: [call for call in calls if call.outcome == kind] for kind in kinds}
    return {
        kind: {
            "calls": len(those),
            "per_s": round(len(those) / span_s, 1),
            "p50_ms": round(percentile_s(those, 0.5) * 1000, 1),
            "p95_ms": round(percentile_s(those, 0.95) * 1000, 1),
            "p99_ms": round(percentile_s(those, 0.99) * 1000, 1),
        }
        for kind, those in of_kind.items()
    }
