"""Four bodies of 2 MB that would be 2 GB each, if anybody inflated them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.attackers import Outcome, gzip_bomb, make_bomb
from support.scenarios.figures import Figure, percentile
from support.scenarios.load import Reply, ask, paced
from support.scenarios.served import served

POPULAR = "/api/movies/popular?limit=3"
BOMBS = 4


async def gzip_bombs(folder: Path, *, waves: int = 5, rate: float = 100.0, quiet_s: float = 4.0) -> list[Figure]:
    """Send four at a time, some times over, while other callers ask at a rate; compare with when it is quiet."""
    bomb = make_bomb(2_000_000)
    outcomes: list[Outcome] = []
    others: list[Reply] = []
    async with served(folder / "service") as service:
        await paced(lambda _: ask(service, POPULAR), a_second=rate, for_s=1)
        quiet = await paced(lambda _: ask(service, POPULAR), a_second=rate, for_s=quiet_s)
        before = service.rss_kib()
        for _ in range(waves):
            asking = asyncio.create_task(paced(lambda _: ask(service, POPULAR), a_second=rate, for_s=1.5))
            outcomes += await asyncio.gather(*(gzip_bomb(service.port, bomb) for _ in range(BOMBS)))
            others += await asking
        after = service.rss_kib()
        complaints = service.complaints()
    p95_quiet, p95 = (1000 * percentile([reply.took_s for reply in replies], 0.95) for replies in (quiet, others))
    return [
        Figure("bombs answered 415", sum(outcome.status == 415 for outcome in outcomes), "", "=", BOMBS * waves),
        Figure("that were not closed", sum(outcome.gave_up for outcome in outcomes), "", "=", 0),
        Figure("other callers' requests", len(others)),
        Figure("of them answered 200", sum(reply.status == 200 for reply in others), "", "=", len(others)),
        Figure("p95 of other callers, before", p95_quiet, "ms"),
        Figure("p95 of other callers more, meanwhile", p95 - p95_quiet, "ms", "<=", 5, timed=True),
        Figure("memory more", (after - before) / 1024, "MiB", "<=", 64),
        Figure("errors in the log", len(complaints), "", "=", 0),
    ]
