"""The catalogue as a tier of links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from opuscine.errors import CatalogueUnavailableError
from opuscine.model import Kind, OfferType, OttLink, TitleRef
from opuscine.ott.local import KEPT_TITLES, LocalTier
from opuscine.ott.repository import Availability, OttRepository
from opuscine.ott.tier import OttAsk, TitleLinks
from opuscine.providers.table import ProviderTable

FILM = TitleRef(Kind.MOVIE, 615)
SERIES = TitleRef(Kind.TV, 615)
AS_OF = datetime(2025, 6, 1, 9, 30, tzinfo=UTC)
LINK = OttLink("Watcha", 97, "", 4, "https://watcha.com/contents/1", OfferType.FLATRATE, "KR")


@dataclass
class Info:
    """What the catalogue says of itself."""

    as_of: datetime
    generation: str = "one"


class Catalogue:
    """A catalogue of a few titles in memory."""

    def __init__(self, links: Mapping[TitleRef, tuple[OttLink, ...]], *, closed: bool = False) -> None:
        self.info = Info(AS_OF)
        self._links = links
        self._closed = closed
        self.asked: list[TitleRef] = []

    def links_many(self, refs: Sequence[TitleRef]) -> dict[TitleRef, tuple[OttLink, ...]]:
        if self._closed:
            raise CatalogueUnavailableError("closed")
        self.asked.extend(refs)
        return {ref: self._links[ref] for ref in refs if ref in self._links}


async def test_links_come_from_the_catalogue_with_its_age() -> None:
    tiers = [LocalTier(Catalogue({FILM: (LINK,), SERIES: ()}))]
    found = await OttRepository(tiers, table=ProviderTable.load()).find_many([FILM, SERIES], "KR")
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
    found = await OttRepository([LocalTier(Catalogue({}, closed=True))], table=ProviderTable.load()).find_many([FILM], "KR")
    assert (found[FILM].links, found[FILM].source) == ((), "none")
