"""What the API server's answers say. Pure: bytes in, the domain model out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opuscine.catalogue.records import RecordError, read_record
from opuscine.codec import loads
from opuscine.errors import OpusCineError
from opuscine.model import Film, Kind, OttLink, TitleRef
from opuscine.providers.links import read_links
from opuscine.providers.table import ProviderTable

_MAX_TOTAL = 2**31 - 1


class ReplyError(OpusCineError, ValueError):
    """Say what is wrong with an answer of the API server."""


@dataclass(frozen=True, slots=True)
class PopularPage:
    """One page of popular films, and how many there are over all pages as far as is known."""

    films: tuple[Film, ...]
    total: int


def read_title(body: bytes, *, ref: TitleRef, table: ProviderTable, region: str) -> tuple[OttLink, ...] | None:
    """Read the answer for one title: `{"movie": {"ott_links": ...}}`, `{"tv": {...}}`, or `{"ott_links": ...}` itself.

    The links are of every region and may come in any raw form; `region` is for those that name none. None: there is no such title.

    Raises:
        ValueError: it is none of these (`ReplyError`), about another title, or no JSON.
    """
    answer = loads(body)
    if not isinstance(answer, dict):
        raise ReplyError(f"the answer is {type(answer).__name__}, not an object")
    names = ("tv", "movie") if ref.kind is Kind.TV else ("movie",)
    name = next((name for name in names if name in answer), "")
    title = answer[name] if name else answer
    if name and title is None:
        return None
    if not isinstance(title, dict) or not (name or "ott_links" in title):
        raise ReplyError(f"the answer has neither {' nor '.join(names)} nor ott_links")
    numbers = [title[key] for key in ("tmdb_id", "id") if isinstance(title.get(key), int | str)]
    if numbers and str(ref.id) not in map(str, numbers):
        raise ReplyError(f"the answer is about another title ({str(numbers[0])[:30]})")
    return read_links(title.get("ott_links"), title.get("ott_providers"), ref=ref, table=table, region=region)


def read_popular(body: bytes, *, page: int, limit: int) -> PopularPage:
    """Read a page of popular films: a list, alone or as `movies` or `results`, of films in the contract's or TMDB's fields.

    A film that cannot be read is left out.

    Raises:
        ValueError: there is no such list, none of its films can be read, the first page is empty (`ReplyError`), or it is no JSON.
    """
    answer = loads(body)
    films = answer.get("movies", answer.get("results")) if isinstance(answer, dict) else answer
    if not isinstance(films, list):
        raise ReplyError("the answer has no list of films (movies or results)")
    read = {film.ref: film for raw in films[:limit] if (film := _film(raw)) is not None}
    if not read and (films or page == 1):
        raise ReplyError("the answer has no film that can be read")
    least = (page - 1) * limit + len(read)
    stated = _total(answer) if isinstance(answer, dict) else 0
    return PopularPage(tuple(read.values()), max(stated, least))


def _film(raw: object) -> Film | None:
    series = isinstance(raw, Mapping) and raw.get("media_type") == Kind.TV
    try:
        return read_record(raw).film(Kind.TV if series else Kind.MOVIE)
    except RecordError:
        return None


def _total(answer: Mapping[str, Any]) -> int:
    pagination = answer.get("pagination")
    places = (answer, pagination) if isinstance(pagination, dict) else (answer,)
    for place in places:
        for name in ("total_results", "total"):
            total = place.get(name)
            if isinstance(total, int) and not isinstance(total, bool) and 0 <= total <= _MAX_TOTAL:
                return total
    return 0
