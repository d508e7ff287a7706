"""The best-loved titles of the catalogue, kept at hand for when there is no time to search."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from opuscine.catalogue.search import SearchQuery, SearchResult
from opuscine.model import Film, Kind, OttLink, TitleRef
from opuscine.recommend.constraints import broken_constraint
from opuscine.recommend.intent import Facts
from opuscine.recommend.queries import Step

FILMS, SERIES = 240, 80  # of each kind: judging all of them takes under a millisecond (measured)
KEPT_QUERIES = 256  # whose films are remembered: wishes differ in words more than in what they state


class FavouriteCatalogue(Protocol):
    """What is asked of the catalogue here."""

    @property
    def generation(self) -> str:
        """Return the name of what is served now."""
        ...

    async def search(self, query: SearchQuery) -> SearchResult:
        """Search off the loop."""
        ...

    def links_many(self, refs: Sequence[TitleRef]) -> Mapping[TitleRef, tuple[OttLink, ...]]:
        """Return where titles stream, in every region."""
        ...


class Chosen(NamedTuple):
    """Titles that fit, best first, and which sorts of constraint were given up for them."""

    films: tuple[Film, ...]
    given_up: tuple[str, ...]


class Favourites:
    """Choose among a few hundred titles in memory: no thread, no wait, whatever else goes on.

    Knows the titles of the generation that was served when it last stocked up, and where they streamed then.
    """

    def __init__(self, catalogue: FavouriteCatalogue) -> None:
        """Start with nothing at hand."""
        self._catalogue = catalogue
        self._generation = ""
        self._films: tuple[Film, ...] = ()
        self._fitting = lru_cache(maxsize=KEPT_QUERIES)(self._judge_all)

    @property
    def current(self) -> bool:
        """Tell whether they are of the generation that is served now."""
        return self._generation == self._catalogue.generation

    async def stock(self) -> None:
        """Take the best of what is served now, unless that was done."""
        if self.current:
            return
        generation = self._catalogue.generation
        found = [
            await self._catalogue.search(SearchQuery(kind=kind, order="best", limit=number))
            for kind, number in ((Kind.MOVIE, FILMS), (Kind.TV, SERIES))
        ]
        self._films = tuple(film for result in found for film in result.films)
        self._generation = generation
        self._fitting.cache_clear()

    def choose(self, steps: Iterator[Step], *, exclude: Collection[TitleRef]) -> Chosen:
        """Return all titles that fit the first of the steps that any fits. Words of a query are passed over."""
        for step in steps:
            if films := tuple(film for film in self._fitting(step.query) if film.ref not in exclude):
                return Chosen(films, step.given_up)
        return Chosen((), ())

    def _judge_all(self, query: SearchQuery) -> tuple[Film, ...]:
        return tuple(filter(self._judge(query), self._films))

    def _judge(self, query: SearchQuery) -> Callable[[Film], bool]:
        """Return what a query says of one title; what is not known of it speaks neither for nor against it."""
        facts = Facts(
            genre_groups=query.genre_groups,
            unwanted_genres=query.exclude_genre_ids,
            years=query.years,
            countries=query.countries,
            unwanted_countries=query.exclude_countries,
            kind=query.kind,
        )
        unwanted, wanted, excluded = set(query.exclude), set(query.provider_ids), set(query.exclude_provider_ids)

        def fits(film: Film) -> bool:
            if film.ref in unwanted or broken_constraint(film, facts):
                return False
            if not wanted and not excluded:
                return True
            links = self._catalogue.links_many((film.ref,)).get(film.ref, ())
            providers = {link.provider_id for link in links if link.region == query.region}
            return providers.isdisjoint(excluded) and not (wanted and providers.isdisjoint(wanted))

        return fits
