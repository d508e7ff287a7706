"""Redis as a tier: rows of ours and of others, broken ones, and Redis in trouble."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from opuscine.model import Kind, OfferType, OttLink, TitleRef
from opuscine.ott.redis import BROKEN_LOG_INTERVAL_S, RedisTier
from opuscine.ott.repository import OttRepository
from opuscine.ott.stored_row import row_key, write_row
from opuscine.ott.tier import OttAsk, TitleLinks
from opuscine.providers.table import ProviderTable
from opuscine.redis_gateway import RedisAwayError, RedisBudget, RedisGateway
from support.manual_clock import ManualClock
from support.redis_gateways import LoopWatch, eventually, open_gateway
from support.redis_server import RedisServer

TABLE = ProviderTable.load()
FILM = TitleRef(Kind.MOVIE, 615)
SERIES = TitleRef(Kind.TV, 615)
OTHER = TitleRef(Kind.MOVIE, 1)
THEN = datetime(2025, 6, 1, 9, 30, 15, tzinfo=UTC)
NOW = datetime(2025, 6, 3, tzinfo=UTC)
KR = OttAsk("KR")
NETFLIX = OttLink("Netflix", 8, "", 1, "https://www.netflix.com/kr/title/1", OfferType.FLATRATE, "KR")
HULU = OttLink("Hulu", 15, "", 30, "https://www.hulu.com/movie/1", OfferType.FLATRATE, "US")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as running:
        yield running


@pytest.fixture
async def gateway(server: RedisServer) -> AsyncIterator[RedisGateway]:
    async with open_gateway(server.url, budget_s=1.0) as opened:
        yield opened


def tier_of(gateway: RedisGateway, clock: ManualClock | None = None) -> RedisTier:
    return RedisTier(gateway, table=TABLE, region="KR", now=lambda: NOW, clock=clock or ManualClock())


async def test_all_titles_are_read_with_one_command_and_films_are_no_series(server: RedisServer, gateway: RedisGateway) -> None:
    server.command("SET", "movie:615:ott_links", write_row(TitleLinks((NETFLIX, HULU), THEN)).decode())
    server.command("SET", "tv:615:ott_links", '["https://www.disneyplus.com/series/one/615"]')
    server.command("CONFIG", "RESETSTAT")
    found = await tier_of(gateway).find_many([FILM, SERIES, OTHER], KR)
    assert set(found) == {FILM, SERIES}
    assert found[FILM] == TitleLinks((NETFLIX, HULU), THEN)
    assert (found[SERIES].links[0].provider_id, found[SERIES].as_of) == (337, NOW)
    assert b"cmdstat_mget:calls=1," in server.command("INFO", "commandstats")


async def test_a_broken_row_is_a_miss_counted_and_logged_once_a_minute(server: RedisServer, gateway: RedisGateway) -> None:
    clock = ManualClock()
    tier = tier_of(gateway, clock)
    server.command("SET", row_key(FILM), "{not json")
    server.command("LPUSH", row_key(SERIES), "of another type")
    server.command("SET", row_key(OTHER), write_row(TitleLinks((NETFLIX,), THEN)).decode())
    with capture_logs() as lines:
        for _ in range(3):
            assert set(await tier.find_many([FILM, SERIES, OTHER], KR)) == {OTHER}
        assert tier.broken_rows == 3
        assert [(line["event"], line["key"], line["so_far"]) for line in lines] == [("ott_row_broken", "movie:615:ott_links", 1)]
        clock.advance(BROKEN_LOG_INTERVAL_S)
        await tier.find_many([FILM], KR)
    assert [line["so_far"] for line in lines] == [1, 4]


async def test_long_rows_are_read_all_the_same(server: RedisServer, gateway: RedisGateway) -> None:
    """They are read in a thread, so that the loop goes on meanwhile."""
    links = tuple(replace(NETFLIX, provider_id=3000 + number, link=f"https://p{number}.example.com/kr") for number in range(700))
    server.command("SET", row_key(FILM), write_row(TitleLinks(links, THEN)).decode())
    server.command("SET", row_key(OTHER), "{not json")
    tier = tier_of(gateway)
    assert await tier.find_many([FILM, OTHER], KR) == {FILM: TitleLinks(links, THEN)}
    assert tier.broken_rows == 1


async def test_rows_live_for_their_time_and_replace_what_was_there(server: RedisServer, gateway: RedisGateway) -> None:
    tier = RedisTier(gateway, table=TABLE, region="KR", ttl_s=60)
    server.command("SET", row_key(FILM), "[]")
    tier.keep({FILM: TitleLinks((NETFLIX,), THEN)})
    await eventually(lambda: gateway.info.written)
    assert (await tier.find_many([FILM], KR))[FILM] == TitleLinks((NETFLIX,), THEN)
    assert 0 < int(server.command("PTTL", row_key(FILM))) <= 60_000


async def test_every_use_is_taken_off_the_requests_budget(gateway: RedisGateway) -> None:
    budget = RedisBudget(1.0)
    await tier_of(gateway).find_many([FILM], OttAsk("KR", budget=budget))
    assert 0 < budget.remaining_s < 1.0
    with pytest.raises(RedisAwayError, match="used up"):
        await tier_of(gateway).find_many([FILM], OttAsk("KR", budget=RedisBudget(0.0)))


READER = """
import asyncio, sys
from opuscine.guard.breaker import Breaker
from opuscine.model import Kind, TitleRef
from opuscine.ott.redis import RedisTier
from opuscine.ott.tier import OttAsk
from opuscine.providers.table import ProviderTable
from opuscine.redis_gateway import RedisGateway, RedisSettings

async def main():
    gateway = RedisGateway(RedisSettings(sys.argv[1], budget_s=5.0), breaker=Breaker("redis", fail_max=5, open_s=1))
    tier = RedisTier(gateway, table=ProviderTable.load(), region="KR")
    for ref, known in (await tier.find_many([TitleRef(Kind.MOVIE, 615)], OttAsk("KR"))).items():
        print(*ref, *(link.link for link in known.links), known.as_of.isoformat())
    await gateway.close()

asyncio.run(main())
"""


async def test_what_one_process_keeps_another_reads(server: RedisServer, gateway: RedisGateway) -> None:
    tier_of(gateway).keep({FILM: TitleLinks((NETFLIX, HULU), THEN)})
    await eventually(lambda: gateway.info.written)
    reader = await asyncio.create_subprocess_exec(sys.executable, "-c", READER, server.url, stdout=asyncio.subprocess.PIPE)
    out, _ = await reader.communicate()
    assert out.decode().split() == ["movie", "615", NETFLIX.link, HULU.link, THEN.isoformat()]


BUDGET_S = 0.05
TOLERANCE_S = 0.03


@contextlib.asynccontextmanager
async def within_the_budget() -> AsyncIterator[list[float]]:
    """Check that no time written down exceeds the budget by more than the loop itself was held up."""
    took: list[float] = []
    async with LoopWatch() as watch:
        yield took
    assert max(took) <= BUDGET_S + TOLERANCE_S + watch.longest_stall_s, f"an answer took {max(took) * 1000:.1f} ms"


@pytest.mark.parametrize("outage", ["stopped", "hung", "flushed"])
async def test_answers_come_within_the_budget_whatever_befalls_redis(server: RedisServer, outage: str) -> None:
    """And Redis answers again once it is well; what a flush took is a miss."""
    row = write_row(TitleLinks((NETFLIX,), THEN)).decode()
    server.command("SET", row_key(FILM), row)
    deeds: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "stopped": (server.stop, server.start),
        "hung": (server.pause, server.resume),
        "flushed": (lambda: server.command("FLUSHALL"), lambda: None),
    }
    begin, cure = deeds[outage]
    async with open_gateway(server.url, budget_s=BUDGET_S, open_s=0.1) as gateway, within_the_budget() as took:
        repository = OttRepository([tier_of(gateway)], table=TABLE)

        async def source() -> str:
            began = time.monotonic()
            found = await repository.find_many([FILM, SERIES], "KR", budget=gateway.budget())
            took.append(time.monotonic() - began)
            return found[FILM].source

        async def until(wanted: str) -> None:
            end = time.monotonic() + 10
            while await source() != wanted:
                assert time.monotonic() < end, f"{wanted} did not come"
                await asyncio.sleep(0.005)

        await until("redis")
        begin()
        await until("none")
        for _ in range(50):
            assert await source() == "none"
        cure()
        server.command("SET", row_key(FILM), row)
        await until("redis")
