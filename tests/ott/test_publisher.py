"""Publishing a catalogue's links to a real Redis: at a bounded rate, over hiccups, and on from where a run stopped."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opuscine.catalogue.service import Catalogue
from opuscine.catalogue.store import LinkRow
from opuscine.model import Kind, OfferType, OttLink, TitleRef
from opuscine.ott.publisher import Progress, Publisher, PublishError, PublishSettings
from opuscine.ott.redis import RedisTier
from opuscine.ott.tier import OttAsk
from opuscine.providers.table import ProviderTable
from opuscine.redis_gateway import RedisAwayError, RedisGateway
from support.catalogues import write_sources
from support.manual_clock import ManualClock
from support.redis_gateways import open_gateway
from support.redis_server import RedisServer
from support.tcp_proxy import TcpProxy

AS_OF = datetime(2025, 6, 1, 9, 30, tzinfo=UTC)
NETFLIX = OttLink("Netflix", 8, "", 1, "https://www.netflix.com/kr/title/1", OfferType.FLATRATE, "KR")


@dataclass
class Facts:
    generation: str = "g1"
    as_of: datetime = AS_OF


class Titles:
    """A catalogue of so many films, of which every fifth has an unreadable row."""

    def __init__(self, count: int) -> None:
        self.info = Facts()
        self.count = count

    def links_after(self, place: int, limit: int) -> Sequence[LinkRow]:
        places = range(place + 1, min(place + limit, self.count) + 1)
        return [LinkRow(at, TitleRef(Kind.MOVIE, at), (replace(NETFLIX, link=f"{NETFLIX.link}{at}"),) if at % 5 else ()) for at in places]

    def count_links(self) -> int:
        return self.count


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def server(redis: RedisServer) -> RedisServer:
    redis.command("FLUSHALL")
    return redis


@pytest.fixture
async def gateway(server: RedisServer) -> AsyncIterator[RedisGateway]:
    async with open_gateway(server.url, fail_max=1000) as opened:
        yield opened


FAST = PublishSettings(rate=1_000_000, batch=10)


def stop_at(done: int) -> Callable[[Progress], None]:
    """Interrupt the run once so many rows are written."""

    def check(progress: Progress) -> None:
        if progress.done >= done:
            raise KeyboardInterrupt

    return check


async def interrupted(publisher: Publisher, done: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        await publisher.run(stop_at(done))


async def test_every_title_that_streams_gets_a_row_of_its_own_for_a_day(server: RedisServer, gateway: RedisGateway) -> None:
    seen: list[Progress] = []
    done = await Publisher(Titles(95), gateway, FAST).run(seen.append)
    assert done == Progress("g1", 95, 95)
    assert [progress.done for progress in seen] == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95]
    assert server.command("DBSIZE") == 76
    assert json.loads(server.command("GET", "movie:94:ott_links"))[0]["as_of"] == "2025-06-01T09:30:00+00:00"
    assert 86_000 < int(server.command("TTL", "movie:1:ott_links")) <= 86_400


async def test_a_real_catalogue_is_published_whole_and_read_again(tmp_path: Path, server: RedisServer, gateway: RedisGateway) -> None:
    """Most popular titles first, films and series apart, every region."""
    catalogue = await Catalogue.open(write_sources(tmp_path))
    try:
        total = catalogue.count_links()
        rows = catalogue.links_after(0, 100)
        assert [row.place for row in rows] == sorted(row.place for row in rows)
        assert [row.ref for row in rows] == [
            row.ref for place in [0, *(row.place for row in rows)] for row in catalogue.links_after(place, 1)
        ]
        assert (await Publisher(catalogue, gateway, replace(FAST, batch=2)).run(lambda _: None)).done == total == len(rows)
        tier = RedisTier(gateway, table=ProviderTable.load(), region="KR")
        found = await tier.find_many([row.ref for row in rows], OttAsk("KR"))
        assert {ref: known.links for ref, known in found.items()} == {row.ref: row.links for row in rows}
        assert {TitleRef(Kind.MOVIE, 615), TitleRef(Kind.TV, 615)} <= set(found)
        assert {known.as_of for known in found.values()} == {catalogue.info.as_of.replace(microsecond=0)}
        assert server.command("DBSIZE") == total
    finally:
        await catalogue.close()


async def test_an_interrupted_run_goes_on_where_it_stopped_and_a_finished_one_starts_anew(
    server: RedisServer, gateway: RedisGateway
) -> None:
    publisher = Publisher(Titles(100), gateway, FAST)
    await interrupted(publisher, 40)
    server.command("DEL", "movie:1:ott_links")
    done = await publisher.run(lambda _: None)
    assert (done.done, done.resumed_at) == (100, 40)
    assert server.command("EXISTS", "movie:1:ott_links") == 0
    done = await publisher.run(lambda _: None)
    assert (done.done, done.resumed_at) == (100, 0)
    assert server.command("EXISTS", "movie:1:ott_links") == 1
    assert server.command("KEYS", "opuscine:*") == []


async def test_who_does_not_want_to_resume_starts_anew(gateway: RedisGateway) -> None:
    await interrupted(Publisher(Titles(100), gateway, FAST), 40)
    assert (await Publisher(Titles(100), gateway, replace(FAST, resume=False)).run(lambda _: None)).resumed_at == 0


async def test_after_half_their_life_the_rows_are_written_anew(server: RedisServer, gateway: RedisGateway) -> None:
    """Else the first of them would be gone long before the last."""
    clock = ManualClock(1_750_000_000.0)
    publisher = Publisher(Titles(100), gateway, replace(FAST, ttl_s=1000), wall_clock=clock)
    await interrupted(publisher, 40)
    assert 400 < int(server.command("TTL", "opuscine:publish:g1")) <= 500
    clock.advance(499)
    await interrupted(publisher, 60)
    assert int(server.command("PTTL", "opuscine:publish:g1")) <= 1000
    server.command("PERSIST", "opuscine:publish:g1")
    clock.advance(1)
    assert (await publisher.run(lambda _: None)).resumed_at == 0


NOTES = (
    *("", "no JSON", "[]", "7", "{}", '{"place": 3, "done": 3}', '{"place": "x", "done": 3, "began": NOW}'),
    *('{"place": -1, "done": 3, "began": NOW}', '{"place": 9e99, "done": 1, "began": NOW}', '{"place": 3, "done": 3, "began": 9e99}'),
)


@pytest.mark.parametrize("note", NOTES)
async def test_a_position_that_cannot_be_read_is_none(server: RedisServer, gateway: RedisGateway, note: str) -> None:
    server.command("SET", "opuscine:publish:g1", note.replace("NOW", str(time.time())))
    assert (await Publisher(Titles(20), gateway, FAST).run(lambda _: None)) == Progress("g1", 20, 20)


async def test_another_generation_starts_anew(gateway: RedisGateway) -> None:
    titles = Titles(100)
    await interrupted(Publisher(titles, gateway, FAST), 40)
    titles.info.generation = "g2"
    assert (await Publisher(titles, gateway, FAST).run(lambda _: None)).resumed_at == 0


async def test_a_generation_that_changes_under_the_run_starts_it_anew(server: RedisServer, gateway: RedisGateway) -> None:
    titles = Titles(100)

    def change(progress: Progress) -> None:
        if progress.done == 40 and progress.generation == "g1":
            titles.info = Facts("g2")
            titles.count = 30

    assert await Publisher(titles, gateway, FAST).run(change) == Progress("g2", 30, 30)


async def test_the_rate_holds_over_every_stretch_of_time(gateway: RedisGateway) -> None:
    """No more rows at any moment than one batch and what the rate allows since the first; a batch is a second's worth at most."""
    seen: list[tuple[float, int]] = []
    settings = PublishSettings(rate=1000, batch=50)
    began = time.monotonic()
    await Publisher(Titles(500), gateway, settings).run(lambda progress: seen.append((time.monotonic() - began, progress.done)))
    took = time.monotonic() - began
    assert all(done <= 50 + 1000 * at for at, done in seen)
    assert 0.5 <= took < 2.0
    await interrupted(Publisher(Titles(500), gateway, PublishSettings(rate=20)), 20)
    assert (await Publisher(Titles(20), gateway, FAST).run(lambda _: None)).resumed_at == 20


async def test_a_delay_is_not_made_up_for(gateway: RedisGateway) -> None:
    seen: list[tuple[float, int]] = []

    def stall(progress: Progress) -> None:
        if progress.done == 100:
            time.sleep(0.3)
        seen.append((time.monotonic(), progress.done))

    await Publisher(Titles(300), gateway, PublishSettings(rate=1000, batch=50)).run(stall)
    after = [(at, done) for at, done in seen if done >= 100]
    assert after[-1][0] - after[0][0] >= 0.15
    assert all(done - 100 <= 50 + 1000 * (at - after[0][0]) for at, done in after)


async def test_a_short_absence_of_redis_is_bridged(server: RedisServer) -> None:
    async with TcpProxy.to(server.port) as proxy, open_gateway(f"redis://127.0.0.1:{proxy.port}", fail_max=1000) as gateway:

        def cut_off(progress: Progress) -> None:
            if progress.done == 50:
                proxy.behave("reset")
                proxy.drop_all(reset=True)
                asyncio.get_running_loop().call_later(0.3, proxy.behave, "pass")

        assert await Publisher(Titles(100), gateway, FAST).run(cut_off) == Progress("g1", 100, 100)
        assert gateway.info.failures
    assert server.command("DBSIZE") == 80


async def test_when_redis_loses_what_was_written_the_run_starts_anew(server: RedisServer, gateway: RedisGateway) -> None:
    seen: list[int] = []

    def lose(progress: Progress) -> None:
        seen.append(progress.done)
        if seen.count(50) == 1 and progress.done == 50:
            server.restart()

    assert await Publisher(Titles(100), gateway, FAST).run(lose) == Progress("g1", 100, 100)
    assert seen.count(50) == 2
    assert server.command("DBSIZE") == 80


async def test_a_redis_that_keeps_nothing_ends_the_run(server: RedisServer, gateway: RedisGateway) -> None:
    with pytest.raises(PublishError, match="memory"):
        await Publisher(Titles(100), gateway, FAST).run(lambda _: server.command("FLUSHALL"))


async def test_rows_that_live_shorter_than_the_run_are_no_loss(gateway: RedisGateway) -> None:
    settings = PublishSettings(rate=100, batch=10, ttl_s=0.2)
    assert (await Publisher(Titles(50), gateway, settings).run(lambda _: None)).done == 50


async def test_redis_that_stays_away_ends_the_run_and_what_is_written_stays(server: RedisServer, gateway: RedisGateway) -> None:
    publisher = Publisher(Titles(100), gateway, FAST)
    began = time.monotonic()

    def pause(progress: Progress) -> None:
        if progress.done == 50:
            server.pause()

    try:
        with pytest.raises(RedisAwayError):
            await publisher.run(pause)
    finally:
        server.resume()
    assert time.monotonic() - began < 10
    async with open_gateway(server.url, budget_s=5.0) as again:
        assert (await Publisher(Titles(100), again, FAST).run(lambda _: None)).resumed_at in {40, 50, 60}


async def test_a_run_can_be_cancelled(gateway: RedisGateway) -> None:
    seen: list[int] = []
    run = asyncio.create_task(Publisher(Titles(100), gateway, PublishSettings(rate=10, batch=1)).run(lambda it: seen.append(it.done)))
    while len(seen) < 3:
        await asyncio.sleep(0.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
