"""The catalogue as a tier of links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from opuscine.errors import CatalogueUnavailableError
from opuscine.model import Kind, OfferType, OttLink, TitleRef
from opuscine.ott.local import KEPT_TITLES, LocalTier
from opuscine.ott.repository import OttRepository
from opuscine.ott.tier import Availability, OttAsk, TierName, TitleLinks
from opuscine.providers.table import ProviderTable
from support.manual_clock import ManualClock

FILM = TitleRef(Kind.MOVIE, 615)
SERIES = TitleRef(Kind.TV, 615)
AS_OF = datetime(2025, 6, 1, 9, 30, tzinfo=UTC)
TABLE = ProviderTable.load()
LINK = OttLink("Watcha", 97, "", 4, "https://watcha.com/contents/1", OfferType.FLATRATE, "KR")


@dataclass
class Info:
    """What the catalogue says of itself."""

    as_of: datetime
    generation: str = "one"


NETFLIX_US = OttLink("Netflix", 8, "", 1, "https://www.netflix.com/title/1", OfferType.FLATRATE, "US")
HERE = [TitleRef(Kind.MOVIE, number) for number in range(1, 5)]


class Elsewhere:
    """A tier behind the catalogue that knows some titles."""

    name: TierName = "redis"

    async def find_many(self, refs: Sequence[TitleRef], _ask: OttAsk) -> Mapping[TitleRef, TitleLinks]:
        return {ref: TitleLinks((LINK, NETFLIX_US)[ref.id % 2 :], AS_OF) for ref in refs if ref.id > 2}


class Catalogue:
    """A catalogue of a few titles in memory."""

    def __init__(self, links: Mapping[TitleRef, tuple[OttLink, ...]], *, closed: bool = False) -> None:
        self._info = Info(AS_OF)
        self._links = links
        self.closed = closed
        self.asked: list[TitleRef] = []

    @property
    def info(self) -> Info:
        if self.closed:
            raise CatalogueUnavailableError("closed")
        return self._info

    @info.setter
    def info(self, info: Info) -> None:
        self._info = info

    def links_many(self, refs: Sequence[TitleRef]) -> dict[TitleRef, tuple[OttLink, ...]]:
        if self.closed:
            raise CatalogueUnavailableError("closed")
        self.asked.extend(refs)
        return {ref: self._links[ref] for ref in refs if ref in self._links}


async def test_links_come_from_the_catalogue_with_its_age() -> None:
    tiers = [LocalTier(Catalogue({FILM: (LINK,), SERIES: ()}))]
    found = await OttRepository(tiers, table=TABLE).find_many([FILM, SERIES], "KR")
    assert found == {FILM: Availability((LINK,), "local", AS_OF), SERIES: Availability((), "none", AS_OF)}


async def test_links_of_every_region_are_known_and_a_title_that_is_not_there_streams_nowhere() -> None:
    tier = LocalTier(Catalogue({FILM: (LINK,)}))
    assert await tier.find_many([FILM, SERIES], OttAsk("US")) == {FILM: TitleLinks((LINK,), AS_OF), SERIES: TitleLinks((), AS_OF)}


async def test_a_reloaded_catalogues_age_is_the_new_one() -> None:
    catalogue = Catalogue({FILM: (LINK,)})
    tier = LocalTier(catalogue)
    await tier.find_many([FILM], OttAsk("KR"))
    catalogue.info = Info(datetime(2025, 7, 1, tzinfo=UTC), "two")
    assert (await tier.find_many([FILM], OttAsk("KR")))[FILM].as_of == datetime(2025, 7, 1, tzinfo=UTC)


async def test_a_title_is_read_once_for_each_generation() -> None:
    catalogue = Catalogue({FILM: (LINK,)})
    tier = LocalTier(catalogue)
    first, again = [(await tier.find_many([FILM, SERIES], OttAsk(region)))[FILM] for region in ("KR", "US")]
    assert again is first
    assert catalogue.asked == [FILM, SERIES, SERIES]  # what is not there is not kept: anyone can think of such ids


async def test_titles_are_kept_up_to_a_number() -> None:
    refs = [TitleRef(Kind.MOVIE, number) for number in range(1, KEPT_TITLES + 2)]
    catalogue = Catalogue(dict.fromkeys(refs, (LINK,)))
    tier = LocalTier(catalogue)
    for ref in refs:
        await tier.find_many([ref], OttAsk("KR"))
    catalogue.asked.clear()
    await tier.find_many([refs[0], refs[-1]], OttAsk("KR"))
    assert catalogue.asked == [refs[0]]


async def test_a_closed_catalogue_is_no_error_to_the_caller() -> None:
    found = await OttRepository([LocalTier(Catalogue({}, closed=True))], table=TABLE).find_many([FILM], "KR")
    assert (found[FILM].links, found[FILM].source) == ((), "none")


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(HERE), max_size=6), st.sampled_from(["KR", "US"]), st.sampled_from(["", "", "reloads", "fails"]))
    )
)
async def test_what_is_at_hand_is_answered_and_counted_as_if_it_was_asked_for(asked: list[tuple[list[TitleRef], str, str]]) -> None:
    """Of the titles one streams in both regions, one in one of them, one nowhere, and one the catalogue does not have."""
    links = {HERE[0]: (LINK, NETFLIX_US), HERE[1]: (LINK,), HERE[2]: ()}
    catalogue = Catalogue(links)
    warm = OttRepository([LocalTier(catalogue), Elsewhere()], table=TABLE, now=lambda: AS_OF)
    counted: Counter[str] = Counter()
    for refs, region, event in asked:
        catalogue.closed = False
        if event == "reloads":
            catalogue.info = Info(datetime(2025, 7, 1, tzinfo=UTC), catalogue.info.generation + "+")
            links[HERE[0]] = links[HERE[0]][::-1]
        catalogue.closed = event == "fails"
        cold = OttRepository([LocalTier(catalogue), Elsewhere()], table=TABLE, now=lambda: AS_OF)
        expected = await cold.find_many(refs, region)
        found = await warm.find_many(refs, region)
        assert list(found.items()) == list(expected.items())
        counted += cold.answered + Counter({f"failed {name}": times for name, times in cold.failed.items()})
        assert counted == +(warm.answered + Counter({f"failed {name}": times for name, times in warm.failed.items()}))


async def test_titles_at_hand_are_asked_of_nobody_and_end_the_catalogues_trouble() -> None:
    catalogue = Catalogue({FILM: (LINK,)})
    clock = ManualClock()
    repository = OttRepository([LocalTier(catalogue)], table=TABLE, clock=clock)
    await repository.find_many([FILM], "KR")
    catalogue.asked.clear()
    with capture_logs() as lines:
        for catalogue.closed in (True, False):
            clock.advance(60)
            await repository.find_many([FILM, FILM], "KR")
    assert catalogue.asked == []
    assert [line["event"] for line in lines] == ["ott_tier_failed", "ott_tier_recovered"]
    assert (repository.answered["local"], repository.answered["none"], repository.failed["local"]) == (2, 1, 1)
