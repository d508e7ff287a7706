"""What a compiled catalogue is searched by: words, providers, scores and dates, and what titles are known under besides.

Small catalogues have it in the compiled file. Of large ones it is made in a second step, from the compiled file alone and into a file of
its own, while the first step's result serves already. The second step may be killed at any moment: what it left unfinished is dropped,
and it begins anew.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from opuscine.catalogue.cache_folder import CacheFolder, Manifest
from opuscine.catalogue.job import Done
from opuscine.catalogue.offers import OfferReader, fill_offers
from opuscine.catalogue.schema import (
    APPLICATION_ID,
    FACETS_INDEXES,
    INDEX_SCHEMA,
    LARGE_INDEX_SCHEMA,
    LIST_SEPARATOR,
    PAGE_BYTES,
    WORDS_BEGIN,
    WORDS_END,
    shelf,
)
from opuscine.catalogue.spelling import can_be_compared
from opuscine.catalogue.titles import read_key, read_plain
from opuscine.catalogue.tokens import index_name_tokens, index_tokens
from opuscine.catalogue.variants import Borne, read_borne
from opuscine.errors import CatalogueError
from opuscine.providers.table import ProviderTable

_BATCH = 2_000
_CACHE_KIB = 32_768

_TITLES = (
    "SELECT f.place, t.kind, t.id, t.title, t.original_title, t.aliases, t.overview, t.year "
    "FROM facets AS f CROSS JOIN titles AS t USING (number) ORDER BY f.place"
)
_INSERT_WORDS = "INSERT INTO words (rowid, names, overview) VALUES (?, ?, ?)"
_INSERT_NAMES = "INSERT INTO name_words (rowid, names) VALUES (?, ?)"
_INSERT_VARIANT = "INSERT INTO temp.variant VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_SPELLING = "INSERT INTO temp.spelling VALUES (?, ?, ?, ?)"
_UNSORTED = """
CREATE TABLE temp.variant (key, place, form, kind, id, year);
CREATE TABLE temp.spelling (shelf, spelling, kind, id);
"""
_SORTED = """
INSERT INTO title_variants SELECT * FROM temp.variant ORDER BY key, place;
INSERT INTO spellings SELECT * FROM temp.spelling ORDER BY shelf, spelling, kind, id;
DROP TABLE temp.variant;
DROP TABLE temp.spelling;
"""


class _Superseded(Exception):  # noqa: N818  no fault
    """Say that another generation has become the current one meanwhile."""


def index_current(folder: CacheFolder) -> Done:
    """Make the index of the current generation unless it is there; wait while another process makes it, and use that.

    Raises:
        CatalogueError: nothing has been compiled.
        OSError, sqlite3.Error: the cache folder cannot be used, or the compiled file cannot be read.
    """
    started = time.monotonic()
    with folder.index_locked():
        folder.drop_partial_index()
        current = folder.current()
        if current is None:
            raise CatalogueError("the catalogue has not been compiled; `opuscine catalogue build` does it")
        if current.indexed:
            return Done(current, compiled=False)
        partial = folder.partial_index()
        try:
            _make(folder, current, partial)
            found = partial.stat()
            with folder.locked():
                now = _still(folder, current)  # its stamps may be others meanwhile
                index = folder.index_file(now)
                partial.replace(index)
                made = now.with_index(index.name, found)
                folder.publish(made)
        except _Superseded:
            return Done(folder.current() or current, compiled=False)
        finally:
            folder.drop_partial_index()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return Done(made, compiled=True, seconds=round(time.monotonic() - started, 3), peak_mib=peak_mib)


def _still(folder: CacheFolder, manifest: Manifest) -> Manifest:
    """Return what is current, if it is the same compiled file. Raises _Superseded."""
    now = folder.current()
    if now is None or now.identity != manifest.identity:
        raise _Superseded
    return now


def _make(folder: CacheFolder, current: Manifest, partial: Path) -> None:
    pointer = folder.pointer_state()

    def check() -> None:
        if folder.pointer_state() != pointer:
            _still(folder, current)

    with closing(sqlite3.connect(partial, isolation_level=None, uri=True)) as database:
        compiled = folder.file_of(current).absolute().as_uri()
        database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        database.execute("ATTACH ? AS compiled", (f"{compiled}?mode=ro&immutable=1",))
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        database.execute("PRAGMA temp_store = FILE")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID")
        (region,) = database.execute("SELECT value FROM compiled.meta WHERE name = 'region'").fetchone()
        fill_index(database, OfferReader(ProviderTable.load(), region), large=True, check=check)
        database.execute("INSERT INTO main.meta SELECT * FROM compiled.meta")
    with partial.open("rb") as file:
        os.fsync(file.fileno())


def fill_index(database: sqlite3.Connection, offers: OfferReader, *, large: bool, check: Callable[[], None] = lambda: None) -> None:
    """Make the index in the main schema of a connection that has the titles; `check` is called now and then and may raise to end it.

    That of a large catalogue is a file of its own, with the titles attached as `compiled`.
    """
    tables = ["words", "name_words"] if large else ["words"]
    begin, end = ("".join(script.format(words=words) for words in tables) for script in (WORDS_BEGIN, WORDS_END))
    database.executescript(f"BEGIN; {INDEX_SCHEMA} {LARGE_INDEX_SCHEMA if large else ''} {FACETS_INDEXES} {begin} {_UNSORTED} COMMIT;")
    check()
    fill_offers(database, offers, check=check)
    rows = database.execute(_TITLES)
    database.execute("BEGIN")
    while batch := list(islice(rows, _BATCH)):
        check()
        read = [
            _Indexed(place, kind, number, [title, original, *aliases.split(LIST_SEPARATOR)], overview, year)
            for place, kind, number, title, original, aliases, overview, year in batch
        ]
        names = [(title.place, name_words(title.names)) for title in read]
        database.executemany(_INSERT_WORDS, [(*row, index_tokens(title.overview)) for row, title in zip(names, read, strict=True)])
        if large:
            database.executemany(_INSERT_NAMES, names)
        named = [(title, _read_names(title.names)) for title in read]
        database.executemany(_INSERT_VARIANT, (row for title, names in named for row in _variant_rows(title, names)))
        database.executemany(_INSERT_SPELLING, (row for title, names in named for row in _spelling_rows(title, names)))
    database.execute("COMMIT")
    check()
    database.executescript(f"BEGIN; {end} COMMIT; BEGIN; {_SORTED} COMMIT;")


def name_words(names: Iterable[str]) -> str:
    """Return the tokens of a title's names for the index."""
    return " ".join(map(index_name_tokens, dict.fromkeys(names)))


class _Indexed(NamedTuple):
    """A title, as far as its index needs it."""

    place: int
    kind: int
    id: int
    names: list[str]  # title, original title, aliases; some may be empty
    overview: str
    year: int


class _Name(NamedTuple):
    """A title, original title or alias, as it is looked up."""

    key: str
    borne: Borne


def _read_names(names: Iterable[str]) -> list[_Name]:
    """Return the names of a title, each key once."""
    found: dict[str, _Name] = {}
    for name in names:
        if name and (key := read_key(plain := read_plain(name))) and key not in found:
            found[key] = _Name(key, read_borne(plain, key))
    return list(found.values())


def _variant_rows(title: _Indexed, names: list[_Name]) -> Iterator[tuple[Any, ...]]:
    """Yield each further key of a title once, as its surest form."""
    forms: dict[str, int] = {}
    for variant in (variant for name in names for variant in name.borne.variants):
        forms[variant.key] = min(variant.form, forms.get(variant.key, variant.form))
    for key in forms.keys() - {name.key for name in names} if forms else ():
        yield (key, title.place, forms[key], title.kind, title.id, title.year)


def _spelling_rows(title: _Indexed, names: Iterable[_Name]) -> Iterator[tuple[Any, ...]]:
    for spelling in {name.borne.spelling for name in names if can_be_compared(name.borne.spelling)} if title.year else ():
        yield (shelf(title.year, backwards=False), spelling, title.kind, title.id)
        yield (shelf(title.year, backwards=True), spelling[::-1], title.kind, title.id)
