"""Whether a film is what the sentence states. Pure; what is not known of a film speaks for nothing and against nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

from opuscine.catalogue.genres import GENRES, related
from opuscine.model import Film, RecommendedFilm
from opuscine.recommend.intent import Facts, Intent

NOTHING_STATED = Facts()


class Constrained(NamedTuple):
    """The films that may stay, and why others may not: the word of a constraint → how many films broke it."""

    films: tuple[RecommendedFilm, ...]
    dropped: dict[str, int]


def constrain(films: Iterable[RecommendedFilm], intent: Intent) -> Constrained:
    """Drop the films that contradict what is stated beyond doubt, each counted under the first constraint that it breaks.

    A film whose title the message names stays whatever else it says, unless the message says that it is not wished for.
    """
    if intent.certain == NOTHING_STATED and not intent.unwanted:  # as most messages of moods and moments have it
        return Constrained(tuple(films), {})
    kept: list[RecommendedFilm] = []
    dropped: Counter[str] = Counter()
    unwanted, certain = intent.unwanted, intent.certain
    for item in films:
        if unwanted and item.film.ref in unwanted:
            dropped["title"] += 1
        elif (broken := broken_constraint(item.film, certain)) and item.film.ref not in intent.named:
            dropped[broken] += 1
        else:
            kept.append(item)
    return Constrained(tuple(kept), dict(dropped))


def broken_constraint(film: Film, facts: Facts) -> str:
    """Name the first of the facts that a film contradicts, or return `""`."""
    if facts.kind is not None and film.ref.kind is not facts.kind:
        return "kind"
    if facts.years and (year := film.year) is not None and not any((first or 0) <= year <= (last or 9999) for first, last in facts.years):
        return "year"
    if facts.countries and film.countries and not set(film.countries) & set(facts.countries):
        return "country"
    if facts.unwanted_countries and film.countries and film.countries[0] in facts.unwanted_countries:
        return "country"
    if facts.genre_groups and film.genre_ids and not all(_has_genre(film, group) for group in facts.genre_groups if _can_have(film, group)):
        return "genre"
    return "genre" if facts.unwanted_genres and _has_genre(film, facts.unwanted_genres) else ""


def streams_at(item: RecommendedFilm, provider_ids: Collection[int]) -> bool:
    """Say whether a film's joined links name one of the providers; where none are stated every film does."""
    return not provider_ids or any(link.provider_id in provider_ids for link in item.links)


def _has_genre(film: Film, group: Collection[int]) -> bool:
    return any(not related(wanted).isdisjoint(film.genre_ids) for wanted in group)


def _can_have(film: Film, group: Collection[int]) -> bool:
    """Say whether works of this kind are filed under such a genre at all: TMDB has no series that are thrillers."""
    return any(number in GENRES and film.ref.kind in GENRES[number].kinds for wanted in group for number in related(wanted))
