"""Where titles stream: kept as their records say it, read into links, and filed by provider."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from opuscine.catalogue.schema import KINDS, OFFERS_SCHEMA
from opuscine.codec import dumps, loads
from opuscine.model import OttLink, TitleRef
from opuscine.providers.links import links_to_json, read_links
from opuscine.providers.table import ProviderTable

_BATCH = 2_000

_SAID = (
    "SELECT t.number, f.place, t.kind, t.id, t.said FROM titles AS t CROSS JOIN facets AS f USING (number) "
    "WHERE t.said IS NOT NULL ORDER BY t.number"
)
_SAID_OF_FIRST = (
    "SELECT t.number, f.place, t.kind, t.id, t.said FROM facets AS f CROSS JOIN titles AS t USING (number) "
    "WHERE t.said IS NOT NULL AND f.place <= ?"
)
_SORTED = """
INSERT INTO availability SELECT * FROM temp.offer ORDER BY region, provider, place;
DROP TABLE temp.offer;
"""


def said_of(raw: Mapping[str, Any]) -> bytes | None:
    """Return what a record says of where it streams, to be read by `OfferReader`; None for nothing."""
    links, providers = raw.get("ott_links"), raw.get("ott_providers")
    if not providers:
        if not links:
            return None
        if type(links) is list and (plain := _plain(links)):
            return plain
    try:
        return dumps([links, providers])
    except (ValueError, OverflowError, TypeError):  # lone surrogates, and numbers beyond all bounds
        return _odd(links, providers)


def _plain(links: list[Any]) -> bytes | None:
    """Write bare addresses, which most records have and nothing else, in a third of the time; None if they are no plain text."""
    try:
        said = '","'.join(links)
    except TypeError:
        return None
    if not said.isascii() or not said.isprintable() or "\\" in said or said.count('"') != 2 * len(links) - 2:
        return None
    return f'[["{said}"],null]'.encode("ascii")


def _odd(links: object, providers: object) -> bytes | None:
    try:
        return json.dumps([links, providers], default=float).encode()
    except (ValueError, OverflowError, TypeError, RecursionError):
        return None


class OfferReader:
    """Read what records say of where they stream."""

    def __init__(self, table: ProviderTable, region: str) -> None:
        """Name the providers that are known, and the region of what names none."""
        self._table = table
        self._region = region

    def links(self, said: bytes | None, ref: TitleRef) -> tuple[OttLink, ...]:
        """Return the links, of every region, that `said_of` has kept of a title."""
        if said is None:
            return ()
        try:
            links, providers = loads(said)
        except ValueError:
            return ()
        return read_links(links, providers, ref=ref, table=self._table, region=self._region)

    def offers(self, links: Iterable[OttLink]) -> Iterable[tuple[str, int]]:
        """List who streams a title where: by the provider's number and by that of the service which it is a way into."""
        found: dict[tuple[str, int], None] = {}
        for link in links:
            number, region = link.provider_id, link.region
            if number > 0:
                found[region, number] = None
            if (provider := self._table.by_id(number)) is not None:
                found[region, provider.id] = None
                found[region, self._table.main(provider).id] = None
        return found


def fill_offers(
    database: sqlite3.Connection, reader: OfferReader, *, first: int | None = None, check: Callable[[], None] = lambda: None
) -> None:
    """File where titles stream in the main schema of a connection that has them, of all or of the most popular ones.

    `check` is called now and then and may raise to end it.
    """
    database.executescript(f"BEGIN; {OFFERS_SCHEMA} CREATE TABLE temp.offer (region, provider, place); COMMIT;")
    rows = database.execute(_SAID) if first is None else database.execute(_SAID_OF_FIRST, (first,))
    database.execute("BEGIN")
    while batch := list(islice(rows, _BATCH)):
        check()
        read = [(number, place, reader.links(said, TitleRef(KINDS[kind], id_))) for number, place, kind, id_, said in batch]
        database.executemany("INSERT INTO links VALUES (?, ?)", [(number, links_to_json(links)) for number, _, links in read if links])
        offers = [(region, provider, place) for _, place, links in read for region, provider in reader.offers(links)]
        database.executemany("INSERT INTO temp.offer VALUES (?, ?, ?)", offers)
    database.execute("COMMIT")
    database.executescript(f"BEGIN; {_SORTED} COMMIT;")
