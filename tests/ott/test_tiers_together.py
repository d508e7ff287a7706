"""The catalogue, a real Redis and a real API server as one repository."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from opuscine.model import Kind, OfferType, OttLink, TitleRef
from opuscine.ott.api import ApiServerTier
from opuscine.ott.api_server import ApiServer, ApiServerSettings, api_breaker, api_session
from opuscine.ott.local import LocalTier
from opuscine.ott.redis import RedisTier
from opuscine.ott.repository import OttRepository
from opuscine.ott.stored_row import row_key, write_row
from opuscine.ott.tier import OttTier, TitleLinks
from opuscine.providers.table import ProviderTable
from opuscine.redis_gateway import RedisGateway
from support.api_server import FilmServer
from support.llm_server import hang
from support.redis_gateways import eventually, open_gateway
from support.redis_server import RedisServer

TABLE = ProviderTable.load()
AS_OF = datetime(2025, 6, 1, tzinfo=UTC)
NETFLIX = OttLink("Netflix", 8, "", 1, "https://www.netflix.com/kr/title/1", OfferType.FLATRATE, "KR")
HULU = OttLink("Hulu", 15, "", 30, "https://www.hulu.com/movie/1", OfferType.FLATRATE, "US")
LOCAL, STORED, REMOTE, NOWHERE = (TitleRef(Kind.MOVIE, number) for number in (1, 2, 3, 4))


@dataclass
class Info:
    as_of: datetime
    generation: str = "one"


class Catalogue:
    """Knows one film in Korea, and all others only in the US."""

    info = Info(AS_OF)

    def links_many(self, refs: Sequence[TitleRef]) -> Mapping[TitleRef, tuple[OttLink, ...]]:
        return {ref: (NETFLIX, HULU) if ref == LOCAL else (HULU,) for ref in refs}


@dataclass
class Rig:
    repository: OttRepository
    redis: RedisServer
    gateway: RedisGateway
    api: FilmServer

    async def sources(self, *refs: TitleRef, region: str = "KR") -> list[str]:
        found = await self.repository.find_many(refs, region, budget=self.gateway.budget())
        return [found[ref].source for ref in refs]


@asynccontextmanager
async def rig(folder: Path, *, budget_s: float = 1.0, api_timeout_s: float = 2.0) -> AsyncIterator[Rig]:
    titles = {f"/movie/{ref.id}": {"movie": {"ott_links": [f"https://watcha.com/contents/{ref.id}"]}} for ref in (LOCAL, STORED, REMOTE)}
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder / "redis"))
        gateway = await stack.enter_async_context(open_gateway(redis.url, budget_s=budget_s))
        api = await stack.enter_async_context(FilmServer(titles))
        given = ApiServerSettings(api.url, timeout_s=api_timeout_s)
        session = await stack.enter_async_context(api_session(given))
        server = ApiServer(session, given, api_breaker(given), table=TABLE, region="KR")
        store = RedisTier(gateway, table=TABLE, region="KR")
        tiers: list[OttTier] = [LocalTier(Catalogue()), store, ApiServerTier(server, miss_ttl_s=300)]
        redis.command("SET", row_key(STORED), write_row(TitleLinks((NETFLIX,), AS_OF)).decode())
        yield Rig(OttRepository(tiers, table=TABLE, store=store), redis, gateway, api)


async def test_the_nearest_tier_that_has_it_in_the_region_answers(tmp_path: Path) -> None:
    async with rig(tmp_path) as all_tiers:
        assert await all_tiers.sources(LOCAL, STORED, REMOTE, NOWHERE) == ["local", "redis", "api", "none"]
        assert all_tiers.api.asked == ["/movie/3", "/movie/4"]
        assert await all_tiers.sources(LOCAL, region="US") == ["local"]


async def test_what_the_api_server_found_redis_has_from_then_on(tmp_path: Path) -> None:
    async with rig(tmp_path) as all_tiers:
        first = (await all_tiers.repository.find_many([REMOTE], "KR"))[REMOTE]
        await eventually(lambda: all_tiers.gateway.info.written)
        second = (await all_tiers.repository.find_many([REMOTE], "KR"))[REMOTE]
        assert (first.source, second.source) == ("api", "redis")
        assert second.links == first.links
        assert second.as_of == first.as_of.replace(microsecond=0)
        assert 86_000 < int(all_tiers.redis.command("TTL", row_key(REMOTE))) <= 86_400
        assert all_tiers.api.asked == ["/movie/3"]


async def test_what_nobody_has_is_not_asked_for_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as all_tiers:
        for _ in range(5):
            assert await all_tiers.sources(NOWHERE) == ["none"]
        assert all_tiers.api.asked == ["/movie/4"]


async def test_a_hundred_callers_at_once_make_one_call(tmp_path: Path) -> None:
    async with rig(tmp_path) as all_tiers:
        all_tiers.api.delay_s = 0.5
        assert await asyncio.gather(*(all_tiers.sources(REMOTE) for _ in range(100))) == [["api"]] * 100
        assert all_tiers.api.asked == ["/movie/3"]


async def test_without_redis_the_others_answer_and_nothing_is_written(tmp_path: Path) -> None:
    async with rig(tmp_path, budget_s=0.05) as all_tiers:
        all_tiers.redis.stop()
        assert await all_tiers.sources(LOCAL, STORED, REMOTE, NOWHERE) == ["local", "api", "api", "none"]
        assert all_tiers.gateway.info.dropped_writes + all_tiers.gateway.info.pending_writes == 0
        all_tiers.redis.start()
        await eventually(lambda: all_tiers.gateway.info.breaker == "closed")
        assert await all_tiers.sources(REMOTE) == ["api"]
        await eventually(lambda: all_tiers.gateway.info.written)
        assert await all_tiers.sources(REMOTE) == ["redis"]


async def test_with_redis_and_the_api_server_hung_answers_come_within_their_limits(tmp_path: Path) -> None:
    async with rig(tmp_path, budget_s=0.05, api_timeout_s=0.3) as all_tiers:
        all_tiers.redis.pause()
        all_tiers.api.answer = hang()
        refs = [LOCAL, *(TitleRef(Kind.MOVIE, number) for number in range(100, 119))]
        began = time.monotonic()
        sources = await all_tiers.sources(*refs)
        assert sources == ["local"] + ["none"] * 19
        assert time.monotonic() - began < 0.6
        began = time.monotonic()
        await all_tiers.sources(*refs)  # the API server's breaker is open now
        assert time.monotonic() - began < 0.25
