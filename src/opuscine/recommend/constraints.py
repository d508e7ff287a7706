"""Whether a film is what the sentence states. Pure; what is not known of a film speaks for nothing and against nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from opuscine.catalogue.genres import related
from opuscine.model import Film, RecommendedFilm
from opuscine.recommend.intent import Intent


@dataclass(frozen=True, slots=True)
class Constrained:
    """The films that may stay, and why others may not: the word of a constraint → how many films broke it."""

    films: tuple[RecommendedFilm, ...]
    dropped: dict[str, int]


def constrain(films: Iterable[RecommendedFilm], intent: Intent) -> Constrained:
    """Drop the films that contradict what is stated, each counted under the first constraint that it breaks."""
    kept: list[RecommendedFilm] = []
    dropped: Counter[str] = Counter()
    for item in films:
        broken = broken_constraint(item.film, intent)
        if broken:
            dropped[broken] += 1
        else:
            kept.append(item)
    return Constrained(tuple(kept), dict(dropped))


def broken_constraint(film: Film, intent: Intent) -> str:
    """Name the first stated constraint that a film contradicts, or return `""`."""
    if intent.kind is not None and film.ref.kind is not intent.kind:
        return "kind"
    if film.year is not None and not (intent.year_from or 0) <= film.year <= (intent.year_to or 9999):
        return "year"
    if film.countries and intent.countries and not set(film.countries) & set(intent.countries):
        return "country"
    if film.genre_ids and not all(_has_genre(film.genre_ids, wanted) for wanted in intent.genre_ids):
        return "genre"
    if any(_has_genre(film.genre_ids, unwanted) for unwanted in intent.unwanted_genre_ids):
        return "genre"
    return ""


def streams_at(item: RecommendedFilm, provider_ids: Collection[int]) -> bool:
    """Say whether a film's joined links name one of the providers; where none are stated every film does."""
    return not provider_ids or any(link.provider_id in provider_ids for link in item.links)


def _has_genre(genre_ids: Collection[int], wanted: int) -> bool:
    return not related(wanted).isdisjoint(genre_ids)
