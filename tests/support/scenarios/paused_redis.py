"""Redis hangs (SIGSTOP) under two hundred requests a second, and goes on later."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from support.redis_server import RedisServer
from support.scenarios.figures import Figure, percentile
from support.scenarios.load import FILM_LINKS, Reply, ask, paced
from support.scenarios.served import Served, served

BUDGET_MS = 50.0


async def paused_redis(folder: Path, *, rate: float = 200.0, quiet_s: float = 4.0, paused_s: float = 6.0) -> list[Figure]:
    """Ask for links, each request counted in Redis, before, while and after it hangs; note when its breaker opens."""
    with RedisServer(folder / "redis") as redis:
        async with served(folder / "service", redis_url=redis.url, rate_limit_read="100000/day") as service:
            await paced(lambda _: ask(service, FILM_LINKS), a_second=rate, for_s=1)
            quiet = await paced(lambda _: ask(service, FILM_LINKS), a_second=rate, for_s=quiet_s)
            redis.pause()
            paused_at = time.monotonic()
            opening = asyncio.create_task(_opened(service))
            while_paused = await paced(lambda _: ask(service, FILM_LINKS), a_second=rate, for_s=paused_s)
            opened_at = await opening
            redis.resume()
            after = await paced(lambda _: ask(service, FILM_LINKS), a_second=rate, for_s=quiet_s)
            complaints = service.complaints()
    answers = [*quiet, *while_paused, *after]
    before_open = [reply for reply in while_paused if reply.at < opened_at]
    open_since = [reply for reply in while_paused if reply.at > opened_at]
    return [
        Figure("requests", len(answers)),
        Figure("answered 200", sum(reply.status == 200 for reply in answers), "", "=", len(answers)),
        Figure("breaker opens after", opened_at - paused_at, "s", "<=", 2, timed=True),
        Figure(
            "longest wait for Redis until then", max((r.redis_ms for r in before_open), default=0.0), "ms", "<=", BUDGET_MS + 10, timed=True
        ),
        Figure("p95 when quiet", _p95_ms(quiet), "ms"),
        Figure("p95 with the breaker open", _p95_ms(open_since), "ms"),
        Figure("median more than when quiet", _median_ms(open_since) - _median_ms(quiet), "ms", "<=", 1, timed=True),
        Figure("median wait for Redis, breaker open", percentile([r.redis_ms for r in open_since], 0.5), "ms", "<=", 1),
        Figure("errors in the log", len(complaints), "", "=", 0),
    ]


async def _opened(service: Served) -> float:
    """Wait for the breaker to open and return when."""
    async with asyncio.timeout(30):
        while (await service.stats())["redis"]["breaker"] != "open":
            await asyncio.sleep(0.02)
    return time.monotonic()


def _p95_ms(replies: list[Reply]) -> float:
    return 1000 * percentile([reply.took_s for reply in replies], 0.95)


def _median_ms(replies: list[Reply]) -> float:
    return 1000 * percentile([reply.took_s for reply in replies], 0.5)
