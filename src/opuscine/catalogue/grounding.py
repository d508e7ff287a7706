"""Which film is meant: ties a model's suggestions to works of the catalogue. Pure over a title index, but for what is remembered.

A wrong link costs far more than a missing one. So a number is believed only from an upstream that is trusted with numbers, and only as far
as the title beside it does not speak against it; and where two works fit and nothing decides between them, neither is taken.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from enum import IntEnum
from sys import getsizeof
from types import MappingProxyType
from typing import NamedTuple, Protocol

from opuscine.byte_lru import ByteLru
from opuscine.catalogue.plain_text import plain_text
from opuscine.catalogue.spelling import Spelling, can_be_compared, is_slip
from opuscine.catalogue.titles import FIRST_YEAR, LAST_YEAR, TitleEntry, key_of, plain_title, split_year, title_key
from opuscine.catalogue.variants import Form, VariantEntry, spelling_of, variants_said, without_edition
from opuscine.model import Film, Kind, Match, MatchMethod, RecommendedFilm, Suggestion, TitleRef

SCORES: Mapping[MatchMethod, float] = MappingProxyType(
    {
        MatchMethod.ID_AND_TITLE: 1.0,
        MatchMethod.CATALOGUE: 1.0,
        MatchMethod.ID: 0.95,
        MatchMethod.TITLE_YEAR: 0.9,
        MatchMethod.ORIGINAL_TITLE_YEAR: 0.85,
        MatchMethod.VARIANT_YEAR: 0.8,
        MatchMethod.FUZZY_YEAR: 0.7,
        MatchMethod.TITLE: 0.6,
        MatchMethod.VARIANT: 0.5,
        MatchMethod.UNVERIFIED: 0.0,
    }
)
"""How sure each method is, 0..1: an order among them that callers may rely on, not a measured probability."""

_MATCHES: Mapping[MatchMethod, Match] = MappingProxyType({method: Match(method, score) for method, score in SCORES.items()})

KEPT_BYTES = 8 * 1024 * 1024
KEPT_FILM_BYTES = 2_500  # about what a grounded film costs beside the texts of its suggestion

TITLE_LENGTH = 200
OVERVIEW_LENGTH = 500

_ID_LIMIT = 2**63 - 1  # what the contract and the catalogue's file hold
_COUNT_LIMIT = 2**31 - 1  # callers read counts and genre ids into Java's int
_POPULARITY_LIMIT = 1e6
_GENRES_LIMIT = 20
_IMAGE_PATH = re.compile(r"/[A-Za-z0-9_-]{1,64}\.(?:jpe?g|png|svg|webp)")  # TMDB's form; anything else could lead elsewhere


class TitleIndex(Protocol):
    """Look up works by reference and by their titles. Must not block: it is asked on the loop."""

    def get(self, ref: TitleRef) -> Film | None:
        """Return the work, or None where the catalogue has none of that kind and id."""
        ...

    def get_many(self, refs: Sequence[TitleRef]) -> Mapping[TitleRef, Film]:
        """Return those of the works that the catalogue has."""
        ...

    def titles_by_key(self, key: str) -> Sequence[TitleEntry]:
        """Return every work that carries a title of this key (`titles.title_key`), once for each role that the title has in it."""
        ...

    def titles_by_variant(self, key: str) -> Sequence[VariantEntry]:
        """Return every work that may be known under this key (`variants.variants_borne`), those whose title it is among them."""
        ...

    def titles_spelt_like(self, spelling: str, year: int) -> Sequence[Spelling]:
        """Return the works of this year of which a title may have been misspelt like this (`spelling.is_slip`), and possibly others."""
        ...


class Grounded(NamedTuple):
    """Suggestions after grounding: each work once, in the order of its first mention, and what was given up."""

    films: tuple[RecommendedFilm, ...]
    rejected: int

    def plus(self, later: Grounded) -> Grounded:
        """Return this and what was grounded of later suggestions, as if it had been done in one go."""
        films = {item.film.ref: item for item in self.films}
        for item in later.films:
            if (first := films.get(item.film.ref)) is None or first.match.score < item.match.score:
                films[item.film.ref] = item
        return Grounded(tuple(films.values()), self.rejected + later.rejected)

    @property
    def by_method(self) -> Mapping[MatchMethod, int]:
        """Count the films by how they were tied."""
        return Counter(item.match.method for item in self.films)


class Likeness(IntEnum):
    """How a suggestion's words are those of a work, closest first."""

    TITLE = 0  # the suggested title is the work's title
    OTHER_TITLE = 1  # an original title or alias is involved on either side
    VARIANT = 2  # the same title, written another way
    PART = 3  # one has words that the other lacks: a subtitle, the name of a series
    MISSPELT = 4


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
    Rung(Likeness.VARIANT, 0, MatchMethod.VARIANT_YEAR),
    Rung(Likeness.VARIANT, None, MatchMethod.VARIANT),
    Rung(Likeness.PART, 0, MatchMethod.VARIANT_YEAR),
    Rung(Likeness.MISSPELT, 0, MatchMethod.FUZZY_YEAR),
)
"""The ladder for suggestions without a trusted id, tried in this order. The first rung that works stand on decides, even if only that
several do. The exact year comes before the kind of title: sources differ by a year in about 1.5 % of films, so that of two namesakes the
one of the very year is meant. Anything looser than a title needs the very year: with one off, absent films were taken for others
(`scripts/grounding_bench.py`). Without a year nothing is taken for misspelt: of 1,829 real works 16 pairs have titles one or two letters
apart, but no two of one year."""


class _Candidate(NamedTuple):
    """A work that carries a title of a suggestion."""

    ref: TitleRef
    likeness: Likeness
    bears: frozenset[str]  # which of the suggestion's two titles it bears: "title", "original"
    years_apart: int | None  # None: the suggestion or the work has no year

    @property
    def in_time(self) -> bool:
        return self.years_apart is None or self.years_apart <= 1


class _Words(NamedTuple):
    """One title of a suggestion, made comparable."""

    side: str  # "title", "original"
    keys: frozenset[str]  # with and without a year in brackets
    plain: str  # without


class _Clues(NamedTuple):
    """What a suggestion says of the work it means."""

    words: tuple[_Words, ...]
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
    tied = (_by_trusted_id(item, refs, index) if ids_trusted and (refs := _refs(item)) else _by_title(item, index) for item in suggestions)
    return _gathered(tied)


class Grounder:
    """Ground suggestions as `ground` does, each that comes again only once in each edition of the catalogue.

    That is for those with trusted ids, whose reader gives the same object for the same film. Tying a suggestion takes 4 µs and up, finding
    it again 0.5 (measured).
    """

    def __init__(self, index: TitleIndex, edition: Callable[[], object], max_bytes: int = KEPT_BYTES) -> None:
        """Take the titles, and who names what they are now: by an object that is another one whenever that changes."""
        self._index = index
        self._edition = edition
        self._of: object = None  # the edition in which the kept suggestions were grounded
        self._kept: ByteLru[int | None, _Tied] = ByteLru(max_bytes, _size)

    @property
    def bytes_held(self) -> int:
        """Return about how many bytes the kept suggestions take."""
        return self._kept.bytes_held

    def ground(self, suggestions: Iterable[Suggestion], *, ids_trusted: bool) -> Grounded:
        """Tie each suggestion to the one work of the catalogue that it means."""
        if not ids_trusted:
            return ground(suggestions, self._index, ids_trusted=False)
        if (edition := self._edition()) is not self._of:
            self._kept.clear()
            self._of = edition
        return _gathered(map(self._by_trusted_id, suggestions))

    def _by_trusted_id(self, item: Suggestion) -> RecommendedFilm | None:
        kept = self._kept.get(item.id)
        if kept is not None and kept.item is item:
            return kept.film
        if not (refs := _refs(item)):
            return _by_title(item, self._index)
        film = _by_trusted_id(item, refs, self._index)
        self._kept.put(item.id, _Tied(item, film))
        return film


class _Tied(NamedTuple):
    """A suggestion, and the film that it was tied to, if any."""

    item: Suggestion
    film: RecommendedFilm | None


def _size(tied: _Tied) -> int:
    """Return about how many bytes a suggestion takes with its film; an unverified film has texts of its own, no longer than these."""
    item = tied.item
    texts = (item.title, item.original_title, item.overview, item.poster_path, item.backdrop_path)
    return KEPT_FILM_BYTES + 2 * sum(map(getsizeof, texts))


def _gathered(found: Iterable[RecommendedFilm | None]) -> Grounded:
    """Keep each work once, in the order of its first mention, as its best match."""
    films: dict[TitleRef, RecommendedFilm] = {}
    rejected = 0
    for item in found:
        if item is None:
            rejected += 1
        elif (first := films.setdefault(item.film.ref, item)) is not item and first.match.score < item.match.score:
            films[item.film.ref] = item
    return Grounded(tuple(films.values()), rejected)


def _by_trusted_id(item: Suggestion, refs: Sequence[TitleRef], index: TitleIndex) -> RecommendedFilm | None:
    """Take the work of the id (`refs` are those that it can mean), unless its words name another work of the catalogue.

    An id unknown to the catalogue is not grounded by its title even where title and year agree with a work: both sides number by TMDB, so
    another number is another work, and what agrees is a namesake. The film stays unverified, and its links are looked up by its own id.
    """
    known = index.get_many(refs)
    works = [known[ref] for ref in refs if ref in known]
    if (same := _said_word_for_word(item, works)) is not None:
        return _matched(same, MatchMethod.ID_AND_TITLE)
    clues = _clues(item)
    candidates = _candidates(clues, index)
    film = _work_of_id(item, works, {candidate.ref for candidate in candidates})
    if film is None:
        return _unverified(item, next(ref for ref in refs if item.kind in (None, ref.kind)))
    rivals = [candidate for candidate in candidates if candidate.ref != film.ref and candidate.in_time]
    itself = next((candidate for candidate in candidates if candidate.ref == film.ref), None)
    if itself is None:
        return None if rivals else _matched(film, MatchMethod.ID)
    if not itself.in_time and any(rival.years_apart is not None for rival in rivals):
        return None  # its title is shared, and the year is that of the other work
    return _matched(film, MatchMethod.ID_AND_TITLE)


def _said_word_for_word(item: Suggestion, works: Sequence[Film]) -> Film | None:
    """Return the work of the id whose title is the suggestion's, sign for sign, in its year: what all of the rest would come to as well.

    That is how a server that knows our numbers answers, and it costs a tenth of folding titles and looking them up (measured).
    """
    if item.kind is not None:
        works = [work for work in works if work.ref.kind is item.kind]
    if len(works) != 1 or item.title != works[0].title or "(" in item.title or "[" in item.title or not item.title.isprintable():
        return None
    [work] = works
    if item.original_title not in ("", work.title, work.original_title):
        return None
    if "(" in item.original_title or "[" in item.original_title:
        return None
    if (year := _stated_year(item)) is None or (released := work.year) is None:
        return work
    return work if -1 <= released - year <= 1 else None


def _work_of_id(item: Suggestion, works: list[Film], named: set[TitleRef]) -> Film | None:
    """Choose between the film and the series of one id: by the kind stated, else by title, else the film.

    A stated kind of which the catalogue has no such id is believed as well: ids of films and series are two numberings, and the namesake in
    the other one is another work. Only its title, agreeing with the id, outweighs the kind.
    """
    by_title = [work for work in works if work.ref in named]
    by_kind = [work for work in works if work.ref.kind == item.kind]
    return next(iter(by_title + works if item.kind is None else by_kind + by_title), None)


def _by_title(item: Suggestion, index: TitleIndex) -> RecommendedFilm | None:
    """Climb the ladder; None if no rung holds, or if one holds several works that nothing tells apart.

    A stated kind rules out works of the other kind: a series and the film made of it often share title and year. Words that are a work's
    whole title, however written, are neither a part of another one nor misspelt, whatever the years say.
    """
    clues = _clues(item)
    for find in (_candidates, _candidates_by_variant, _candidates_by_spelling):
        candidates = [candidate for candidate in find(clues, index) if clues.kind in (None, candidate.ref.kind)]
        whole = [candidate for candidate in candidates if candidate.likeness is Likeness.VARIANT]
        for rung in RUNGS:
            if standing := _standing_on(rung, whole or candidates):
                chosen = _closest(standing)
                film = index.get(chosen.ref) if chosen else None
                return _matched(film, rung.method) if film else None
        if whole:
            return None
    return None


def _standing_on(rung: Rung, candidates: list[_Candidate]) -> list[_Candidate]:
    enough = {rung.likeness, Likeness.TITLE} if rung.likeness is Likeness.OTHER_TITLE else {rung.likeness}
    alike = [candidate for candidate in candidates if candidate.likeness in enough]
    if rung.years_apart is None:
        # Without a year only a title that no other work bears says which; one whose year contradicts counts as bearing it.
        return alike if all(candidate.years_apart is None for candidate in alike) else []
    return [candidate for candidate in alike if candidate.years_apart == rung.years_apart]


def _closest(standing: list[_Candidate]) -> _Candidate | None:
    """Choose the only one, or the only one that bears both titles of the suggestion."""
    most = max(len(candidate.bears) for candidate in standing)
    closest = [candidate for candidate in standing if len(candidate.bears) == most]
    return closest[0] if len(closest) == 1 else None


def _candidates(clues: _Clues, index: TitleIndex) -> list[_Candidate]:
    """Collect every work that bears a title of the suggestion, each once, as its closest likeness."""
    found: list[_Candidate] = []
    for words in clues.words:
        for entry in (entry for key in words.keys for entry in index.titles_by_key(key)):
            likeness = Likeness.TITLE if words.side == entry.role == "title" else Likeness.OTHER_TITLE
            found.append(_Candidate(entry.ref, likeness, frozenset({words.side}), _years_apart(entry.year, clues.years)))
    return _each_once(found)


def _candidates_by_variant(clues: _Clues, index: TitleIndex) -> list[_Candidate]:
    """Collect the works whose title is one of the suggestion's in other words, or a part of it, or has it as a part."""
    found: list[_Candidate] = []
    for words in clues.words:
        for said in variants_said(words.plain):
            for entry in index.titles_by_variant(said.key):
                likeness = _likeness(said.form, entry.form)
                if likeness is None or said.kind not in (None, entry.ref.kind):
                    continue
                years_apart = _years_apart(entry.year, clues.years)
                if said.season > 1 and entry.year and clues.years:
                    if entry.year > min(clues.years):
                        continue
                    years_apart = None  # the stated year is that of the season
                found.append(_Candidate(entry.ref, likeness, frozenset({words.side}), years_apart))
    return _each_once(found)


def _likeness(said: Form, borne: Form) -> Likeness | None:
    """Compare what two keys keep of their titles; None: both are but parts, and the rest of the titles may well differ."""
    if Form.WHOLE not in (said, borne):
        return None
    # "Terminator 2" has but one subtitle; "Bad Boys II: Lost Angels", of which we know "Bad Boys II", may be made up.
    return Likeness.VARIANT if said is Form.WHOLE and borne is not Form.SHORT else Likeness.PART


def _candidates_by_spelling(clues: _Clues, index: TitleIndex) -> list[_Candidate]:
    """Collect the works of the suggested year of which a title may be misspelt in the suggestion."""
    found: list[_Candidate] = []
    for words in clues.words:
        spelling = spelling_of(words.plain, key_of(words.plain))
        for year in clues.years if can_be_compared(spelling) else ():
            for entry in index.titles_spelt_like(spelling, year):
                if is_slip(spelling, entry.spelling):
                    years_apart = _years_apart(entry.year, clues.years)
                    found.append(_Candidate(entry.ref, Likeness.MISSPELT, frozenset({words.side}), years_apart))
    return _each_once(found)


def _each_once(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """Keep each work once, as its closest likeness, with every title that it bears."""
    kept: dict[TitleRef, _Candidate] = {}
    for new in candidates:
        seen = kept.get(new.ref, new)
        kept[new.ref] = min(seen, new, key=lambda candidate: candidate.likeness)._replace(bears=seen.bears | new.bears)
    return list(kept.values())


def _years_apart(year: int | None, stated: frozenset[int]) -> int | None:
    """Count by how much a work's year misses the stated ones; of two that contradict each other it misses one by much."""
    return None if year is None or not stated else max(abs(year - other) for other in stated)


def _clues(item: Suggestion) -> _Clues:
    words: list[_Words] = []
    years = {_stated_year(item)}
    for side, text in (("title", item.title), ("original", item.original_title)):
        title, year = split_year(text)
        if year is None and (inner := split_year(without_edition(title)))[1]:  # "인셉션 (2010) 감독판"
            title, year = inner
        years.add(year)
        plain = plain_title(title)
        if key := key_of(plain):
            words.append(_Words(side, frozenset({key, title_key(text) if year else key}), plain))
    return _Clues(tuple(words), frozenset(year for year in years if year is not None), item.kind)


def _refs(item: Suggestion) -> list[TitleRef]:
    """Name the works that an id can mean, the film first."""
    if item.id is None or not 1 <= item.id <= _ID_LIMIT:
        return []
    return [TitleRef(Kind.MOVIE, item.id), TitleRef(Kind.TV, item.id)]


def _matched(film: Film, method: MatchMethod) -> RecommendedFilm:
    return RecommendedFilm(film, _MATCHES[method])


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
    if item.year is not None and FIRST_YEAR <= item.year <= LAST_YEAR:
        return item.year
    head = item.release_date[:4]
    if len(head) == 4 and head.isdecimal() and FIRST_YEAR <= (year := int(head)) <= LAST_YEAR:
        return year
    return None


def _date(item: Suggestion) -> str:
    try:
        return date.fromisoformat(item.release_date[:10]).isoformat()
    except ValueError:
        return str(_stated_year(item) or "")


def _image_path(path: str) -> str:
    return path if _IMAGE_PATH.fullmatch(path) else ""


def _bounded(number: float, limit: float) -> float:
    return min(max(float(number), 0.0), limit) if math.isfinite(number) else 0.0
