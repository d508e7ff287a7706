"""The service while Redis is absent, dies, hangs, is cut off or flushed: nobody gets an error or waits, and the limit always holds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.door import FILM, OTT, Load, ask, eventually
from support.fault_wall import fault
from support.redis_server import RedisServer
from support.service import Service, running
from support.tcp_proxy import TcpProxy

BUDGET_S = 0.05
TOLERANCE_S = 0.025
LIMITS = {"rate_limit_read": "100000/day"}


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


UNHARMED = "its answer as ever; limits count in each process meanwhile"
BUDGETED = "50 ms more than usual until its breaker opens, then nothing"
TOLD = (
    "`/health` ▸ `components.redis: DOWN`; `/admin/stats` ▸ `redis.breaker`, `limits.*.away`; log `breaker changed state`; "
    "metrics `opuscine_upstream_up`, `opuscine_breaker_state`, `opuscine_redis_failures_total`"
)


def outage(what: str, begin: Deed, cure: Deed, *, name: str) -> Any:
    """Give one way to be away, and what ends it, as a parameter with its place on the wall."""
    mark = fault("Redis", f"{what} under load, and is well again later", caller_gets=UNHARMED, within=BUDGETED, told_by=TOLD)
    return pytest.param(name, begin, cure, id=name, marks=mark)


OUTAGES = [
    outage("It is stopped", lambda redis, _: redis.stop(), lambda redis, _: redis.start(), name="stopped"),
    outage("It is killed", lambda redis, _: redis.kill(), lambda redis, _: redis.start(), name="killed"),
    outage("It hangs (SIGSTOP)", lambda redis, _: redis.pause(), lambda redis, _: redis.resume(), name="hung"),
    outage("The network swallows what it is sent", lambda _, proxy: proxy.behave("blackhole"), reach_again, name="unreachable"),
    outage("The network resets its connections", cut_off, lambda _, proxy: proxy.behave("pass"), name="resetting"),
]


@pytest.mark.parametrize(("name", "begin", "cure"), OUTAGES)
async def test_an_outage_under_load_is_noticed_by_nobody_and_ends_by_itself(
    compiled: Path, redis: RedisServer, name: str, begin: Deed, cure: Deed
) -> None:
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
            if name in {"hung", "unreachable", "resetting"}:
                redis.command("FLUSHALL")  # so that what is counted from now on shows
            back_s = await eventually(lambda: counts(redis), what="a new count in Redis")
            assert back_s < 5
            await eventually(lambda: not_away(service), what="a limit that counts in Redis")
        check(load)


@fault(
    "Redis",
    "It is absent at the start and comes later",
    caller_gets=UNHARMED,
    within=BUDGETED,
    told_by=TOLD,
)
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


@fault(
    "Redis",
    "It hangs while the service starts and stops",
    caller_gets=UNHARMED,
    within=BUDGETED,
    told_by=TOLD,
)
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


@fault(
    "Redis",
    "It is flushed, forgets its scripts and closes connections",
    caller_gets="its answer as ever",
    within="the time that Redis takes",
    told_by="`/admin/stats` ▸ `limits.*.counted_locally`; `redis.breaker` stays closed",
)
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


@fault(
    "Redis",
    "It goes while a limit is nearly used up, and comes back",
    caller_gets="no more than the limit: what Redis had admitted is not admitted again",
    within="the 50 ms of a request",
    told_by="`/admin/stats` ▸ `limits.*.away`; log `rate limit counts in this process only`",
)
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


@fault(
    "Redis",
    "Its counters are overwritten with rubbish, and it is full (`maxmemory`)",
    caller_gets="its answer as ever",
    within="the time that Redis takes",
    told_by="`/admin/stats` ▸ `limits.*`",
)
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


@fault(
    "Redis",
    "Its rows of links hold rubbish",
    caller_gets="its answer as ever, with the links that the catalogue has",
    within="the time that Redis takes",
    told_by="log `ott_row_broken`, once a minute, with the row's key and a count",
)
async def test_rubbish_in_a_row_of_links_is_no_link(compiled: Path, redis: RedisServer) -> None:
    async with running(compiled, redis_url=redis.url) as service:
        usual = (await service.get(OTT))["ott_links"]
        unknown = "/api/movies/900000001/ott"
        for value in (b"\xff\x00", "nonsense", "[", '[{"link": "javascript:alert(1)"}]', '{"link": 5}', "9" * 5000, "[" * 5000):
            for film in (FILM, 900000001):
                redis.command("SET", f"movie:{film}:ott_links", value)
            assert (await service.get(OTT))["ott_links"] == usual
            assert (await service.get(unknown))["ott_links"] == []
        redis.command("DEL", f"movie:{FILM}:ott_links")
        redis.command("LPUSH", f"movie:{FILM}:ott_links", "a list")
        assert (await service.get(OTT))["ott_links"] == usual


@fault(
    "Redis",
    "Its password is not the one of `REDIS_URL`",
    caller_gets=UNHARMED,
    within=BUDGETED,
    told_by=f"{TOLD}; `opuscine check` names it",
)
async def test_a_wrong_password_is_redis_being_away(compiled: Path, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "guarded", password="right-password-of-redis") as guarded:
        wrong = guarded.url.replace("right-", "wrong-")
        async with running(compiled, redis_url=wrong, **LIMITS) as service:
            load = Load(service.caller, service.url + OTT)
            async with load.running():
                await eventually(lambda: is_open(service), what="an open breaker")
            check(load)
            health = await service.get("/health")
            assert (health["status"], health["components"]["redis"]["status"]) == ("UP", "DOWN")
            assert "password-of-redis" not in str(await service.get("/admin/stats"))


@fault(
    "Redis",
    "It is full (`maxmemory` with `noeviction`) and takes no more links",
    caller_gets="its answer as ever",
    within="the time that Redis takes",
    told_by="`/admin/stats` ▸ `redis`",
)
async def test_a_full_redis_is_read_and_no_error(compiled: Path, redis: RedisServer) -> None:
    async with running(compiled, redis_url=redis.url, **LIMITS) as service:
        await service.get(OTT)
        redis.command("CONFIG", "SET", "maxmemory", "1")
        for _ in range(20):
            await service.get(OTT)
            assert (await service.recommend())["movies"]
