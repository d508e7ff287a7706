"""The process is asked before Redis; both are written; whatever Redis does, a caller gets the right answer or none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from opuscine.model import Kind, TitleRef
from opuscine.recommend.answer_cache import AnswerCache
from opuscine.recommend.kept_answer import KeptAnswer, answer_key, row_key
from opuscine.recommend.wish import Wish
from opuscine.redis_gateway import RedisGateway
from opuscine.settings import CacheSettings
from support.manual_clock import ManualClock
from support.redis_gateways import eventually, open_gateway
from support.redis_server import RedisServer

WISH = Wish("비 오는 날", page=1, limit=20, region="KR", caller="key:spring", user="u-1")
KEY = answer_key(WISH, "generation")
GIVEN = {TitleRef(Kind.MOVIE, 496243): "기생충"}
LIKE_THIS = {"ttl_s": 300.0, "stale_ttl_s": 3600.0, "max_bytes": 1_000_000}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as started:
        yield started


@pytest.fixture
async def gateway(server: RedisServer) -> AsyncIterator[RedisGateway]:
    server.command("FLUSHALL")
    async with open_gateway(server.url) as opened:
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_800_000_000.0)


def cache_with(clock: ManualClock, gateway: RedisGateway | None = None, **changes: float) -> AnswerCache:
    settings = CacheSettings(**{**LIKE_THIS, **changes})  # type: ignore[arg-type]  # a number is a number here
    return AnswerCache(settings, generation=lambda: "generation", gateway=gateway, now=clock)


async def written(gateway: RedisGateway) -> None:
    """Wait until nothing waits to be written."""
    await eventually(lambda: gateway.info.written and not gateway.info.pending_writes, what="the row is written")


def body(kept: KeptAnswer | None) -> bytes | None:
    return None if kept is None else kept.body


async def test_an_answer_is_fresh_then_a_last_resort_then_gone(clock: ManualClock) -> None:
    cache = cache_with(clock)
    cache.keep(KEY, b"answer", GIVEN)
    clock.advance(299)
    assert body(cache.here(KEY)) == b"answer"
    clock.advance(1)
    assert cache.here(KEY) is None
    clock.advance(3599)
    kept = await cache.last_resort(KEY, None)
    assert kept is not None
    assert (kept.body, cache.is_fresh(kept), cache.age_s(kept)) == (b"answer", False, 3899)
    clock.advance(1)
    assert await cache.last_resort(KEY, None) is None
    assert cache.stats()["process"] == {
        "hits": 1,
        "misses": 1,
        "stale": 1,
        "stored": 1,
        "evicted": 0,
        "entries": 1,
        "bytes": len(b"answer") + 400,
    }


async def test_no_stale_time_means_no_last_resort(clock: ManualClock) -> None:
    cache = cache_with(clock, stale_ttl_s=0.0)
    cache.keep(KEY, b"answer", GIVEN)
    clock.advance(300)
    assert await cache.last_resort(KEY, None) is None


async def test_another_process_finds_what_one_has_kept_and_holds_it_itself(
    clock: ManualClock, gateway: RedisGateway, server: RedisServer
) -> None:
    one, other = cache_with(clock, gateway), cache_with(clock, gateway)
    one.keep(KEY, b"answer", GIVEN)
    await written(gateway)
    assert other.here(KEY) is None
    clock.advance(10)
    kept = await other.elsewhere(KEY, gateway.budget())
    assert kept is not None
    assert (kept.body, kept.given, other.age_s(kept)) == (b"answer", GIVEN, 10)
    server.command("FLUSHALL")
    assert body(other.here(KEY)) == b"answer"
    assert (other.stats()["redis"]["hits"], other.stats()["process"]["hits"]) == (1, 1)


async def test_an_answer_in_redis_expires_when_it_says_so_itself_and_redis_drops_it_with_its_last_use(
    clock: ManualClock, gateway: RedisGateway, server: RedisServer
) -> None:
    cache_with(clock, gateway).keep(KEY, b"answer", GIVEN)
    await written(gateway)
    assert 3890 < int(server.command("TTL", row_key(KEY))) <= 3900
    clock.advance(300)
    later = cache_with(clock, gateway)
    assert await later.elsewhere(KEY, gateway.budget()) is None
    assert body(await later.last_resort(KEY, gateway.budget())) == b"answer"
    clock.advance(3600)
    assert await cache_with(clock, gateway).last_resort(KEY, gateway.budget()) is None


@pytest.mark.parametrize("row", ["", "rubbish", "{}", "opuscine-answer-1\n", "opuscine-answer-9\n" + "x" * 200, "x" * 400_000])
async def test_rubbish_in_redis_is_a_miss_and_counted(clock: ManualClock, gateway: RedisGateway, server: RedisServer, row: str) -> None:
    server.command("SET", row_key(KEY), row)
    cache = cache_with(clock, gateway)
    assert await cache.elsewhere(KEY, gateway.budget()) is None
    assert await cache.last_resort(KEY, gateway.budget()) is None
    assert cache.broken_rows == 2
    cache.keep(KEY, b"answer", GIVEN)
    await written(gateway)
    assert body(await cache_with(clock, gateway).elsewhere(KEY, gateway.budget())) == b"answer"


async def test_a_value_of_another_kind_is_a_miss(clock: ManualClock, gateway: RedisGateway, server: RedisServer) -> None:
    server.command("LPUSH", row_key(KEY), "x")
    assert await cache_with(clock, gateway).elsewhere(KEY, gateway.budget()) is None


async def test_one_callers_row_under_anothers_name_is_a_miss(clock: ManualClock, gateway: RedisGateway, server: RedisServer) -> None:
    """Whoever can write to Redis can't hand one caller's answer to another by copying it."""
    cache_with(clock, gateway).keep(KEY, b"answer", GIVEN)
    await written(gateway)
    other = answer_key(Wish("비 오는 날", page=1, limit=20, region="KR", caller="key:spring", user="u-2"), "generation")
    server.command("COPY", row_key(KEY), row_key(other))
    cache = cache_with(clock, gateway)
    assert await cache.elsewhere(other, gateway.budget()) is None
    assert cache.broken_rows == 1
    assert body(await cache.elsewhere(KEY, gateway.budget())) == b"answer"


async def test_a_redis_that_is_away_is_a_miss_and_the_process_goes_on(clock: ManualClock, tmp_path: Path) -> None:
    async with open_gateway("redis://127.0.0.1:1", fail_max=2) as nobody:
        cache = cache_with(clock, nobody)
        assert await cache.elsewhere(KEY, nobody.budget()) is None
        cache.keep(KEY, b"answer", GIVEN)
        assert body(cache.here(KEY)) == b"answer"
        assert body(await cache.last_resort(KEY, nobody.budget())) == b"answer"


async def test_without_room_in_the_process_answers_lie_in_redis_only(clock: ManualClock, gateway: RedisGateway) -> None:
    cache = cache_with(clock, gateway, max_bytes=0)
    cache.keep(KEY, b"answer", GIVEN)
    await written(gateway)
    assert cache.here(KEY) is None
    assert body(await cache.elsewhere(KEY, gateway.budget())) == b"answer"
    assert cache.stats()["process"]["entries"] == 0


async def test_no_time_keeps_nothing_anywhere(clock: ManualClock, gateway: RedisGateway, server: RedisServer) -> None:
    cache = cache_with(clock, gateway, ttl_s=0.0)
    cache.keep(KEY, b"answer", GIVEN)
    assert (cache.on, cache.here(KEY), await cache.elsewhere(KEY, gateway.budget())) == (False, None, None)
    assert (gateway.info.uses, gateway.info.pending_writes, server.command("DBSIZE")) == (0, 0, 0)


async def test_memory_is_bounded_and_what_made_room_is_counted(clock: ManualClock) -> None:
    cache = cache_with(clock, max_bytes=3_000)
    for number in range(5):
        cache.keep(answer_key(WISH, str(number)), b"x" * 600, GIVEN)
    process = cache.stats()["process"]
    assert (process["entries"], process["bytes"], process["evicted"]) == (3, 3_000, 2)
    assert cache.here(answer_key(WISH, "0")) is None
    assert cache.here(answer_key(WISH, "4")) is not None


async def test_what_was_given_on_pages_is_found_wherever_they_lie_even_expired(clock: ManualClock, gateway: RedisGateway) -> None:
    one, other = cache_with(clock, gateway), cache_with(clock, gateway)
    pages = {number: Wish("비 오는 날", page=number, limit=20, region="KR") for number in (1, 2, 3)}
    one.keep(one.key(pages[1]), b"first", GIVEN)
    await written(gateway)
    second = {TitleRef(Kind.TV, 615): "Futurama"}
    other.keep(other.key(pages[2]), b"second", second)
    clock.advance(301)
    assert await other.given(pages, gateway.budget()) == {1: GIVEN, 2: second}


async def test_a_budget_that_is_used_up_is_a_miss(clock: ManualClock, gateway: RedisGateway) -> None:
    cache_with(clock, gateway).keep(KEY, b"answer", GIVEN)
    await written(gateway)
    spent = gateway.budget()
    spent.spend_since(spent.now() - 100.0)
    assert await cache_with(clock, gateway).elsewhere(KEY, spent) is None
