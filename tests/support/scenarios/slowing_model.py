"""An LLM server that is quick for sixteen callers and slow for more, and three hundred callers who ask every second or so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from support.callers import Plan, asked
from support.clogging_model import clogging_model
from support.load import Call, percentile_s
from support.scenarios.figures import Figure, percentile
from support.scenarios.served import served

KNEE = 16
PAUSE_S = 1.0  # between a caller's answer and its next question, half as long or half as much again: callers don't march in step


@dataclass(frozen=True, slots=True)
class Settled:
    """The calls that began once it had settled, within `seconds`, and how many the server had under way meanwhile."""

    calls: list[Call]
    seconds: float
    under_way: list[float]
    cpu_s: float  # of the service, in about the same time
    complaints: int  # of its log, over all the time

    def of(self, outcome: str) -> list[Call]:
        """Return the calls of one outcome."""
        return [call for call in self.calls if call.outcome == outcome]

    def rate(self, outcome: str) -> float:
        """Return how many of them there were in a second."""
        return len(self.of(outcome)) / self.seconds


async def slowing_model(folder: Path, *, callers: int = 300, for_s: float = 30.0, settle_s: float = 15.0) -> list[Figure]:
    """Ask for a while under the limit that the service finds, and under one fixed at the knee; judge what comes once it has settled.

    Service, LLM server and callers are a process each, and the last two cost little, so that the figures are the service's.
    """
    fixed = await _asked(folder / "fixed", KNEE, callers=callers, for_s=for_s - settle_s * 2 / 3, settle_s=settle_s / 3)
    found = await _asked(folder / "found", 64, callers=callers, for_s=for_s, settle_s=settle_s)
    promised = len(found.of("llm")) + len(found.of("overloaded"))
    return [
        Figure("answers", len(found.calls)),
        Figure("200 from the model, or marked as overloaded", promised, "", "=", len(found.calls)),
        Figure("from the model, limit fixed at the knee", fixed.rate("llm"), "/s"),
        Figure("from the model, limit found", found.rate("llm"), "/s"),
        Figure("share of the fixed limit's", 100 * found.rate("llm") / (fixed.rate("llm") or 1.0), "%", ">=", 70, timed=True),
        Figure("median of calls at one time, limit fixed", percentile(fixed.under_way, 0.5)),
        Figure("median of calls at one time, limit found", percentile(found.under_way, 0.5), "", "<=", 1.5 * KNEE, timed=True),
        Figure("fallbacks", found.rate("overloaded"), "/s"),
        Figure("median of fallbacks", 1000 * percentile_s(found.of("overloaded"), 0.5), "ms"),
        Figure("p95 of fallbacks", 1000 * percentile_s(found.of("overloaded"), 0.95), "ms", "<=", 200, timed=True),
        Figure("p95 of answers from the model", 1000 * percentile_s(found.of("llm"), 0.95), "ms"),
        Figure("CPU of the service for an answer", 1000 * found.cpu_s / len(found.calls), "ms"),
        Figure("errors in the log", fixed.complaints + found.complaints, "", "=", 0),
    ]


async def _asked(folder: Path, most: int, *, callers: int, for_s: float, settle_s: float) -> Settled:
    """Let callers ask for so long under a limit of `most` calls or fewer."""
    settings = {"llm_max_concurrent": most, "request_timeout": 10, "cache_ttl": 0}
    async with clogging_model(KNEE) as model, served(folder, llm_server_url=model.url, **settings) as service:
        asking = asyncio.ensure_future(asked(Plan(service.url, callers, for_s, PAUSE_S)))
        await asyncio.sleep(settle_s)
        cpu_s = service.cpu_s()
        began, calls = await asking
        cpu_s = service.cpu_s() - cpu_s
        complaints = len(service.complaints())
    return Settled(
        [call for call in calls if call.began_s > settle_s],
        for_s - settle_s,
        [float(number) for at, number in model.under_way if settle_s < at - began < for_s],
        cpu_s,
        complaints,
    )
