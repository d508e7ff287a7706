"""Tiers asked in order: who answers what, and what happens when one is slow or broken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from opuscine.guard.deadline import Deadline
from opuscine.model import Kind, OfferType, OttLink, TitleRef
from opuscine.ott.repository import OttRepository
from opuscine.ott.tier import Availability, LinkStore, OttAsk, OttTier, TierName, TitleLinks
from opuscine.providers.table import ProviderTable
from opuscine.redis_gateway import RedisBudget
from support.manual_clock import ManualClock

TABLE = ProviderTable.load()

FILM = TitleRef(Kind.MOVIE, 615)
SERIES = TitleRef(Kind.TV, 615)
OTHER = TitleRef(Kind.MOVIE, 1)
LOCAL_TIME = datetime(2025, 6, 1, tzinfo=UTC)
API_TIME = datetime(2025, 6, 2, tzinfo=UTC)
NOW = datetime(2025, 6, 3, tzinfo=UTC)

NETFLIX = OttLink("Netflix", 8, "", 1, "https://www.netflix.com/title/1", OfferType.FLATRATE, "KR")
NETFLIX_KR = replace(NETFLIX, link="https://www.netflix.com/kr/title/1")
HULU = OttLink("Hulu", 15, "", 30, "https://www.hulu.com/movie/1", OfferType.FLATRATE, "US")


NO_LINKS = cast("tuple[OttLink, ...]", (7,))


class Tier:
    """A tier in memory that remembers what it was asked and given, and can be made to misbehave."""

    def __init__(self, name: TierName, links: Mapping[TitleRef, Sequence[OttLink]], as_of: datetime = LOCAL_TIME) -> None:
        self.name: TierName = name
        self.as_of = as_of
        self.links = links
        self.asked: list[tuple[list[TitleRef], OttAsk]] = []
        self.kept: dict[TitleRef, TitleLinks] = {}
        self.misbehave: Callable[[], Any] | None = None

    async def find_many(self, refs: Sequence[TitleRef], ask: OttAsk) -> Mapping[TitleRef, TitleLinks]:
        self.asked.append((list(refs), ask))
        if self.misbehave:
            result = self.misbehave()
            odd: Mapping[TitleRef, TitleLinks] = await result if asyncio.iscoroutine(result) else result
            return odd
        return {ref: TitleLinks(tuple(links), self.as_of) for ref, links in self.links.items()}

    def keep(self, found: Mapping[TitleRef, TitleLinks]) -> None:
        self.kept.update(found)


def repository(
    *tiers: OttTier, store: LinkStore | None = None, tier_timeout_s: float = 5.0, clock: Callable[[], float] = time.monotonic
) -> OttRepository:
    return OttRepository(tiers, table=TABLE, store=store, tier_timeout_s=tier_timeout_s, now=lambda: NOW, clock=clock)


def fail() -> None:
    raise ConnectionResetError("gone")


async def test_every_title_asked_for_is_answered_in_order() -> None:
    tier = Tier("local", {SERIES: [NETFLIX], OTHER: []})
    found = await repository(tier).find_many([OTHER, SERIES, FILM, OTHER], "KR")
    assert list(found.items()) == [
        (OTHER, Availability((), "none", LOCAL_TIME)),
        (SERIES, Availability((NETFLIX,), "local", LOCAL_TIME)),
        (FILM, Availability((), "none", NOW)),
    ]
    assert tier.asked == [([OTHER, SERIES, FILM], OttAsk("KR"))]


async def test_nothing_asked_asks_nobody() -> None:
    tier = Tier("local", {})
    assert await repository(tier).find_many([], "KR") == {}
    assert tier.asked == []


async def test_links_are_chosen_for_the_region_in_one_place() -> None:
    tier = Tier("local", {FILM: (HULU, NETFLIX, NETFLIX_KR)})
    assert (await repository(tier).find_many([FILM], "KR"))[FILM].links == (NETFLIX_KR,)
    assert (await repository(tier).find_many([FILM], "US"))[FILM].links == (HULU,)


async def test_what_a_tier_lacks_in_the_region_falls_through() -> None:
    local = Tier("local", {FILM: [HULU], SERIES: [NETFLIX]})
    api = Tier("api", {FILM: [NETFLIX], SERIES: [NETFLIX_KR]}, API_TIME)
    found = await repository(local, api).find_many([FILM, SERIES, OTHER], "KR")
    assert found == {
        FILM: Availability((NETFLIX,), "api", API_TIME),
        SERIES: Availability((NETFLIX,), "local", LOCAL_TIME),
        OTHER: Availability((), "none", NOW),
    }
    assert api.asked == [([FILM, OTHER], OttAsk("KR"))]


async def test_a_later_tier_is_not_asked_when_nothing_is_missing() -> None:
    api = Tier("api", {})
    await repository(Tier("local", {FILM: [NETFLIX]}), api).find_many([FILM], "KR")
    assert api.asked == []


async def test_what_was_not_asked_for_is_not_answered() -> None:
    assert list(await repository(Tier("local", {SERIES: [NETFLIX]})).find_many([FILM], "KR")) == [FILM]


async def test_no_tier_at_all_knows_nothing_now() -> None:
    assert await repository().find_many([FILM], "KR") == {FILM: Availability((), "none", NOW)}


@pytest.mark.parametrize("misbehave", [fail, lambda: None, lambda: {FILM: 7}, lambda: {FILM: TitleLinks(NO_LINKS, NOW)}])
async def test_a_broken_tier_is_passed_over(misbehave: Callable[[], Any]) -> None:
    local = Tier("local", {})
    local.misbehave = misbehave
    api = Tier("api", {FILM: [NETFLIX]}, API_TIME)
    assert await repository(local, api).find_many([FILM, OTHER], "KR") == {
        FILM: Availability((NETFLIX,), "api", API_TIME),
        OTHER: Availability((), "none", NOW),
    }


async def test_a_tier_that_hangs_is_given_up_after_its_time() -> None:
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    redis = Tier("redis", {})
    redis.misbehave = hang
    api = Tier("api", {FILM: [NETFLIX]})
    async with asyncio.timeout(5):
        found = await repository(redis, api, tier_timeout_s=0.02).find_many([FILM], "KR")
    assert found[FILM].source == "api"
    assert cancelled.is_set()


async def test_a_caller_that_leaves_is_not_taken_for_a_tiers_failure() -> None:
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    redis, api = Tier("redis", {}), Tier("api", {})
    redis.misbehave = hang
    asking = asyncio.create_task(repository(redis, api).find_many([FILM], "KR"))
    async with asyncio.timeout(5):
        await started.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert api.asked == []


async def test_trouble_is_logged_once_and_so_is_its_end() -> None:
    tier, steady, clock = Tier("redis", {}), Tier("api", {}), ManualClock()
    asked = repository(tier, steady, clock=clock)
    with capture_logs() as lines:
        for misbehave in (fail, fail, None, None, fail):
            tier.misbehave = misbehave
            clock.advance(1)
            await asked.find_many([FILM], "KR")
    assert [(line["event"], line["log_level"], line["tier"]) for line in lines] == [
        ("ott_tier_failed", "warning", "redis"),
        ("ott_tier_recovered", "info", "redis"),
        ("ott_tier_failed", "warning", "redis"),
    ]
    assert "ConnectionResetError" in lines[0]["error"]


async def test_trouble_that_comes_and_goes_is_one_line_a_second() -> None:
    tier, clock = Tier("redis", {}), ManualClock()
    asked = repository(tier, clock=clock)
    with capture_logs() as lines:
        for number in range(100):
            tier.misbehave = fail if number % 2 else None
            clock.advance(0.04)
            await asked.find_many([FILM], "KR")
    assert 3 <= len(lines) <= 4


async def test_every_tier_is_told_what_finding_may_cost() -> None:
    local, api = Tier("local", {}), Tier("api", {})
    budget, deadline = RedisBudget(0.05), Deadline(2.0)
    await repository(local, api).find_many([FILM], "KR", budget=budget, deadline=deadline, headers={"X-Request-Id": "1"})
    [(_, ask)] = local.asked
    assert (ask.budget, ask.deadline, ask.headers) == (budget, deadline, {"X-Request-Id": "1"})
    assert api.asked == local.asked


async def test_a_title_that_streams_nowhere_is_so_as_of_the_first_tier_that_knows_it() -> None:
    found = await repository(Tier("local", {}), Tier("redis", {FILM: [HULU]}, LOCAL_TIME), Tier("api", {FILM: []}, API_TIME)).find_many(
        [FILM, OTHER], "KR"
    )
    assert found == {FILM: Availability((), "none", LOCAL_TIME), OTHER: Availability((), "none", NOW)}


async def test_what_a_later_tier_finds_is_written_back_with_all_its_regions() -> None:
    local, redis = Tier("local", {SERIES: [NETFLIX]}), Tier("redis", {})
    api = Tier("api", {FILM: [NETFLIX, HULU], OTHER: [HULU]}, API_TIME)
    await repository(local, redis, api, store=redis).find_many([FILM, SERIES, OTHER], "KR")
    assert redis.kept == {FILM: TitleLinks((NETFLIX, HULU), API_TIME), OTHER: TitleLinks((HULU,), API_TIME)}


async def test_regions_that_only_the_store_knows_stay_and_the_row_is_as_old_as_they_are() -> None:
    redis, api = Tier("redis", {FILM: [HULU]}, LOCAL_TIME), Tier("api", {FILM: [NETFLIX]}, API_TIME)
    await repository(redis, api, store=redis).find_many([FILM], "KR")
    assert redis.kept == {FILM: TitleLinks((NETFLIX, HULU), LOCAL_TIME)}


async def test_what_the_store_has_already_is_not_written_again() -> None:
    """Else a title asked for in a region that nobody has would keep its row alive for ever."""
    redis, api = Tier("redis", {FILM: [HULU]}, LOCAL_TIME), Tier("api", {FILM: [HULU], OTHER: []}, API_TIME)
    await repository(redis, api, store=redis).find_many([FILM, OTHER], "KR")
    assert redis.kept == {}


async def test_a_store_that_did_not_answer_is_not_written_to() -> None:
    """What could not be read might be overwritten by less."""
    redis, api = Tier("redis", {}), Tier("api", {FILM: [NETFLIX]})
    redis.misbehave = fail
    found = await repository(redis, api, store=redis).find_many([FILM], "KR")
    assert (found[FILM].source, redis.kept) == ("api", {})


async def test_a_store_that_cannot_keep_costs_the_caller_nothing() -> None:
    class Full(Tier):
        def keep(self, found: Mapping[TitleRef, TitleLinks]) -> None:
            raise MemoryError(f"no room for {len(found)}")

    redis = Full("redis", {})
    with capture_logs() as lines:
        found = await repository(redis, Tier("api", {FILM: [NETFLIX]}), store=redis).find_many([FILM], "KR")
    assert found[FILM].links == (NETFLIX,)
    assert [(line["event"], line["tier"]) for line in lines] == [("ott_tier_failed", "redis")]


async def test_without_a_clock_the_time_is_the_real_one_in_utc() -> None:
    found = await OttRepository([], table=TABLE).find_many([FILM], "KR")
    assert abs((datetime.now(UTC) - found[FILM].as_of).total_seconds()) < 60
