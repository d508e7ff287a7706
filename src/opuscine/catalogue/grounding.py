"""Which film is meant: ties a model's suggestions to works of the catalogue. Pure over a title index.

A wrong link costs far more than a missing one. So a number is believed only from an upstream that is trusted with numbers, and only as far
as the title beside it does not speak against it; and where two works fit and nothing decides between them, neither is taken.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple, Protocol

from opuscine.catalogue.plain_text import plain_text
from opuscine.catalogue.titles import FIRST_YEAR, LAST_YEAR, TitleEntry, split_year, title_key
from opuscine.model import Film, Kind, Match, MatchMethod, RecommendedFilm, Suggestion, TitleRef

SCORES: Mapping[MatchMethod, float] = MappingProxyType(
    {
        MatchMethod.ID_AND_TITLE: 1.0,
        MatchMethod.CATALOGUE: 1.0,
        MatchMethod.ID: 0.95,
        MatchMethod.TITLE_YEAR: 0.9,
        MatchMethod.ORIGINAL_TITLE_YEAR: 0.85,
        MatchMethod.TITLE: 0.6,
        MatchMethod.UNVERIFIED: 0.0,
    }
)
"""How sure each method is, 0..1: an order among them that callers may rely on, not a measured probability."""

TITLE_LENGTH = 200
OVERVIEW_LENGTH = 500

_ID_LIMIT = 2**63 - 1  # what the contract and the catalogue's file hold
_COUNT_LIMIT = 2**31 - 1  # callers read counts and genre ids into Java's int
_POPULARITY_LIMIT = 1e6
_GENRES_LIMIT = 20
_IMAGE_PATH = re.compile(r"/[A-Za-z0-9_-]{1,64}\.(?:jpe?g|png|svg|webp)")  # TMDB's form; anything else could lead elsewhere


class TitleIndex(Protocol):
    """Look up works by reference and by the keys of their titles (`titles.title_key`). Must not block: it is asked on the loop."""

    def get(self, ref: TitleRef) -> Film | None:
        """Return the work, or None where the catalogue has none of that kind and id."""
        ...

    def get_many(self, refs: Sequence[TitleRef]) -> Mapping[TitleRef, Film]:
        """Return those of the works that the catalogue has."""
        ...

    def titles_by_key(self, key: str) -> Sequence[TitleEntry]:
        """Return every work that carries a title of this key, once for each role that the title has in it."""
        ...


@dataclass(frozen=True, slots=True)
class Grounded:
    """Suggestions after grounding: each work once, in the order of its first mention, and what was given up."""

    films: tuple[RecommendedFilm, ...]
    rejected: int
    rejected_titles: tuple[str, ...]  # as plain text, for the log


class Likeness(IntEnum):
    """How a suggestion's words are those of a work, closest first."""

    TITLE = 0  # the suggested title is the work's title
    OTHER_TITLE = 1  # an original title or alias is involved on either side


class Rung(NamedTuple):
    """One step of the ladder: how like the words must be, and how far the years may lie apart (None: no year to compare)."""

    likeness: Likeness
    years_apart: int | None
    method: MatchMethod


RUNGS = (
    Rung(Likeness.TITLE, 0, MatchMethod.TITLE_YEAR),
    Rung(Likeness.OTHER_TITLE, 0, MatchMethod.ORIGINAL_TITLE_YEAR),
    Rung(Likeness.TITLE, 1, MatchMethod.TITLE_YEAR),
    Rung(Likeness.OTHER_TITLE, 1, MatchMethod.ORIGINAL_TITLE_YEAR),
    Rung(Likeness.OTHER_TITLE, None, MatchMethod.TITLE),
)
"""The ladder for suggestions without a trusted id, tried in this order. The first rung that works stand on decides, even if only that
several do. The exact year comes before the kind of title: sources differ by a year in about 1.5 % of films, so that of two namesakes the
one of the very year is meant. A looser comparison is added as a further likeness, found in `_candidates`, with rungs of its own."""


class _Candidate(NamedTuple):
    """A work that carries a title of a suggestion."""

    ref: TitleRef
    likeness: Likeness
    bears: frozenset[str]  # which of the suggestion's two titles it bears: "title", "original"
    years_apart: int | None  # None: the suggestion or the work has no year

    @property
    def in_time(self) -> bool:
        return self.years_apart is None or self.years_apart <= 1


class _Clues(NamedTuple):
    """What a suggestion says of the work it means, made comparable."""

    title: frozenset[str]  # keys of the title, with and without a year in brackets
    original: frozenset[str]
    years: frozenset[int]
    kind: Kind | None


def ground(suggestions: Iterable[Suggestion], index: TitleIndex, *, ids_trusted: bool) -> Grounded:
    """Tie each suggestion to the one work of the catalogue that it means.

    With `ids_trusted` an id that the catalogue has decides, checked against the title (`_by_trusted_id`); an id that it does not have
    leaves the film unverified, since the upstream vouches for it. Ids that are not trusted are not looked at in any way. Without a trusted
    id the ladder (`RUNGS`) decides, and what it does not tie to one work is rejected.

    Films of the catalogue are the catalogue's own records; only an unverified one is made of the suggestion, its text as plain text and
    its numbers within bounds. Works suggested twice stand once, where they came first, with their best match.
    """
    suggestions = tuple(suggestions)
    known = index.get_many([ref for item in suggestions for ref in _refs(item)]) if ids_trusted else {}
    films: dict[TitleRef, RecommendedFilm] = {}
    rejected: list[str] = []
    for item in suggestions:
        found = _by_trusted_id(item, known, index) if ids_trusted and _refs(item) else _by_title(item, index)
        if found is None:
            rejected.append(plain_text(item.title or item.original_title, TITLE_LENGTH))
        elif (first := films.get(found.film.ref)) is None or first.match.score < found.match.score:
            films[found.film.ref] = found
    return Grounded(tuple(films.values()), len(rejected), tuple(rejected))


def _by_trusted_id(item: Suggestion, known: Mapping[TitleRef, Film], index: TitleIndex) -> RecommendedFilm | None:
    """Take the work of the id, unless its words name another work of the catalogue.

    An id unknown to the catalogue is not grounded by its title even where title and year agree with a work: both sides number by TMDB, so
    another number is another work, and what agrees is a namesake. The film stays unverified, and its links are looked up by its own id.
    """
    clues = _clues(item)
    candidates = _candidates(clues, index)
    film = _work_of_id(item, known, {candidate.ref for candidate in candidates})
    if film is None:
        return _unverified(item, next(ref for ref in _refs(item) if item.kind in (None, ref.kind)))
    rivals = [candidate for candidate in candidates if candidate.ref != film.ref and candidate.in_time]
    itself = next((candidate for candidate in candidates if candidate.ref == film.ref), None)
    if itself is None:
        return None if rivals else _matched(film, MatchMethod.ID)
    if not itself.in_time and any(rival.years_apart is not None for rival in rivals):
        return None  # its title is shared, and the year is that of the other work
    return _matched(film, MatchMethod.ID_AND_TITLE)


def _work_of_id(item: Suggestion, known: Mapping[TitleRef, Film], named: set[TitleRef]) -> Film | None:
    """Choose between the film and the series of one id: by the kind stated, else by title, else the film.

    A stated kind of which the catalogue has no such id is believed as well: ids of films and series are two numberings, and the namesake in
    the other one is another work. Only its title, agreeing with the id, outweighs the kind.
    """
    works = [known[ref] for ref in _refs(item) if ref in known]
    by_title = [work for work in works if work.ref in named]
    by_kind = [work for work in works if work.ref.kind == item.kind]
    return next(iter(by_title + works if item.kind is None else by_kind + by_title), None)


def _by_title(item: Suggestion, index: TitleIndex) -> RecommendedFilm | None:
    """Climb the ladder; None if no rung holds, or if one holds several works that nothing tells apart.

    A stated kind rules out works of the other kind: a series and the film made of it often share title and year.
    """
    clues = _clues(item)
    candidates = [candidate for candidate in _candidates(clues, index) if clues.kind in (None, candidate.ref.kind)]
    for rung in RUNGS:
        if standing := _standing_on(rung, candidates):
            chosen = _closest(standing)
            film = index.get(chosen.ref) if chosen else None
            return _matched(film, rung.method) if film else None
    return None


def _standing_on(rung: Rung, candidates: list[_Candidate]) -> list[_Candidate]:
    if rung.years_apart is None:
        # Without a year only a title that no other work bears says which; one whose year contradicts counts as bearing it.
        return candidates if all(candidate.years_apart is None for candidate in candidates) else []
    return [candidate for candidate in candidates if candidate.likeness <= rung.likeness and candidate.years_apart == rung.years_apart]


def _closest(standing: list[_Candidate]) -> _Candidate | None:
    """Choose the only one, or the only one that bears both titles of the suggestion."""
    most = max(len(candidate.bears) for candidate in standing)
    closest = [candidate for candidate in standing if len(candidate.bears) == most]
    return closest[0] if len(closest) == 1 else None


def _candidates(clues: _Clues, index: TitleIndex) -> list[_Candidate]:
    """Collect every work that bears a title of the suggestion, each once, as its closest likeness."""
    candidates: dict[TitleRef, _Candidate] = {}
    for side, keys in (("title", clues.title), ("original", clues.original)):
        for entry in (entry for key in keys for entry in index.titles_by_key(key)):
            likeness = Likeness.TITLE if side == entry.role == "title" else Likeness.OTHER_TITLE
            new = _Candidate(entry.ref, likeness, frozenset({side}), _years_apart(entry.year, clues.years))
            seen = candidates.get(entry.ref, new)
            candidates[entry.ref] = seen._replace(likeness=min(seen.likeness, likeness), bears=seen.bears | new.bears)
    return list(candidates.values())


def _years_apart(year: int | None, stated: frozenset[int]) -> int | None:
    """Count by how much a work's year misses the stated ones; of two that contradict each other it misses one by much."""
    return None if year is None or not stated else max(abs(year - other) for other in stated)


def _clues(item: Suggestion) -> _Clues:
    title, year_of_title = split_year(item.title)
    original, year_of_original = split_year(item.original_title)
    years = {year for year in (_stated_year(item), year_of_title, year_of_original) if year is not None}
    return _Clues(
        title=frozenset({title_key(text) for text in {title, item.title}} - {""}),
        original=frozenset({title_key(text) for text in {original, item.original_title}} - {""}),
        years=frozenset(years),
        kind=item.kind,
    )


def _refs(item: Suggestion) -> list[TitleRef]:
    """Name the works that an id can mean, the film first."""
    if item.id is None or not 1 <= item.id <= _ID_LIMIT:
        return []
    return [TitleRef(Kind.MOVIE, item.id), TitleRef(Kind.TV, item.id)]


def _matched(film: Film, method: MatchMethod) -> RecommendedFilm:
    return RecommendedFilm(film, Match(method, SCORES[method]))


def _unverified(item: Suggestion, ref: TitleRef) -> RecommendedFilm | None:
    """Make a film of the suggestion itself, believing nothing that could do harm; None if no title is left of it."""
    title = plain_text(item.title, TITLE_LENGTH)
    original_title = plain_text(item.original_title, TITLE_LENGTH)
    if not (title or original_title):
        return None
    film = Film(
        ref=ref,
        title=title or original_title,
        original_title=original_title,
        overview=plain_text(item.overview, OVERVIEW_LENGTH),
        release_date=_date(item),
        poster_path=_image_path(item.poster_path),
        backdrop_path=_image_path(item.backdrop_path),
        vote_average=_bounded(item.vote_average, 10.0),
        vote_count=min(max(item.vote_count, 0), _COUNT_LIMIT),
        popularity=_bounded(item.popularity, _POPULARITY_LIMIT),
        genre_ids=tuple(genre for genre in item.genre_ids if 0 < genre <= _COUNT_LIMIT)[:_GENRES_LIMIT],
    )
    return _matched(film, MatchMethod.UNVERIFIED)


def _stated_year(item: Suggestion) -> int | None:
    """Return the year that is given as one, else that of the date; an impossible one counts as none."""
    head = item.release_date[:4]
    year_of_date = int(head) if len(head) == 4 and head.isdecimal() else None
    return next((year for year in (item.year, year_of_date) if year is not None and FIRST_YEAR <= year <= LAST_YEAR), None)


def _date(item: Suggestion) -> str:
    try:
        return date.fromisoformat(item.release_date[:10]).isoformat()
    except ValueError:
        return str(_stated_year(item) or "")


def _image_path(path: str) -> str:
    return path if _IMAGE_PATH.fullmatch(path) else ""


def _bounded(number: float, limit: float) -> float:
    return min(max(float(number), 0.0), limit) if math.isfinite(number) else 0.0
