"""The API server as a tier: shared calls, remembered misses, and no more of the request's time than there is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from opuscine.guard.deadline import Deadline
from opuscine.model import Kind, OttLink, TitleRef
from opuscine.ott.api import ApiServerTier
from opuscine.ott.api_server import ApiServer, ApiServerError, ApiServerSettings, api_breaker, api_session
from opuscine.ott.tier import OttAsk
from opuscine.providers.table import ProviderTable
from support.api_server import FilmServer
from support.llm_server import hang, status
from support.manual_clock import ManualClock

TABLE = ProviderTable.load()
NOW = datetime(2025, 6, 3, tzinfo=UTC)
ADDRESS = "https://www.netflix.com/kr/title/1"
KR = OttAsk("KR")


def film(number: int) -> TitleRef:
    return TitleRef(Kind.MOVIE, number)


def films(*numbers: int) -> dict[str, Any]:
    return {f"/movie/{number}": {"movie": {"id": number, "ott_links": [ADDRESS]}} for number in numbers}


@asynccontextmanager
async def tier_of(
    api: FilmServer, clock: ManualClock | None = None, *, max_waiting: int = 40, kind: type[ApiServer] = ApiServer, **settings: Any
) -> AsyncIterator[ApiServerTier]:
    given = ApiServerSettings(api.url, **settings)
    async with api_session(given) as session:
        server = kind(session, given, api_breaker(given), table=TABLE, region="KR")
        yield ApiServerTier(
            server, miss_ttl_s=300, max_titles=given.max_titles, max_waiting=max_waiting, now=lambda: NOW, clock=clock or ManualClock()
        )


async def test_titles_that_the_server_has_and_those_that_it_has_not_are_told_apart() -> None:
    async with FilmServer(films(1, 2)) as api, tier_of(api) as tier:
        found = await tier.find_many([film(1), film(2), film(3)], KR)
    assert {ref.id: len(known.links) for ref, known in found.items()} == {1: 1, 2: 1, 3: 0}
    assert {known.as_of for known in found.values()} == {NOW}


async def test_a_hundred_look_ups_of_one_film_at_once_are_one_call() -> None:
    async with FilmServer(films(1)) as api, tier_of(api) as tier:
        api.delay_s = 0.1
        found = await asyncio.gather(*(tier.find_many([film(1)], KR) for _ in range(100)))
        assert all(answer[film(1)].links[0].link == ADDRESS for answer in found)
        assert api.asked == ["/movie/1"]


@pytest.mark.parametrize("body", [None, {"movie": {"ott_links": []}}, {"movie": {"ott_links": ["https://www.netflix.com/us/title/1"]}}])
async def test_a_miss_is_remembered_for_its_region_and_forgotten_in_time(body: Any) -> None:
    clock = ManualClock()
    async with FilmServer({"/movie/1": body} if body else {}) as api, tier_of(api, clock) as tier:
        for _ in range(3):
            await tier.find_many([film(1)], KR)
        assert len(api.asked) == 1
        await tier.find_many([film(1)], OttAsk("JP"))
        assert len(api.asked) == 2
        clock.advance(299)
        assert await tier.find_many([film(1)], KR) == {}
        clock.advance(1)
        api.titles = films(1)
        assert (await tier.find_many([film(1)], KR))[film(1)].links
    assert len(api.asked) == 3


async def test_a_failure_is_not_remembered_as_a_miss() -> None:
    async with FilmServer(films(1)) as api, tier_of(api) as tier:
        api.answer = status(500)
        with pytest.raises(ApiServerError, match="500"):
            await tier.find_many([film(1)], KR)
        api.answer = None
        assert (await tier.find_many([film(1)], KR))[film(1)].links


async def test_what_could_be_found_is_answered_though_another_title_failed() -> None:
    async with FilmServer(films(1)) as api, tier_of(api) as tier:
        api.titles["/movie/2"] = {"nonsense": True}
        assert set(await tier.find_many([film(1), film(2)], KR)) == {film(1)}


async def test_of_one_request_only_so_many_titles_are_asked_for() -> None:
    async with FilmServer(films(*range(1, 50))) as api, tier_of(api, max_titles=20) as tier:
        assert set(await tier.find_many([film(number) for number in range(1, 50)], KR)) == {film(number) for number in range(1, 21)}
    assert len(api.asked) == 20
    assert api.most_in_flight <= 8


async def test_all_titles_together_take_no_longer_than_the_servers_limit() -> None:
    async with FilmServer(films(*range(1, 20))) as api, tier_of(api, timeout_s=0.3, max_concurrent=2) as tier:
        api.delay_s = 0.1
        began = time.monotonic()
        found = await tier.find_many([film(number) for number in range(1, 20)], KR)
        assert time.monotonic() - began < 0.6
        assert 2 <= len(found) < 19


async def test_a_request_waits_no_longer_than_its_deadline_allows() -> None:
    async with FilmServer(films(1)) as api, tier_of(api) as tier:
        api.answer = hang()
        began = time.monotonic()
        with pytest.raises(ApiServerError):
            await tier.find_many([film(1)], OttAsk("KR", deadline=Deadline(0.4)))
        assert time.monotonic() - began < 0.4
        clock = ManualClock()
        late = Deadline(1.0, clock)
        clock.advance(0.85)
        assert await tier.find_many([film(1)], OttAsk("KR", deadline=late)) == {}
    assert len(api.asked) == 1


async def test_a_caller_with_more_time_is_not_cut_short_by_one_in_a_hurry_who_asked_first() -> None:
    async with FilmServer(films(1)) as api, tier_of(api) as tier:
        api.delay_s = 0.3
        hurried = asyncio.create_task(tier.find_many([film(1)], OttAsk("KR", deadline=Deadline(0.2))))
        while not api.in_flight:
            await asyncio.sleep(0.005)
        patient = asyncio.create_task(tier.find_many([film(1)], KR))
        with pytest.raises(ApiServerError):
            await hurried
        assert (await patient)[film(1)].links
    assert len(api.asked) == 2


async def test_a_caller_in_a_hurry_leaves_a_shared_call_to_those_with_more_time() -> None:
    async with FilmServer(films(1)) as api, tier_of(api) as tier:
        api.delay_s = 0.3
        patient = asyncio.create_task(tier.find_many([film(1)], KR))
        while not api.in_flight:
            await asyncio.sleep(0.005)
        began = time.monotonic()
        with pytest.raises(ApiServerError, match="in time"):
            await tier.find_many([film(1)], OttAsk("KR", deadline=Deadline(0.1)))
        assert time.monotonic() - began < 0.25
        assert (await patient)[film(1)].links
    assert (len(api.asked), api.abandoned) == (1, 0)


async def test_an_open_breaker_is_an_error_at_once_and_costs_no_look_ups() -> None:
    looked_up: list[TitleRef] = []

    class Watched(ApiServer):
        async def links(self, ref: TitleRef, *, ends_at: float, headers: Mapping[str, str]) -> tuple[OttLink, ...] | None:
            looked_up.append(ref)
            return await super().links(ref, ends_at=ends_at, headers=headers)

    async with FilmServer() as api, tier_of(api, kind=Watched, breaker_failures=2) as tier:
        api.answer = status(500)
        with pytest.raises(ApiServerError, match="500"):
            await tier.find_many([film(1), film(2)], KR)
        with pytest.raises(ApiServerError, match="open"):
            await tier.find_many([film(1), film(2)], KR)
    assert looked_up == [film(1), film(2)]
    assert len(api.asked) == 2


async def test_a_hung_server_delays_few_requests_until_its_breaker_is_open() -> None:
    async with FilmServer() as api, tier_of(api, timeout_s=0.2, breaker_failures=5) as tier:
        api.answer = hang()
        with pytest.raises(ApiServerError, match="did not answer"):
            await tier.find_many([film(number) for number in range(1, 21)], KR)
        began = time.monotonic()
        with pytest.raises(ApiServerError, match="open"):
            await tier.find_many([film(1)], KR)
        assert time.monotonic() - began < 0.1


async def test_a_long_queue_is_not_made_longer() -> None:
    async with FilmServer() as api, tier_of(api, max_waiting=4, max_concurrent=2) as tier:
        api.answer = hang()
        first = asyncio.create_task(tier.find_many([film(number) for number in range(1, 5)], KR))
        while api.in_flight < 2:
            await asyncio.sleep(0.005)
        with pytest.raises(ApiServerError, match="wait for their turn"):
            await tier.find_many([film(9)], KR)
        first.cancel()
        await asyncio.wait({first})
        async with asyncio.timeout(5):
            while api.abandoned < 2:
                await asyncio.sleep(0.005)
