"""Five hundred callers who send their headers without end, and five hundred who do so with a body."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.attackers import crowd, slow_body, slow_headers
from support.scenarios.figures import Figure, percentile
from support.scenarios.load import Reply, ask, paced
from support.scenarios.served import served

POPULAR = "/api/movies/popular?limit=3"
TOLERANCE_S = 2.0  # attackers, callers and service share the machine, and the attackers arrive over a second


async def slow_senders(folder: Path, *, attackers: int = 500, bound_s: float = 10.0, rate: float = 50.0) -> list[Figure]:
    """Serve other callers at a rate while they hang on; each must be gone at its bound."""
    give_up_s = 3 * bound_s + 10
    async with served(folder / "service", header_timeout=bound_s, body_timeout=bound_s) as service:
        quiet = await paced(lambda _: ask(service, POPULAR), a_second=rate, for_s=2)
        attack = asyncio.gather(
            crowd(lambda: slow_headers(service.port, pause_s=1.0, give_up_s=give_up_s), attackers, within_s=1),
            crowd(lambda: slow_body(service.port, pause_s=1.0, give_up_s=give_up_s), attackers, within_s=1),
        )
        others: list[Reply] = []
        while not attack.done():
            others += await paced(lambda _: ask(service, POPULAR), a_second=rate, for_s=1)
        headers, bodies = await attack
        complaints = service.complaints()
    return [
        Figure("slow headers answered 408", sum(outcome.status == 408 for outcome in headers), "", "=", attackers),
        Figure("slow bodies answered 408", sum(outcome.status == 408 for outcome in bodies), "", "=", attackers),
        Figure("that were not closed", sum(outcome.gave_up for outcome in [*headers, *bodies]), "", "=", 0),
        Figure("slow headers, last one closed after", max(o.took_s for o in headers), "s", "<=", bound_s + TOLERANCE_S, timed=True),
        Figure("slow bodies, last one closed after", max(o.took_s for o in bodies), "s", "<=", bound_s + TOLERANCE_S, timed=True),
        Figure("other callers' requests", len(others)),
        Figure("of them answered 200", sum(reply.status == 200 for reply in others), "", "=", len(others)),
        Figure("p95 of other callers, before", 1000 * percentile([reply.took_s for reply in quiet], 0.95), "ms"),
        Figure("p95 of other callers, meanwhile", 1000 * percentile([reply.took_s for reply in others], 0.95), "ms"),
        Figure("errors in the log", len(complaints), "", "=", 0),
    ]
