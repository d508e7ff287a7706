"""Every kind of request for a long time, while another part fails every second."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from support.api_server import FilmServer
from support.llm_server import LlmServer, cut, drop, garbage, hang, huge, reply, slow, status
from support.redis_server import RedisServer
from support.scenarios.figures import Figure, percentile
from support.scenarios.load import FILM_LINKS, RECOMMEND, Reply, ask
from support.scenarios.served import Served, served
from support.tcp_proxy import TcpProxy

SWITCH_S = 1.0
DEADLINE_S = 2.0
CACHE_BYTES = 4_194_304  # full when the warm-up ends: what grows afterwards is no cache
EXPECTED = frozenset({200, 400, 404, 405, 413, 415, 422, 304})


async def soak(
    folder: Path, *, requests: int = 200_000, callers: int = 32, warm_up: float = 0.2, switch_s: float = SWITCH_S, seed: int = 7
) -> list[Figure]:
    """Send so many requests from callers that ask one after the other; memory is compared with that after the warm-up."""
    replies: Counter[tuple[int, str]] = Counter()
    times: list[float] = []
    rss: dict[str, int] = {}
    with RedisServer(folder / "redis") as redis:
        async with (
            LlmServer() as llm,
            FilmServer() as api,
            TcpProxy.to(redis.port) as proxy,
            served(
                folder / "service",
                llm_server_url=llm.url,
                llm_breaker_open=0.5,
                api_server_url=api.url,
                api_server_timeout=0.3,
                redis_url=f"redis://127.0.0.1:{proxy.port}",
                rate_limit_read="100000/second",
                cache_max_bytes=CACHE_BYTES,
                request_timeout=DEADLINE_S,
                drain_timeout=5,
            ) as service,
        ):
            left = iter(range(requests))
            switching = asyncio.create_task(_switch(_faults(llm, api, redis, proxy), switch_s, random.Random(seed)))
            warm = asyncio.Event()

            async def call(dice: random.Random) -> None:
                for number in left:
                    got = await _any_request(service, dice)
                    replies[got.status, got.reason] += 1
                    if len(times) < 1_000_000:
                        times.append(got.took_s)
                    if number >= requests * warm_up:
                        warm.set()
                    llm.requests.clear()
                    api.requests.clear()

            async def note_memory() -> None:
                await warm.wait()
                rss["warm"] = service.rss_kib()

            began = time.monotonic()
            await asyncio.gather(note_memory(), *(call(random.Random(seed * 1_000 + number)) for number in range(callers)))
            took_s = time.monotonic() - began
            switching.cancel()
            await asyncio.wait({switching})
            rss["end"] = service.rss_kib()
            complaints = service.complaints()
            alive = service.process.returncode is None
    total = sum(replies.values())
    by_status = Counter[int]()
    for (code, _), count in replies.items():
        by_status[code] += count
    reasons = Counter({reason: count for (_, reason), count in replies.items() if reason})
    return [
        Figure("requests", total, "", "=", requests),
        Figure("a second", total / took_s),
        Figure("lost (no answer)", by_status[0], "", "=", 0),
        Figure("5xx", sum(count for code, count in by_status.items() if code >= 500), "", "=", 0),
        Figure("of another status than is meant", sum(count for code, count in by_status.items() if code not in EXPECTED), "", "=", 0),
        Figure("answered without the model", sum(reasons.values())),
        Figure("kinds of trouble met", len(reasons), "", ">=", 3),
        Figure("p50", 1000 * percentile(times, 0.5), "ms"),
        Figure("p99", 1000 * percentile(times, 0.99), "ms"),
        Figure("slowest", max(times), "s", "<=", DEADLINE_S + 0.1, timed=True),
        Figure("memory after the warm-up", rss["warm"] / 1024, "MiB"),
        Figure("memory more at the end", 100 * (rss["end"] / rss["warm"] - 1), "%", "<=", 5, timed=True),
        Figure("errors in the log", len(complaints), "", "=", 0),
        Figure("still serving", float(alive), "", "=", 1),
    ]


def _faults(llm: LlmServer, api: FilmServer, redis: RedisServer, proxy: TcpProxy) -> list[tuple[Callable[[], None], Callable[[], None]]]:
    """Return what to do to a part, and what mends it."""

    def of_model(behaviour: object) -> tuple[Callable[[], None], Callable[[], None]]:
        return (lambda: setattr(llm, "answer", behaviour), lambda: setattr(llm, "answer", reply()))

    def of_api(behaviour: object) -> tuple[Callable[[], None], Callable[[], None]]:
        return (lambda: setattr(api, "answer", behaviour), lambda: setattr(api, "answer", None))

    def cut_off() -> None:
        proxy.behave("reset")
        proxy.drop_all(reset=True)

    def swallow_no_more() -> None:
        proxy.drop_all()
        proxy.behave("pass")

    return [
        *map(of_model, (hang(), garbage(), status(500), status(429, Retry_After="1"), cut(), drop(reset=True), huge(5_000_000), slow(0.2))),
        *map(of_api, (hang(), garbage(), status(500), drop(), slow(0.2))),
        (redis.pause, redis.resume),
        (lambda: redis.command("FLUSHALL"), lambda: None),
        (lambda: proxy.drop_all(reset=True), lambda: None),
        (cut_off, lambda: proxy.behave("pass")),
        (lambda: proxy.behave("blackhole"), swallow_no_more),
        (lambda: None, lambda: None),
    ]


async def _switch(faults: list[tuple[Callable[[], None], Callable[[], None]]], every_s: float, dice: random.Random) -> None:
    """Let another part fail every so often; what failed before is mended first."""
    while True:
        begin, mend = dice.choice(faults)
        begin()
        try:
            await asyncio.sleep(every_s)
        finally:
            mend()


async def _any_request(service: Served, dice: random.Random) -> Reply:
    """Send what callers send, and now and then something that is refused."""
    roll = dice.random()
    film = dice.choice([496243, 157336, 129, 27205, dice.randrange(1, 2_000_000)])
    if roll < 0.25:
        body = {
            "message": f"{dice.choice(['2019년 한국 스릴러', '잔잔한 영화', '가족과 볼 애니메이션'])} {dice.randrange(500)}",
            "limit": 5,
        }
        return await ask(service, RECOMMEND, body)
    if roll < 0.30:
        return await ask(service, RECOMMEND, {"message": "모두의 영화", "user_id": f"u{dice.randrange(20)}"}, accept="text/event-stream")
    if roll < 0.55:
        return await ask(service, f"/api/movies/{film}/ott")
    if roll < 0.62:
        return await ask(service, f"/api/tv/{film}/ott?region={dice.choice(['KR', 'US'])}")
    if roll < 0.72:
        return await ask(service, f"/api/movies/ott?ids={','.join(str(film + n) for n in range(20))}")
    if roll < 0.80:
        return await ask(service, f"/api/movies/popular?page={dice.randrange(1, 5)}")
    if roll < 0.88:
        return await ask(service, dice.choice(["/health", "/health/liveness", "/health/readiness", "/admin/stats"]))
    if roll < 0.94:
        return await ask(service, FILM_LINKS, if_none_match='"x"')
    wrong: list[tuple[str, object]] = [
        ("/nowhere", None),
        (RECOMMEND, {"message": ""}),
        (RECOMMEND, {"message": "영화", "page": 0}),
        ("/api/movies/x/ott", None),
        (RECOMMEND, {"message": "영화" * 40_000}),
        (RECOMMEND, [1]),
    ]
    path, refused = dice.choice(wrong)
    return await ask(service, path, refused)
