"""What is searched for in the catalogue, how it becomes SQL, and how well a title fits. Pure: no I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from opuscine.catalogue.genres import genre_mask, related
from opuscine.catalogue.schema import FIRST_OFFERED, KIND_NUMBER
from opuscine.catalogue.titles import title_key
from opuscine.catalogue.tokens import Place, Term, fold, join_syllables, terms
from opuscine.model import Film, Kind, TitleRef

Order = Literal["relevance", "best", "newest", "popular"]

# Words of a text that are searched for.
MAX_TERMS = 12
# Characters of a text that are looked at: the longest message of the contract.
MAX_TEXT = 2_000
MAX_LIMIT = 1_000

_MAX_NUMBER = 2**31 - 1
_HOLDERS = "f.place IN (SELECT rowid FROM words WHERE words MATCH ?)"
_NAMED_LIKE = "f.number IN (SELECT number FROM title_keys WHERE {condition})"
# A title that covers less than this share of what the best one covers is left out of a search for words.
_LEAST_SHARE = 0.5
_POPULARITY_SHARE = 0.2

# What it is worth where a word stands. One syllable inside another word is another word: 비 is rain, 비밀 a secret.
_IN_NAME = {Place.ABSENT: 0.0, Place.INSIDE: 0.7, Place.START: 0.9, Place.WORD: 1.0}
_IN_OVERVIEW = {Place.ABSENT: 0.0, Place.INSIDE: 0.25, Place.START: 0.45, Place.WORD: 0.5}
_SYLLABLE_IN_NAME = {Place.ABSENT: 0.0, Place.INSIDE: 0.05, Place.START: 0.3, Place.WORD: 1.0}
_SYLLABLE_IN_OVERVIEW = {Place.ABSENT: 0.0, Place.INSIDE: 0.01, Place.START: 0.02, Place.WORD: 0.5}
_LEAST_COVERING = 0.1


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is wished for; every field that is left out allows everything.

    A title whose genres, year or countries are not known is kept, after those that are known to fit.
    """

    text: str = ""  # free words; nothing in them is syntax
    genre_ids: tuple[int, ...] = ()  # any of them, genres that mean the same for films and series included
    all_genres: bool = False  # all of `genre_ids`
    genre_groups: tuple[tuple[int, ...], ...] = ()  # of each group at least one, beside `genre_ids`
    exclude_genre_ids: tuple[int, ...] = ()
    year_from: int | None = None
    year_to: int | None = None
    years: tuple[tuple[int | None, int | None], ...] = ()  # in any of these spans, beside `year_from` and `year_to`
    countries: tuple[str, ...] = ()  # any of them; ISO 3166-1 alpha-2
    exclude_countries: tuple[str, ...] = ()  # where a work comes from first
    kind: Kind | None = None
    provider_ids: tuple[int, ...] = ()  # streams at any of them in `region`
    exclude_provider_ids: tuple[int, ...] = ()  # streams at none of them in `region`
    region: str = "KR"
    exclude: tuple[TitleRef, ...] = ()  # titles that are not wished for; at most a few hundred
    include_texts: tuple[str, ...] = ()  # titles hold a word at least of each
    exclude_text: str = ""  # titles that hold any word of it are not wished for
    # In a list by "best" each of these that a title has, and any word of the text, is worth so many points of the score (0..10).
    favour_genre_ids: tuple[int, ...] = ()
    favour_countries: tuple[str, ...] = ()
    favour_text: str = ""
    favour: float = 0.0
    order: Order = "relevance"
    limit: int = 20
    offset: int = 0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A page of what was found. `total` counts all pages; `unjudged` of them are kept only because something is not known of them."""

    films: tuple[Film, ...]
    total: int
    unjudged: int


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition of SQL on a row of `facets AS f`, and the values for its question marks."""

    sql: str
    values: tuple[int | str, ...] = ()


# How all rows of `facets` are listed in each order, without words. A row's place is its place by popularity.
LISTED: Mapping[Order, str] = {
    "relevance": "f.place",
    "popular": "f.place",
    "best": "f.score DESC, f.place",
    "newest": "f.release_date DESC, f.place",
}


def holders(words: Sequence[Term], *, indexed: bool) -> Filter:
    """Return the condition of the titles that hold any of some words; without an index, of those that have one in a name."""
    if indexed:
        return Filter(_HOLDERS, (" OR ".join(word.match() for word in words),))
    condition = " OR ".join("instr(key, ?)" for _ in words)
    return Filter(_NAMED_LIKE.format(condition=condition), tuple(title_key(word.text) or word.text for word in words))


def listing(query: SearchQuery, *, indexed: bool = True) -> Filter:
    """Return how rows are listed, without words: by the query's order, where what it favours counts for more."""
    if query.order != "best" or not query.favour:
        return Filter(LISTED[query.order])
    codes = _codes(query.favour_countries)
    masks = tuple(_mask((number,)) for number in query.favour_genre_ids)
    words = _any_word(query.favour_text, indexed=indexed)
    favoured = ["(f.genres & ? != 0)" for _ in masks] + ["(instr(f.countries, ?) > 0)" for _ in codes] + [f"({word.sql})" for word in words]
    points = f"f.score + {float(query.favour)} * ({' + '.join(favoured) or 0})"
    return Filter(f"{points} DESC, f.place", (*masks, *codes, *(value for word in words for value in word.values)))


def filters(query: SearchQuery, today: date, *, indexed: bool = True) -> tuple[Filter, Filter | None]:
    """Return the condition of the titles that are known to fit, and that of those which may; None where nothing can be unknown.

    Without an index only the most popular titles answer a wish for a provider: of the others it is not known who streams them.
    """
    sure: list[Filter] = []
    if query.kind is not None:
        sure.append(Filter("f.kind = ?", (KIND_NUMBER[query.kind],)))
    if unwanted := _mask(query.exclude_genre_ids):
        sure.append(Filter("f.genres & ? = 0", (unwanted,)))
    if query.exclude:
        pairs = ", ".join("(?, ?)" for _ in query.exclude)
        numbered = tuple(value for ref in query.exclude for value in (KIND_NUMBER[ref.kind], ref.id))
        # The cross join looks each of them up; `(kind, id) IN (VALUES …)` would walk the whole index.
        unwished = f"SELECT t.number FROM (VALUES {pairs}) AS v CROSS JOIN titles AS t ON t.kind = v.column1 AND t.id = v.column2"  # noqa: S608  marks only
        sure.append(Filter(f"f.number NOT IN ({unwished})", numbered))
    sure.extend(word for text in query.include_texts for word in _any_word(text, indexed=indexed))
    sure.extend(Filter(f"NOT ({word.sql})", word.values) for word in _any_word(query.exclude_text, indexed=indexed))
    if query.exclude_countries:
        codes = _codes(query.exclude_countries)
        sure.append(Filter(f"substr(f.countries, 1, 2) NOT IN ({', '.join('?' * len(codes))})", codes))
    if query.order == "newest":
        sure.append(Filter("f.release_date <= ?", (today.isoformat(),)))
    if not indexed and (query.provider_ids or query.exclude_provider_ids):
        sure.append(Filter("f.place <= ?", (FIRST_OFFERED,)))
    for provider_ids, exists in ((query.provider_ids, "EXISTS"), (query.exclude_provider_ids, "NOT EXISTS")):
        if provider_ids:
            numbers = tuple(number for number in provider_ids if 0 < number <= _MAX_NUMBER)
            marks = ", ".join("?" * len(numbers))
            offered = f"SELECT 1 FROM availability WHERE region = ? AND provider IN ({marks}) AND place = f.place"  # noqa: S608  marks only
            sure.append(Filter(f"{exists} ({offered})", (query.region if query.region.isascii() else "", *numbers)))
    judged = _judged(query)
    fits = all_of([*sure, *(known for known, _ in judged)])
    if not judged:
        return fits, None
    allowed = [Filter(f"({known.sql} OR {unknown})", known.values) for known, unknown in judged]
    unknown = Filter(f"({' OR '.join(unknown for _, unknown in judged)})")
    return fits, all_of([*sure, *allowed, unknown])


def _judged(query: SearchQuery) -> list[tuple[Filter, str]]:
    """Return the conditions that need knowledge, each with the SQL that says that it is missing."""
    judged: list[tuple[Filter, str]] = []
    groups = [_mask((number,)) for number in query.genre_ids] if query.all_genres else [_mask(query.genre_ids)] * bool(query.genre_ids)
    groups += [_mask(group) for group in query.genre_groups]
    if groups:
        judged.append((Filter(" AND ".join("f.genres & ? != 0" for _ in groups), tuple(groups)), "f.genres = 0"))
    if query.year_from is not None or query.year_to is not None:
        first = max(1, min(query.year_from or 1, 9999))
        last = max(0, min(9999 if query.year_to is None else query.year_to, 9999))
        judged.append((Filter("f.year BETWEEN ? AND ?", (first, last)), "f.year = 0"))
    if query.years:
        spans = tuple(year for first, last in query.years for year in (max(1, first or 1), min(9999, 9999 if last is None else last)))
        anytime = " OR ".join("f.year BETWEEN ? AND ?" for _ in query.years)
        judged.append((Filter(f"({anytime})", spans), "f.year = 0"))
    if query.countries:
        codes = _codes(query.countries)
        anywhere = " OR ".join("instr(f.countries, ?) > 0" for _ in codes)
        judged.append((Filter(f"({anywhere})", codes), "f.countries = ''"))
    return judged


def _any_word(text: str, *, indexed: bool) -> tuple[Filter, ...]:
    """Return the condition of the titles with any word of a text; none where there is no word in it."""
    words = terms(text[:MAX_TEXT], MAX_TERMS)
    return (holders(words, indexed=indexed),) if words else ()


def _codes(countries: Iterable[str]) -> tuple[str, ...]:
    """Return codes of two letters, which can't be found across two others between commas; what is no code fits nothing."""
    return tuple(code.upper() if len(code) == 2 and code.isascii() else "??" for code in countries)


def _mask(genre_ids: Iterable[int]) -> int:
    return genre_mask(number for wanted in genre_ids for number in related(wanted))


def all_of(conditions: Sequence[Filter]) -> Filter:
    """Return the condition of the titles that meet all of some conditions."""
    values = tuple(value for condition in conditions for value in condition.values)
    return Filter(" AND ".join(condition.sql for condition in conditions) or "1", values)


@dataclass(frozen=True, slots=True)
class WeighedTerm:
    """A word of the query and how much finding it tells: the rarer, the more."""

    term: Term
    weight: float


def weight(found: float, all_titles: int) -> float:
    """Weigh a word by how many of all titles hold it (inverse document frequency)."""
    return math.log1p(all_titles / (found + 1))


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a title answers the words of a query."""

    coverage: float  # 0..1: the share of the words that occur in it, by weight
    relevance: float  # 0..1: the same, less for words that occur in the overview only or inside other words


def fit(terms: Sequence[WeighedTerm], names: Sequence[str], overview: str) -> Fit:
    """Judge a title by its names and its overview."""
    folded = [fold(name) for name in names if name]
    folded_names = "\n".join([*folded, *map(join_syllables, folded)])
    folded_overview = fold(overview)
    covered = relevant = total = 0.0
    for weighed in terms:
        in_name, in_overview = (_SYLLABLE_IN_NAME, _SYLLABLE_IN_OVERVIEW) if weighed.term.is_prefix else (_IN_NAME, _IN_OVERVIEW)
        grade = max(in_name[weighed.term.place_in(folded_names)], in_overview[weighed.term.place_in(folded_overview)])
        total += weighed.weight
        relevant += weighed.weight * grade
        covered += weighed.weight if grade >= _LEAST_COVERING else 0.0
    return Fit(covered / total, relevant / total) if total else Fit(0.0, 0.0)


def blend(relevance: float, place: int, all_titles: int) -> float:
    """Blend how well a title fits with how popular it is; both 0..1, the first of all titles being the most popular."""
    popularity = 1 - math.log(place) / math.log(all_titles + 1)
    return (1 - _POPULARITY_SHARE) * relevance + _POPULARITY_SHARE * popularity


@dataclass(frozen=True, slots=True)
class Candidate:
    """A title that holds words of the query."""

    place: int
    fits: bool  # all that was wished for is known of it
    exact: int | None  # 0 the text is its title, 1 its original title, 2 an alias; None: none of them
    fit: Fit
    score: float  # votes, as the order "best" has them
    release_date: str


def ordered(candidates: Sequence[Candidate], order: Order, all_titles: int) -> list[Candidate]:
    """Leave out what covers too little of the query, and sort the rest: what is known to fit first, then as the order says."""
    best = max((candidate.fit.coverage for candidate in candidates), default=0.0)
    kept = [candidate for candidate in candidates if candidate.exact is not None or candidate.fit.coverage >= best * _LEAST_SHARE]
    kept.sort(key=lambda candidate: candidate.place)
    if order == "best":
        kept.sort(key=lambda candidate: -candidate.score)
    elif order == "newest":
        kept.sort(key=lambda candidate: candidate.release_date, reverse=True)
    elif order == "relevance":
        kept.sort(
            key=lambda candidate: (
                3 if candidate.exact is None else candidate.exact,
                -blend(candidate.fit.relevance, candidate.place, all_titles),
            )
        )
    kept.sort(key=lambda candidate: not candidate.fits)
    return kept
