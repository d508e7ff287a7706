"""Tiers asked in order: who answers what, and what happens when one is slow or broken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from opuscine.model import Kind, OfferType, OttLink, TitleRef
from opuscine.ott.repository import Availability, OttRepository, OttTier, TierName
from opuscine.providers.table import ProviderTable

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


class Tier:
    """A tier in memory that remembers what it was asked and can be made to misbehave."""

    def __init__(self, name: TierName, links: Mapping[TitleRef, Sequence[OttLink]], as_of: datetime = LOCAL_TIME) -> None:
        self.name: TierName = name
        self.as_of = as_of
        self.links = links
        self.asked: list[tuple[list[TitleRef], str]] = []
        self.misbehave: Callable[[], Any] | None = None

    async def find_many(self, refs: Sequence[TitleRef], region: str) -> Mapping[TitleRef, Sequence[OttLink]]:
        self.asked.append((list(refs), region))
        if self.misbehave:
            result = self.misbehave()
            odd: Mapping[TitleRef, Sequence[OttLink]] = await result if asyncio.iscoroutine(result) else result
            return odd
        return self.links


def repository(*tiers: OttTier, tier_timeout_s: float = 5.0) -> OttRepository:
    return OttRepository(tiers, table=TABLE, tier_timeout_s=tier_timeout_s, now=lambda: NOW)


def fail() -> None:
    raise ConnectionResetError("gone")


async def test_every_title_asked_for_is_answered_in_order() -> None:
    tier = Tier("local", {SERIES: [NETFLIX], OTHER: []})
    found = await repository(tier).find_many([OTHER, SERIES, FILM, OTHER], "KR")
    assert list(found.items()) == [
        (OTHER, Availability((), "none", LOCAL_TIME)),
        (SERIES, Availability((NETFLIX,), "local", LOCAL_TIME)),
        (FILM, Availability((), "none", LOCAL_TIME)),
    ]
    assert tier.asked == [([OTHER, SERIES, FILM], "KR")]


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
        OTHER: Availability((), "none", LOCAL_TIME),
    }
    assert api.asked == [([FILM, OTHER], "KR")]


async def test_a_later_tier_is_not_asked_when_nothing_is_missing() -> None:
    api = Tier("api", {})
    await repository(Tier("local", {FILM: [NETFLIX]}), api).find_many([FILM], "KR")
    assert api.asked == []


async def test_what_was_not_asked_for_is_not_answered() -> None:
    assert list(await repository(Tier("local", {SERIES: [NETFLIX]})).find_many([FILM], "KR")) == [FILM]


async def test_no_tier_at_all_knows_nothing_now() -> None:
    assert await repository().find_many([FILM], "KR") == {FILM: Availability((), "none", NOW)}


@pytest.mark.parametrize("misbehave", [fail, lambda: None, lambda: {FILM: 7}, lambda: {FILM: [7]}])
async def test_a_broken_tier_is_passed_over(misbehave: Callable[[], Any]) -> None:
    local = Tier("local", {})
    local.misbehave = misbehave
    api = Tier("api", {FILM: [NETFLIX]}, API_TIME)
    assert await repository(local, api).find_many([FILM, OTHER], "KR") == {
        FILM: Availability((NETFLIX,), "api", API_TIME),
        OTHER: Availability((), "none", API_TIME),
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
    tier, steady = Tier("redis", {}), Tier("api", {})
    asked = repository(tier, steady)
    with capture_logs() as lines:
        for misbehave in (fail, fail, None, None, fail):
            tier.misbehave = misbehave
            await asked.find_many([FILM], "KR")
    assert [(line["event"], line["log_level"], line["tier"]) for line in lines] == [
        ("ott_tier_failed", "warning", "redis"),
        ("ott_tier_recovered", "info", "redis"),
        ("ott_tier_failed", "warning", "redis"),
    ]
    assert "ConnectionResetError" in lines[0]["error"]


async def test_without_a_clock_the_time_is_the_real_one_in_utc() -> None:
    found = await OttRepository([], table=TABLE).find_many([FILM], "KR")
    assert abs((datetime.now(UTC) - found[FILM].as_of).total_seconds()) < 60
