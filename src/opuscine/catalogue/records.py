"""One raw record of a source file → what is known of a title."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from opuscine.catalogue.genres import genre_ids_of
from opuscine.errors import OpusCineError
from opuscine.model import Film, Kind, TitleRef

MAX_ID = 2**63 - 1

# Far above anything real; they bound what one odd record may cost.
_MAX_TITLE = 500
_MAX_OVERVIEW = 5_000
_MAX_PATH = 300
_MAX_ALIASES = 100
_MAX_COUNTRIES = 30
_MAX_COUNT = 2**31 - 1

_KEPT = 4_096  # countries and languages are the same ones again and again
_KEPT_DATES = 32_768  # those of 90 years
_KEPT_AVERAGES = 10_001

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
# Zero width and direction marks: they make two titles that look alike differ, and turn what is shown after them round.
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_IMAGE = re.compile(r"(?:https?://[\w.-]+(?::\d+)?)?(?:/[\w.~%+-]+)+", re.ASCII)  # "//host/x" would lead to another host
_SPACES = re.compile(r"\s{2,}")
_DIGITS = re.compile(r"\s*[0-9]{1,19}\s*", re.ASCII)
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}", re.ASCII)


class RecordError(OpusCineError):
    """Say why a record is skipped."""


class Record(NamedTuple):
    """One usable record of a source file; its fields are those of a `Film`."""

    id: int
    title: str
    original_title: str
    aliases: tuple[str, ...]
    overview: str
    release_date: str
    poster_path: str
    backdrop_path: str
    vote_average: float
    vote_count: int
    popularity: float
    genre_ids: tuple[int, ...]
    countries: tuple[str, ...]
    original_language: str

    def film(self, kind: Kind) -> Film:
        """Return the record as a film or a series."""
        return Film(TitleRef(kind, self.id), *self[1:])


def read_record(raw: object) -> Record:
    """Read one record of a source file; only its id and a title must be there, what else is wrong counts as absent.

    Raises:
        RecordError: the record is no object, or has no usable id or title.
    """
    if not isinstance(raw, dict):
        raise RecordError(f"is {_sort_of(raw)}, not an object")
    said = raw.get
    number = _id(raw)
    original = _text(said("original_title"), _MAX_TITLE) or _text(said("original_name"), _MAX_TITLE)
    title = _text(said("title"), _MAX_TITLE) or _text(said("name"), _MAX_TITLE) or original
    if not title:
        raise RecordError("has no title (looked for: title, name)")
    aliases = said("aliases")
    return Record(
        number,
        title,
        original,
        _aliases(aliases, title, original) if aliases else (),
        _text(said("overview"), _MAX_OVERVIEW),
        _date(said("release_date")) or _date(said("first_air_date")),
        _path(said("poster_path")),
        _path(said("backdrop_path")),
        _rounded(_number(said("vote_average"), 10.0)),
        int(_number(said("vote_count"), _MAX_COUNT)),
        _number(said("popularity"), 1e9),
        _genres(said("genres"), said("genre_ids")),
        _countries(said("origin_country")),
        _language(said("original_language")),
    )


def describe(raw: object) -> str:
    """Name a record in a log line, by its id and title as far as it has them; at most about 100 characters."""
    if not isinstance(raw, Mapping):
        return ""
    number = next((raw[key] for key in ("tmdb_id", "id") if raw.get(key) is not None), "?")
    title = _text(raw.get("title"), 60) or _text(raw.get("name"), 60)
    return f"id {_text(str(number), 30) if isinstance(number, str | int | float | Decimal) else '?'}{f' «{title}»' if title else ''}"


def _sort_of(raw: object) -> str:
    return "null" if raw is None else {bool: "true or false", str: "a string", list: "a list"}.get(type(raw), "a number")


def _id(raw: Mapping[str, Any]) -> int:
    value = raw.get("tmdb_id")
    if value is None:
        value = raw.get("id")
    if type(value) is int and 1 <= value <= MAX_ID:
        return value
    if value is None:
        raise RecordError("has no id (looked for: tmdb_id, id)")
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not 1 <= value <= MAX_ID or value != int(value):
        raise RecordError("has an id that is no whole number from 1 to 2^63-1")
    return int(value)


def _text(value: object, limit: int) -> str:
    """Return one line of printable text, cut to a length; anything but a string is no text."""
    if type(value) is str and len(value) <= limit and value.isprintable() and "  " not in value:
        return value.strip()  # nearly all: none of the patterns would find anything
    if not isinstance(value, str):
        return ""
    printable = _UNPRINTABLE.sub(" ", _INVISIBLE.sub("", value))
    return _SPACES.sub(" ", printable).strip()[:limit].rstrip()


def _path(value: object) -> str:
    if not value:
        return ""
    if isinstance(value, str) and len(value) <= _MAX_PATH and _IMAGE.fullmatch(value):
        return value
    text = _text(value, _MAX_PATH + 1)
    return text if len(text) <= _MAX_PATH and _IMAGE.fullmatch(text) else ""


def _date(value: object) -> str:
    """Return the longest true beginning of a date "YYYY-MM-DD"; "" for what is none."""
    return _date_of(value.strip()[:10]) if isinstance(value, str) else ""


@lru_cache(maxsize=_KEPT_DATES)
def _date_of(text: str) -> str:
    found = _DATE.match(text)
    if not found or not "1800" <= found[1] <= "2200":
        return ""
    if found[3] and _is_date(int(found[1]), int(found[2]), int(found[3])):
        return found[0]
    return f"{found[1]}-{found[2]}" if found[2] and "01" <= found[2] <= "12" else found[1]


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _number(value: object, highest: float) -> float:
    """Return a number from 0 to the highest sensible one; anything else, "7.6" apart, is 0."""
    if type(value) is float or type(value) is int:
        return float(value) if 0 <= value <= highest else 0.0  # compared first: an int may be beyond what a float can hold
    if value is None:
        return 0.0
    if type(value) is Decimal:  # compared as a float, which a Decimal beyond all floats becomes infinite as
        number = float(value)
        return number if 0.0 <= number <= highest else 0.0
    if isinstance(value, str) and len(value) < 40:
        try:
            value = float(value)
        except ValueError:
            return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value <= highest else 0.0


@lru_cache(maxsize=_KEPT_AVERAGES)
def _rounded(average: float) -> float:
    return round(average, 3)


def _aliases(value: object, *known: str) -> tuple[str, ...]:
    """Return further titles: strings, or TMDB's `{"title": …}` and `{"name": …}`, each once."""
    seen: dict[str, None] = {}
    for item in value if isinstance(value, list) else ():
        text = _text(item, _MAX_TITLE)
        if not text and isinstance(item, dict):
            text = _text(item.get("title"), _MAX_TITLE) or _text(item.get("name"), _MAX_TITLE)
        if text and text not in known:
            seen[text] = None
    return tuple(seen)[:_MAX_ALIASES]


def _genres(named: object, numbered: object) -> tuple[int, ...]:
    if named is None:
        return genre_ids_of(numbered) if numbered else ()
    return tuple(dict.fromkeys((*genre_ids_of(named), *genre_ids_of(numbered))))


def _countries(value: object) -> tuple[str, ...]:
    """Return ISO 3166-1 codes; reads a list of them, a single one, and TMDB's `{"iso_3166_1": "KR"}`."""
    if not value:
        return ()
    found: list[str] = []
    for item in value if isinstance(value, list) else (value,):
        code = _country(item.get("iso_3166_1") if isinstance(item, dict) else item)
        if code and code not in found and len(found) < _MAX_COUNTRIES:
            found.append(code)
    return tuple(found)


def _country(value: object) -> str:
    return _country_code(value) if isinstance(value, str) and len(value) < 10 else ""


def _language(value: object) -> str:
    return _language_code(value) if isinstance(value, str) and len(value) < 10 else ""


@lru_cache(maxsize=_KEPT)
def _country_code(value: str) -> str:
    code = value.strip().upper()
    return code if _COUNTRY.fullmatch(code) else ""


@lru_cache(maxsize=_KEPT)
def _language_code(value: str) -> str:
    code = value.strip().lower()
    return code if _LANGUAGE.fullmatch(code) else ""
