"""The protocol of the predecessor's LLM server: it names films by TMDB's ids, and is trusted with them.

Pure but for a memory that changes nothing of what is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import getsizeof
from types import MappingProxyType, NoneType
from typing import Any, NamedTuple

from opuscine.byte_lru import ByteLru
from opuscine.codec import dumps, loads
from opuscine.llm.ask import LlmAsk, LlmReply
from opuscine.llm.fault import LlmError
from opuscine.llm.protocols.protocol import StreamReader
from opuscine.model import DegradedReason, Kind, Suggestion

PATH = "movie-recommend"
PROBE_PATH = "health"

MAX_ITEMS = 500
MAX_METADATA_BYTES = 16_384
KEPT_ITEMS_BYTES = 4 * 1024 * 1024
LARGEST_KEPT_ITEM_BYTES = 16_384
KEPT_ITEM_BYTES = 600  # about what a kept item costs beside its values
_MAX_DEPTH = 8
_MAX_TEXT = 2_000
_MAX_ID = 2**63 - 1
_MAX_COUNT = 2**31 - 1  # callers read counts into Java's int

_NUMBER = re.compile(r"\s*([+-]?\d{1,18}(?:\.\d{0,18})?)(?:\s*/\s*10)?\s*", re.ASCII)
_DATE = re.compile(r"(?:1[89]|2[01])\d\d(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01])(?!\d))?)?(?!\d)", re.ASCII)
_IMAGE = re.compile(r"(?:https?://[\w.-]+(?::\d+)?)?(?:/[\w.~%+-]+)+", re.ASCII)
_NAMES = ("title", "name", "original_title", "original_name")
_DATES = ("release_date", "first_air_date")
_NUMBERS = ("id", "tmdb_id", "year", "vote_average", "vote_count", "popularity")
_FIELDS = (*_NAMES, *_DATES, *_NUMBERS, "media_type", "overview", "poster_path", "backdrop_path", "genre_ids")
_PLAIN_TYPES = frozenset({str, int, float, bool, NoneType})
_KINDS = {"movie": Kind.MOVIE, "film": Kind.MOVIE, "tv": Kind.TV, "series": Kind.TV}


class MovieRecommend:
    """The protocol as the client uses it."""

    path = PATH
    probe_path = PROBE_PATH
    headers: Mapping[str, str] = MappingProxyType({})
    streams = False

    def __init__(self) -> None:
        """Begin without having read anything."""
        self._items = ItemReader()

    def begin(self, ask: LlmAsk, *, stream: bool = False) -> MovieRecommendCall:  # noqa: ARG002  the protocol's arguments
        """Write a question."""
        return MovieRecommendCall(request_body(ask), self._items)


@dataclass(frozen=True, slots=True)
class MovieRecommendCall:
    """One question; there is only one way to ask it."""

    body: bytes
    items: ItemReader

    def adapt(self, status: int, explanation: bytes) -> bool:  # noqa: ARG002
        """Return False: a refusal of this question is final."""
        return False

    def correct(self, body: bytes) -> bool:  # noqa: ARG002
        """Return False: an answer that can't be read would not be better the second time."""
        return False

    def read(self, body: bytes) -> LlmReply:
        """Read an answer, as `read_reply`."""
        return read_reply(body, self.items)

    def reader(self) -> StreamReader:
        """Raise: this protocol does not stream, and says so."""
        raise NotImplementedError


class _KeptItem(NamedTuple):
    """What an item said of a film, what was read of it, and about how many bytes both take."""

    said: dict[str, Any]
    suggestion: Suggestion
    size: int


class ItemReader:
    """Read the items of replies, and only once what is said of a film in the same words: models name the same ones over and over.

    Reading an item takes 5 µs; finding it again 0.4, or 1.2 where there is more in it than what is read (measured).
    """

    def __init__(self, max_bytes: int = KEPT_ITEMS_BYTES) -> None:
        """Start empty; what was read of an item is kept by its number."""
        self._kept: ByteLru[int, _KeptItem] = ByteLru(max_bytes, lambda kept: kept.size)

    @property
    def bytes_held(self) -> int:
        """Return about how many bytes the kept items take."""
        return self._kept.bytes_held

    def read(self, items: Sequence[Any]) -> tuple[Suggestion, ...]:
        """Read those items that name a film; what is said again is the same suggestion again."""
        suggestions = [self._read(item) for item in items if isinstance(item, dict)]
        return tuple([suggestion for suggestion in suggestions if suggestion.title or suggestion.id])

    def _read(self, item: dict[str, Any]) -> Suggestion:
        number = item.get("id")
        kept = self._kept.get(number) if type(number) is int else None
        if kept is not None and kept.said == item:
            return kept.suggestion
        said = {name: item[name] for name in _FIELDS if name in item}
        if kept is not None and kept.said == said:
            return kept.suggestion
        suggestion = _suggestion(said)
        if type(number) is int and _is_unmistakable(said) and (size := _size(said)) <= LARGEST_KEPT_ITEM_BYTES:
            self._kept.put(number, _KeptItem(said, suggestion, size))
        return suggestion


def _is_unmistakable(said: dict[str, Any]) -> bool:
    """Say whether what is said is flat, and whatever equals it is read alike.

    To Python `1 == True`, and a title 1917 equals 1917.0, which is none; other numbers that are equal are read as the same.
    """
    if 1 in said.values() or any(isinstance(said.get(name), int | float) for name in _NAMES):
        return False
    lists = [value for value in said.values() if type(value) not in _PLAIN_TYPES]
    return all(type(value) is list and 1 not in value and _PLAIN_TYPES.issuperset(map(type, value)) for value in lists)


def _size(said: dict[str, Any]) -> int:
    """Return about how many bytes it takes with what is read of it: texts are the same objects in both, but for most names."""
    inner = (value for values in said.values() if type(values) is list for value in values)
    names = (said.get(name) for name in _NAMES)
    return KEPT_ITEM_BYTES + getsizeof(said) + sum(map(getsizeof, (*said.values(), *inner, *names)))


def request_body(ask: LlmAsk) -> bytes:
    """Write the question as JSON. Titles already given are left out: this protocol has pages of its own."""
    question = {
        "message": _storable(ask.message),
        "user_id": _storable(ask.user_id or "anonymous"),
        "context": {"page": ask.page, "limit": ask.limit},
    }
    return dumps(question)


def read_reply(body: bytes, items: ItemReader) -> LlmReply:
    """Read the body of a 2xx answer, whatever its content type.

    Items and fields that cannot be read are left out one by one; no more than 500 items are read. What `items` has read before is not
    read again.

    Raises:
        LlmError: it is not a JSON object with a list `movies` (llm_bad_reply), or it says `success: false` (llm_error).
    """
    try:
        reply = loads(body.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, OverflowError, RecursionError) as error:
        raise _bad_reply(f"{len(body)} bytes that are not JSON") from error
    if not isinstance(reply, dict):
        raise _bad_reply(f"JSON, but a {type(reply).__name__} and not an object")
    if _is_no(reply.get("success")):
        raise LlmError(f"the LLM server answered success: false, {_text(reply.get('error'))[:200]!r}", reason=DegradedReason.LLM_ERROR)
    movies = reply.get("movies", ())
    if movies is None and "success" in reply:  # how some servers write an empty list
        movies = []
    if not isinstance(movies, list):
        raise _bad_reply("an object without a list `movies`")
    pagination = reply.get("pagination")
    if not isinstance(pagination, dict):
        pagination = {}
    return LlmReply(
        suggestions=items.read(movies[:MAX_ITEMS]),
        ids_trusted=True,
        total_results=_whole(pagination.get("total_results"), 0, _MAX_COUNT),
        total_pages=_whole(pagination.get("total_pages"), 0, _MAX_COUNT),
        query_metadata=_metadata(reply.get("query_metadata")),
        conversation=_metadata(reply.get("conversation")),
    )


def _bad_reply(what: str) -> LlmError:
    return LlmError(f"the LLM server answered {what}", reason=DegradedReason.LLM_BAD_REPLY)


def _is_no(value: Any) -> bool:
    return value.strip().lower() == "false" if isinstance(value, str) else isinstance(value, int) and not value


def _suggestion(item: dict[str, Any]) -> Suggestion:
    release_date = _date(item.get("release_date")) or _date(item.get("first_air_date"))
    year = _whole(item.get("year"), 1800, 2199)
    if year is None and release_date:
        year = int(release_date[:4])
    return Suggestion(
        title=_name(item.get("title")) or _name(item.get("name")),
        original_title=_name(item.get("original_title")) or _name(item.get("original_name")),
        year=year,
        kind=_kind(item),
        id=_whole(item.get("id"), 1, _MAX_ID) or _whole(item.get("tmdb_id"), 1, _MAX_ID),
        overview=_text(item.get("overview")),
        release_date=release_date,
        poster_path=_image(item.get("poster_path")),
        backdrop_path=_image(item.get("backdrop_path")),
        vote_average=_number(item.get("vote_average"), 10.0),
        vote_count=_whole(item.get("vote_count"), 0, _MAX_COUNT) or 0,
        popularity=_number(item.get("popularity"), 1e9),
        genre_ids=_genre_ids(item.get("genre_ids")),
    )


def _kind(item: dict[str, Any]) -> Kind | None:
    """Read the kind, or tell a series by the field names that TMDB gives series only."""
    named = item.get("media_type")
    if isinstance(named, str) and (kind := _KINDS.get(named.strip().lower())):
        return kind
    return Kind.TV if item.get("first_air_date") and not item.get("title") and not item.get("release_date") else None


def _name(value: Any) -> str:
    """Read a title; a film named by a number (1917) may come as one."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 <= value <= 9999 else ""
    return " ".join(_text(value)[:500].split())


def _text(value: Any) -> str:
    return _storable(value[:_MAX_TEXT]).strip() if isinstance(value, str) else ""


def _storable(text: str) -> str:
    """Replace what no UTF-8 text can hold (lone surrogates, which ujson lets pass) and the NUL that some stores cut at."""
    if text.isprintable():  # neither of them is: 0.1 µs instead of 0.3 (measured)
        return text
    return text.encode("utf-8", "replace").decode().replace("\x00", " ")


def _date(value: Any) -> str:
    found = _DATE.match(value.strip()) if isinstance(value, str) else None
    return found[0] if found else ""


def _image(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 300 and _IMAGE.fullmatch(value) else ""


def _float(value: Any) -> float | None:
    """Read a finite number from a JSON number or a text such as "7.6" or "7.6/10"."""
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value[:60])
        return float(found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _number(value: Any, highest: float) -> float:
    if value is None or (type(value) is float and 0 <= value <= highest):  # as nearly all are written
        return value or 0.0
    number = _float(value)
    return number if number is not None and 0 <= number <= highest else 0.0


def _whole(value: Any, lowest: int, highest: int) -> int | None:
    """Read a whole number within bounds from an int, a float without a fraction, or a text of digits."""
    if value is None or type(value) is int:  # as nearly all are written
        return value if value is not None and lowest <= value <= highest else None
    if isinstance(value, str):
        text = value.strip()
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if lowest <= value <= highest else None


def _genre_ids(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return ()
    ids = (_whole(item, 1, _MAX_COUNT) for item in value[:50])
    return tuple(dict.fromkeys(number for number in ids if number is not None))


def _metadata(value: Any) -> dict[str, Any]:
    """Return an object's plain copy that can be written again; {} for anything else and for what is too large."""
    if not isinstance(value, dict) or not value:
        return {}
    copy: dict[str, Any] = _plain(value, _MAX_DEPTH)
    return copy if len(dumps(copy)) <= MAX_METADATA_BYTES else {}


def _plain(value: Any, depth: int) -> Any:
    """Copy a JSON value; numbers that JSON or a 64-bit caller cannot hold, and what lies too deep, become None."""
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, dict):
        return {_storable(key): _plain(item, depth - 1) for key, item in value.items()} if depth else None
    if isinstance(value, list):
        return [_plain(item, depth - 1) for item in value] if depth else None
    holds = math.isfinite(value) if isinstance(value, float) else value is None or -(2**63) <= value < 2**63
    return value if holds else None
