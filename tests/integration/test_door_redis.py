"""The service while Redis is absent, dies, hangs, is cut off or flushed: nobody gets an error or waits, and the limit always holds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.door import OTT, Load, ask, eventually
from support.redis_server import RedisServer
from support.service import Service, running
from support.tcp_proxy import TcpProxy

BUDGET_S = 0.05
TOLERANCE_S = 0.025
LIMITS = {"rate_limit_read": "100000/day"}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


async def counts(redis: RedisServer) -> bool:
    """Say whether Redis holds a count of this limit."""
    return bool(redis.command("KEYS", "opuscine:limit:read:*"))


async def away(service: Service) -> bool:
    """Say whether the limit counts in the process only."""
    return bool((await service.get("/admin/stats"))["limits"]["read"]["away"])


async def not_away(service: Service) -> bool:
    return not await away(service)


async def is_open(service: Service) -> bool:
    """Say whether Redis is left alone for a while."""
    return bool((await service.get("/admin/stats"))["redis"]["breaker"] == "open")


async def many(load: Load, *, since: float) -> bool:
    """Say whether there are enough answers for a median."""
    return len(load.since(since)) >= 50


def check(load: Load) -> None:
    """Nobody got an error, and nobody waited for Redis for longer than a request's budget."""
    assert {answer.status for answer in load.answers} == {200}
    allowed_s = BUDGET_S + TOLERANCE_S + load.longest_stall_s
    assert max(answer.redis_s for answer in load.answers) <= allowed_s
    slowest = max(answer.took_s for answer in load.answers)
    assert slowest <= allowed_s + 0.15, f"an answer took {slowest * 1000:.0f} ms"


Deed = Callable[[RedisServer, TcpProxy], None]


def cut_off(_: RedisServer, proxy: TcpProxy) -> None:
    proxy.behave("reset")
    proxy.drop_all(reset=True)


def reach_again(_: RedisServer, proxy: TcpProxy) -> None:
    proxy.drop_all()
    proxy.behave("pass")


OUTAGES: dict[str, tuple[Deed, Deed]] = {
    "stopped": (lambda redis, _: redis.stop(), lambda redis, _: redis.start()),
    "killed": (lambda redis, _: redis.kill(), lambda redis, _: redis.start()),
    "hung": (lambda redis, _: redis.pause(), lambda redis, _: redis.resume()),
    "unreachable": (lambda _, proxy: proxy.behave("blackhole"), reach_again),
    "resetting": (cut_off, lambda _, proxy: proxy.behave("pass")),
}


@pytest.mark.parametrize("outage", OUTAGES)
async def test_an_outage_under_load_is_noticed_by_nobody_and_ends_by_itself(compiled: Path, redis: RedisServer, outage: str) -> None:
    begin, cure = OUTAGES[outage]
    async with TcpProxy.to(redis.port) as proxy, running(compiled, redis_url=f"redis://127.0.0.1:{proxy.port}", **LIMITS) as service:
        load = Load(service.caller, service.url + OTT)
        async with load.running():
            await eventually(lambda: counts(redis), what="a count in Redis")

            begin(redis, proxy)
            await eventually(lambda: away(service), what="a limit that counts locally")
            await eventually(lambda: is_open(service), what="an open breaker")
            opened = time.monotonic()
            await eventually(lambda: many(load, since=opened), what="fifty answers")
            assert statistics.median(answer.redis_s for answer in load.since(opened)) < 0.002

            cure(redis, proxy)
            if outage in {"hung", "unreachable", "resetting"}:
                redis.command("FLUSHALL")  # so that what is counted from now on shows
            back_s = await eventually(lambda: counts(redis), what="a new count in Redis")
            assert back_s < 5
            await eventually(lambda: not_away(service), what="a limit that counts in Redis")
        check(load)


async def test_a_redis_that_is_absent_at_the_start_is_used_once_it_comes(compiled: Path, redis: RedisServer) -> None:
    redis.stop()
    async with running(compiled, redis_url=redis.url, **LIMITS) as service:
        load = Load(service.caller, service.url + OTT)
        async with load.running():
            await eventually(lambda: is_open(service), what="an open breaker")
            redis.start()
            await eventually(lambda: counts(redis), what="a count in Redis")
            await eventually(lambda: not_away(service), what="a limit that counts in Redis")
        check(load)


async def test_a_redis_that_hangs_at_the_start_holds_up_neither_start_nor_stop(compiled: Path, redis: RedisServer) -> None:
    redis.pause()
    began = time.monotonic()
    async with running(compiled, redis_url=redis.url, **LIMITS) as service:
        assert time.monotonic() - began < 2
        load = Load(service.caller, service.url + OTT)
        async with load.running():
            await eventually(lambda: many(load, since=began), what="fifty answers")
        check(load)
        health = await service.get("/health")
        assert (health["status"], health["degraded"], health["components"]["redis"]["status"]) == ("UP", True, "DOWN")
        stopped = time.monotonic()
    assert time.monotonic() - stopped < 3
    redis.resume()


async def test_a_flush_or_lost_connections_are_no_outage(compiled: Path, redis: RedisServer) -> None:
    async with running(compiled, redis_url=redis.url, **LIMITS) as service:
        load = Load(service.caller, service.url + OTT)
        async with load.running():
            for _ in range(5):
                await eventually(lambda: counts(redis), what="a count in Redis")
                redis.command("CLIENT", "KILL", "TYPE", "normal")
                redis.command("SCRIPT", "FLUSH")
                redis.command("FLUSHALL")
        check(load)
        stats = await service.get("/admin/stats")
        assert stats["redis"]["breaker"] == "closed"
        assert stats["limits"]["read"]["counted_locally"] <= 20  # four callers, five times


async def test_the_limit_holds_when_redis_goes_and_when_it_comes_back(compiled: Path, redis: RedisServer) -> None:
    async with running(compiled, redis_url=redis.url, rate_limit_read="30/hour") as service:

        async def admitted(requests: int) -> int:
            return sum([(await ask(service.caller, service.url + OTT)).status == 200 for _ in range(requests)])

        assert await admitted(20) == 20
        redis.pause()
        assert await admitted(20) == 10  # what Redis had admitted is not admitted again
        redis.resume()
        assert await admitted(20) == 0

        async def back() -> bool:
            await admitted(1)
            return not await away(service)

        await eventually(back, what="a limit that counts in Redis")
        assert await admitted(20) <= 10  # it knows of twenty


async def test_a_value_that_somebody_else_wrote_is_no_error(compiled: Path, redis: RedisServer) -> None:
    async with running(compiled, redis_url=redis.url, rate_limit_read="30/hour") as service:
        await service.get(OTT)
        [key] = redis.command("KEYS", "opuscine:limit:read:*")
        for write in (("SET", key, "nonsense"), ("SET", key, ""), ("LPUSH", key, "x"), ("HSET", key, "x", "y")):
            redis.command("DEL", key)
            redis.command(*write)
            await service.get(OTT)
        redis.command("CONFIG", "SET", "maxmemory", "1")
        await service.get(OTT)
