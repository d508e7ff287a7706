"""One title's links as they lie in Redis: `movie:{id}:ott_links` or `tv:{id}:ott_links`, a JSON list of every region. Pure.

Each item of a list of ours is a link as answers show it, and beside that `as_of`: rows of the predecessor have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from opuscine.codec import dumps, loads
from opuscine.model import OttLink, TitleRef
from opuscine.ott.tier import TitleLinks
from opuscine.providers.links import links_from_json, read_links
from opuscine.providers.table import ProviderTable

MAX_ROW_BYTES = 256 * 1024


def row_key(ref: TitleRef) -> str:
    """Return the key of a title's row."""
    return f"{ref.kind}:{ref.id}:ott_links"


def write_row(known: TitleLinks) -> bytes:
    """Write links of every region with their age in whole seconds."""
    as_of = known.as_of.astimezone(UTC).isoformat(timespec="seconds")
    return dumps([asdict(link) | {"as_of": as_of} for link in known.links])


def read_row(data: bytes, *, ref: TitleRef, table: ProviderTable, region: str, now: datetime) -> TitleLinks:
    """Read a row, ours or the predecessor's: a list of links, provider rows or bare addresses, or TMDB's form.

    A row is as old as its oldest item, and of `now` where no item says so. `region` is for what names none.

    Raises:
        ValueError: it is no JSON, too large, or holds things of which none is a link.
    """
    if len(data) > MAX_ROW_BYTES:
        raise ValueError(f"it has {len(data)} bytes, more than {MAX_ROW_BYTES}")
    raw = loads(data)
    if not isinstance(raw, list | dict):
        raise ValueError(f"a list was expected, found {type(raw).__name__}")  # noqa: TRY004 -- to the reader of a store both are one case
    ages = [_age(item) for item in raw] if isinstance(raw, list) else []
    links: Sequence[OttLink] = ()
    if ages and None not in ages:
        links = links_from_json(data)
    if len(links) != len(raw):  # not all of it is as we write it
        links = read_links(raw, None, ref=ref, table=table, region=region)
    if raw and not links:
        raise ValueError("none of its items is a link")
    return TitleLinks(tuple(links), min(now, *(age for age in ages if age)) if any(ages) else now)


def _age(item: Any) -> datetime | None:
    text = item.get("as_of") if isinstance(item, dict) else None
    try:
        age = datetime.fromisoformat(text) if isinstance(text, str) else None
        return age.astimezone(UTC) if age is not None and age.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
