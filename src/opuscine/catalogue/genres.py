"""TMDB's genres of films and of series: their numbers, their Korean and English names, and which of them mean the same.

Numbers and names are those of TMDB's `/genre/movie/list` and `/genre/tv/list` (language ko-KR and en-US). TMDB leaves most
genres of series untranslated in Korean; `also` holds what people call them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from opuscine.model import Kind

_FILMS = frozenset({Kind.MOVIE})
_SERIES = frozenset({Kind.TV})
_BOTH = frozenset({Kind.MOVIE, Kind.TV})


@dataclass(frozen=True, slots=True)
class Genre:
    """One genre of TMDB."""

    id: int
    ko: str
    en: str
    kinds: frozenset[Kind]
    also: tuple[str, ...] = ()  # other names that data files and people use


# A genre's place in this list is its bit in `genre_mask`.
_ALL = (
    Genre(28, "액션", "Action", _FILMS),
    Genre(12, "모험", "Adventure", _FILMS, ("어드벤처", "어드벤쳐")),
    Genre(16, "애니메이션", "Animation", _BOTH, ("애니", "만화영화", "animated", "anime")),
    Genre(35, "코미디", "Comedy", _BOTH, ("코메디",)),
    Genre(80, "범죄", "Crime", _BOTH),
    Genre(99, "다큐멘터리", "Documentary", _BOTH, ("다큐",)),
    Genre(18, "드라마", "Drama", _BOTH),
    Genre(10751, "가족", "Family", _BOTH, ("패밀리",)),
    Genre(14, "판타지", "Fantasy", _FILMS, ("환타지",)),
    Genre(36, "역사", "History", _FILMS, ("사극", "historical")),
    Genre(27, "공포", "Horror", _FILMS, ("호러",)),
    Genre(10402, "음악", "Music", _FILMS, ("뮤지컬", "musical")),
    Genre(9648, "미스터리", "Mystery", _BOTH, ("추리",)),
    Genre(10749, "로맨스", "Romance", _FILMS, ("멜로", "romantic")),
    Genre(878, "SF", "Science Fiction", _FILMS, ("sci-fi", "공상과학", "에스에프")),
    Genre(10770, "TV 영화", "TV Movie", _FILMS),
    Genre(53, "스릴러", "Thriller", _FILMS),
    Genre(10752, "전쟁", "War", _FILMS),
    Genre(37, "서부", "Western", _BOTH, ("서부극",)),
    Genre(10759, "액션 & 모험", "Action & Adventure", _SERIES),
    Genre(10762, "아동", "Kids", _SERIES, ("키즈", "어린이")),
    Genre(10763, "뉴스", "News", _SERIES),
    Genre(10764, "리얼리티", "Reality", _SERIES, ("예능",)),
    Genre(10765, "SF & 판타지", "Sci-Fi & Fantasy", _SERIES),
    Genre(10766, "연속극", "Soap", _SERIES, ("일일드라마", "soap opera")),
    Genre(10767, "토크쇼", "Talk", _SERIES, ("talk show",)),
    Genre(10768, "전쟁 & 정치", "War & Politics", _SERIES),
)

GENRES: Mapping[int, Genre] = MappingProxyType({genre.id: genre for genre in _ALL})

_BITS = {genre.id: 1 << place for place, genre in enumerate(_ALL)}

# What TMDB files a film under, and what it files a series of that sort under.
_SAME_WISH: tuple[tuple[int, int], ...] = (
    (28, 10759),
    (12, 10759),
    (878, 10765),
    (14, 10765),
    (10752, 10768),
    (10751, 10762),
    (18, 10766),
)


def _related() -> dict[int, frozenset[int]]:
    found: dict[int, set[int]] = {number: {number} for number in GENRES}
    for one, other in _SAME_WISH:
        found[one].add(other)
        found[other].add(one)
    return {number: frozenset(ids) for number, ids in found.items()}


_RELATED = _related()

_SHORT = 40  # of such names the latest are remembered: all titles of a catalogue share a few

_NOT_NAME = re.compile(r"[\W_]+")


def _name_key(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold().replace("&", " and ")
    return _NOT_NAME.sub("", folded)


_BY_NAME = {_name_key(name): genre.id for genre in reversed(_ALL) for name in (genre.ko, genre.en, *genre.also)}


def genre_id(name: str) -> int | None:
    """Return the number of a genre's Korean or English name, however it is cased or spaced; None for a word that is none."""
    return _short_genre_id(name) if len(name) < _SHORT else _BY_NAME.get(_name_key(name))


@lru_cache(maxsize=1_024)
def _short_genre_id(name: str) -> int | None:
    return _BY_NAME.get(_name_key(name))


def genre_ids_of(names_or_ids: object) -> tuple[int, ...]:
    """Turn a record's genres into TMDB's numbers, in their order, each once.

    Reads names, numbers, strings of digits and TMDB's `{"id": 28, "name": "액션"}`; what is no genre that we know is left out.
    """
    if not isinstance(names_or_ids, list) and (isinstance(names_or_ids, str | Mapping) or not isinstance(names_or_ids, Iterable)):
        names_or_ids = (names_or_ids,)
    found: list[int] = []
    for item in names_or_ids:
        number = item if type(item) is int and item in _BITS else _read(item)
        if number is not None and number not in found:
            found.append(number)
    return tuple(found)


def _read(item: Any) -> int | None:
    if type(item) is int:
        return item if item in GENRES else None
    if isinstance(item, Mapping):
        by_number = _read(item.get("id"))
        return by_number if by_number is not None else _read(item.get("name"))
    if isinstance(item, str):
        text = item.strip()
        return _read(int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else genre_id(text)
    if isinstance(item, int | float | Decimal) and not isinstance(item, bool):
        return GENRES[int(item)].id if item in GENRES else None
    return None


def related(number: int) -> frozenset[int]:
    """Return the genres that satisfy a wish for this one: 액션 (28) is met by the series genre Action & Adventure (10759) too.

    Not transitive: a wish for 액션 is not met by a film that is 모험 only. An unknown number is related to itself.
    """
    return _RELATED.get(number, frozenset({number}))


def genre_mask(ids: Iterable[int]) -> int:
    """Pack genres into one number, a bit each; numbers that we don't know have none."""
    mask = 0
    for number in ids:
        mask |= _BITS.get(number, 0)
    return mask
