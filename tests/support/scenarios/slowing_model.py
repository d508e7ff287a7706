"""An LLM server that is quick for sixteen callers and slow for more, and three hundred callers who ask every second or so."""

from __future__ import annotations

import asyncio
import random
import time
from itertools import count
from pathlib import Path

from support.llm_server import LlmServer
from support.load import clogging_beyond
from support.scenarios.figures import Figure, percentile
from support.scenarios.load import Reply, recommend
from support.scenarios.served import Served, served

KNEE = 16
PAUSE_S = 1.0  # between a caller's answer and its next question, half as long or half as much again: callers don't march in step


async def slowing_model(folder: Path, *, callers: int = 300, for_s: float = 30.0, settle_s: float = 15.0) -> list[Figure]:
    """Ask for a while under the limit that the service finds, and under one fixed at the knee; judge what comes once it has settled."""
    settings = {"request_timeout": 10, "cache_ttl": 0}
    async with LlmServer() as llm:
        llm.answer = clogging_beyond(llm, KNEE)
        async with served(folder / "fixed", llm_server_url=llm.url, llm_max_concurrent=KNEE, **settings) as service:
            fixed, _ = await _asked(service, llm, callers=callers, for_s=for_s / 2, settle_s=for_s / 6)
        async with served(folder / "adaptive", llm_server_url=llm.url, llm_max_concurrent=64, **settings) as service:
            found, in_flight = await _asked(service, llm, callers=callers, for_s=for_s, settle_s=settle_s)
            complaints = service.complaints()
    fixed_rate = sum(one.source == "llm" for one in fixed) / (for_s / 2 - for_s / 6)
    rate = sum(one.source == "llm" for one in found) / (for_s - settle_s)
    fallbacks = [one.took_s for one in found if one.reason]
    return [
        Figure("answers", len(found)),
        Figure("answered 200", sum(one.status == 200 for one in found), "", "=", len(found)),
        Figure("from the model, limit fixed at the knee", fixed_rate, "/s"),
        Figure("from the model, limit found", rate, "/s"),
        Figure("share of the fixed limit's", 100 * rate / fixed_rate if fixed_rate else 0.0, "%", ">=", 70, timed=True),
        Figure("median of calls at one time", percentile(in_flight, 0.5), "", "<=", 1.5 * KNEE, timed=True),
        Figure("p95 of fallbacks", 1000 * percentile(fallbacks, 0.95), "ms", "<=", 200, timed=True),
        Figure("errors in the log", len(complaints), "", "=", 0),
    ]


async def _asked(service: Served, llm: LlmServer, *, callers: int, for_s: float, settle_s: float) -> tuple[list[Reply], list[float]]:
    """Let callers ask without end for so long; return the answers that began after it had settled, and the calls under way meanwhile."""
    began = time.monotonic()
    numbers = count()
    replies: list[Reply] = []
    in_flight: list[float] = []

    chance = random.Random(5)

    async def call() -> None:
        await asyncio.sleep(chance.uniform(0, PAUSE_S))
        while time.monotonic() - began < for_s:
            got = await recommend(service, f"서로 다른 영화 {next(numbers)}")
            if got.at - began > settle_s:
                replies.append(got)
            await asyncio.sleep(PAUSE_S * chance.uniform(0.5, 1.5))

    async def watch() -> None:
        while time.monotonic() - began < for_s:
            if time.monotonic() - began > settle_s:
                in_flight.append(float(llm.in_flight))
            await asyncio.sleep(0.02)

    await asyncio.gather(watch(), *(call() for _ in range(callers)))
    llm.requests.clear()
    return replies, in_flight
