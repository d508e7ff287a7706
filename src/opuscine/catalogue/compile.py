"""Compile the JSON sources into one SQLite file, streaming, in a process of its own.

`python -m opuscine.catalogue.compile` reads a job as JSON from standard input and writes `{"done": …}` or `{"error": text}` to
standard output. A process of its own, so that no event loop stalls and its memory goes back; under a file lock, so that any
number of workers that start at once compile once.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import ijson

from opuscine.catalogue.cache_folder import CacheFolder, Manifest
from opuscine.catalogue.genres import genre_mask
from opuscine.catalogue.job import Done, Job, Skip
from opuscine.catalogue.records import Record, RecordError, describe, read_record
from opuscine.catalogue.schema import APPLICATION_ID, FILM_COLUMNS, INDEXES, KIND_NUMBER, LIST_SEPARATOR, SCHEMA, shelf
from opuscine.catalogue.source_stream import SourceStream
from opuscine.catalogue.sources import SourceFile, digest_of, generation_of
from opuscine.catalogue.spelling import can_be_compared
from opuscine.catalogue.titles import key_of, plain_title
from opuscine.catalogue.tokens import index_name_tokens, index_tokens
from opuscine.catalogue.variants import Borne, read_borne
from opuscine.codec import dumps
from opuscine.errors import CatalogueError
from opuscine.model import Film, Kind, OttLink
from opuscine.providers.links import links_to_json
from opuscine.providers.table import ProviderTable

# Votes that a title's average is weighed against (Bayesian average): with as many of its own, it counts half.
PRIOR_VOTES = 200

# Skipped records named in the log; beyond, they are counted.
NAMED_SKIPS = 50

_DISK_FAULTS = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}

_BATCH = 2_000
_CACHE_KIB = 32_768

_STAGE = f"""
CREATE TABLE stage.film ({FILM_COLUMNS}, links, offers, UNIQUE (kind, id));
CREATE TABLE stage.title_key (key, role, place, kind, id, year, popularity);
CREATE TABLE stage.variant (key, place, form, kind, id, year);
CREATE TABLE stage.spelling (shelf, spelling, kind, id);
CREATE TABLE stage.availability (region, provider, place);
"""
_INSERT_FILM = "INSERT OR IGNORE INTO stage.film VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_TITLE = "INSERT INTO titles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_LINKS = "INSERT INTO links VALUES (?, ?)"
_INSERT_FACETS = "INSERT INTO facets VALUES (?, ?, ?, ?, ?, ?, ?)"
_INSERT_WORDS = "INSERT INTO words (rowid, names, overview) VALUES (?, ?, ?)"
_INSERT_KEY = "INSERT INTO stage.title_key VALUES (?, ?, ?, ?, ?, ?, ?)"
_INSERT_VARIANT = "INSERT INTO stage.variant VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_SPELLING = "INSERT INTO stage.spelling VALUES (?, ?, ?, ?)"
_INSERT_OFFER = "INSERT INTO stage.availability VALUES (?, ?, ?)"

# Where a kind has no vote counts at all, every average is weighed alike, so that their order is that of the plain averages. Only
# documentaries and TV movies (99, 10770) count a fifth: few people vote for them, mostly those who liked their subject before.
_VOTES = "(vote_count + assumed / iif(',' || genre_ids || ',' GLOB '*,99,*' OR ',' || genre_ids || ',' GLOB '*,10770,*', 5, 1))"
_RANKED = f"""
WITH prior AS (SELECT avg(vote_average) AS mean FROM stage.film WHERE vote_average > 0),
     counted AS (SELECT kind, iif(max(vote_count) > 0, 0, :prior) AS assumed FROM stage.film GROUP BY kind)
SELECT film.*, iif(film.vote_average > 0, ({_VOTES} * vote_average + :prior * mean) / ({_VOTES} + :prior), 0.0) AS score
FROM stage.film AS film JOIN counted ON counted.kind = film.kind CROSS JOIN prior
ORDER BY popularity DESC, score DESC, vote_count DESC, release_date DESC, film.kind, id
"""  # noqa: S608  constants

_SORTED = """
INSERT INTO title_keys SELECT * FROM stage.title_key ORDER BY key, role, place;
INSERT INTO title_variants SELECT * FROM stage.variant ORDER BY key, place;
INSERT INTO spellings SELECT * FROM stage.spelling ORDER BY shelf, spelling, kind, id;
INSERT INTO availability SELECT region, provider, place FROM stage.availability ORDER BY region, provider, place;
"""


def run(job: Job) -> Done:
    """Make sure that the sources' generation is compiled and current; wait while another process compiles, and use what that made.

    Raises:
        CatalogueError: a source or the cache folder cannot be used. The generation that was current stays so.
    """
    folder = CacheFolder(job.cache_dir, job.sources, job.region)
    folder.prepare()
    try:
        with folder.locked():
            generation, read = generation_of(job.sources, job.region)
            current = folder.current()
            if current is None or current.generation != generation or current.identity == job.damaged:
                return _compile(job, folder)
            if current.stamps != read:
                current = replace(current, stamps=read)
                folder.publish(current)
            return Done(current, compiled=False)
    except OSError as error:
        raise _unwritable(job, error.strerror) from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _DISK_FAULTS:
            raise
        raise _unwritable(job, str(error)) from error


def _unwritable(job: Job, what: str | None) -> CatalogueError:
    return CatalogueError(
        f"CACHE_DIR: the catalogue cannot be written to {job.cache_dir} ({what}); free space there or name another folder"
    )


def _compile(job: Job, folder: CacheFolder) -> Done:
    started = time.monotonic()
    folder.drop_partial()
    partial = folder.partial_file("db")
    try:
        with closing(_connect(partial, folder.partial_file("stage"))) as database:
            compiler = _Compiler(database, ProviderTable.load(), job.region)
            streams = [compiler.stage(source) for source in job.sources]
            compiler.rank()
            # Hashed again while it was read: a file is named by what it holds, even if a source changed meanwhile.
            generation = digest_of([stream.digest for stream in streams], job.region)
            compiler.finish(generation)
        read = tuple(stream.stamp for stream in streams if stream.stamp is not None)
        compiled = folder.compiled_file(generation)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
            found = os.fstat(file.fileno())
        partial.replace(compiled)
        manifest = Manifest(
            generation=generation,
            file=compiled.name,
            file_size=found.st_size,
            file_mtime_ns=found.st_mtime_ns,
            stamps=read,
            sources=tuple(source.path.name for source in job.sources),
            movie_count=compiler.counts[Kind.MOVIE],
            tv_count=compiler.counts[Kind.TV],
            skipped=compiler.skipped,
            as_of=datetime.fromtimestamp(max(stamp.mtime_ns for stamp in read) / 1e9, UTC),
            compiled_at=datetime.now(UTC),
        )
        folder.publish(manifest)
    finally:
        folder.drop_partial()
    return Done(
        manifest,
        compiled=True,
        skips=tuple(compiler.skips),
        seconds=round(time.monotonic() - started, 3),
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def _connect(partial: Path, stage: Path) -> sqlite3.Connection:
    database = sqlite3.connect(partial, isolation_level=None)
    database.execute("ATTACH ? AS stage", (str(stage),))
    for schema in ("main", "stage"):
        # A crash leaves a partial file that nobody opens; the finished one is flushed before it gets its name.
        database.execute(f"PRAGMA {schema}.journal_mode = OFF")
        database.execute(f"PRAGMA {schema}.synchronous = OFF")
        database.execute(f"PRAGMA {schema}.cache_size = -{_CACHE_KIB}")
    database.execute("PRAGMA temp_store = FILE")
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.executescript(_STAGE + SCHEMA)
    return database


class _Compiler:
    """The state of one compile."""

    def __init__(self, database: sqlite3.Connection, table: ProviderTable, region: str) -> None:
        self._database = database
        self._table = table
        self._region = region
        self.counts = {Kind.MOVIE: 0, Kind.TV: 0}
        self.skipped = 0
        self.skips: list[Skip] = []

    def stage(self, source: SourceFile) -> SourceStream:
        """Read a whole source into the staging table.

        Raises:
            CatalogueError: the file cannot be read, is not JSON, has no list of titles, or none of its records can be used.
        """
        stream = SourceStream(source)
        first = ""
        self._database.execute("BEGIN")
        for position, raw in enumerate(stream.records(), start=1):
            try:
                record = read_record(raw, kind=source.kind, table=self._table, region=self._region)
                if not self._insert(record):
                    raise RecordError("has the id of one before it")
            except RecordError as error:
                first = first or str(error)
                self._skip(Skip(source.path.name, position, describe(raw), str(error)))
            else:
                self.counts[source.kind] += 1
        self._database.execute("COMMIT")
        if first and not self.counts[source.kind]:
            raise source.error(f"holds no record that can be used: the first {first}")
        return stream

    def rank(self) -> None:
        """Copy the staged titles, most popular first, into the tables that are looked up and searched."""
        rows = enumerate(self._database.execute(_RANKED, {"prior": PRIOR_VOTES}), start=1)
        self._database.execute("BEGIN")
        while batch := list(islice(rows, _BATCH)):
            self._insert_ranked(batch)
        self._database.execute("COMMIT")

    def finish(self, generation: str) -> None:
        """Sort what is looked up by other keys than rank, and mark the file complete."""
        self._database.executescript(_SORTED + INDEXES)
        titles = sum(self.counts.values())
        self._database.executemany("INSERT INTO meta VALUES (?, ?)", [("generation", generation), ("titles", titles)])

    def _skip(self, skip: Skip) -> None:
        self.skipped += 1
        if len(self.skips) < NAMED_SKIPS:
            self.skips.append(skip)

    def _insert(self, record: Record) -> bool:
        row = (*_film_row(record.film), links_to_json(record.links) if record.links else None, _offers(record.links, self._table))
        return self._database.execute(_INSERT_FILM, row).rowcount == 1

    def _insert_ranked(self, batch: list[tuple[int, tuple[Any, ...]]]) -> None:
        insert = self._database.executemany
        insert(_INSERT_TITLE, ((place, *row[:15]) for place, row in batch))
        insert(_INSERT_LINKS, ((place, row[15]) for place, row in batch if row[15] is not None))
        insert(_INSERT_FACETS, (_facet_row(place, row) for place, row in batch))
        insert(_INSERT_WORDS, (_word_row(place, row) for place, row in batch))
        named = [(place, row, _read_names(row)) for place, row in batch]
        insert(_INSERT_KEY, (key for place, row, names in named for key in _key_rows(place, row, names)))
        insert(_INSERT_VARIANT, (variant for place, row, names in named for variant in _variant_rows(place, row, names)))
        insert(_INSERT_SPELLING, (spelling for _, row, names in named for spelling in _spelling_rows(row, names)))
        insert(_INSERT_OFFER, (offer for place, row in batch for offer in _offer_rows(place, row)))


def _film_row(film: Film) -> tuple[Any, ...]:
    return (
        KIND_NUMBER[film.ref.kind],
        film.ref.id,
        film.title,
        film.original_title,
        LIST_SEPARATOR.join(film.aliases),
        film.overview,
        film.release_date,
        film.poster_path,
        film.backdrop_path,
        film.vote_average,
        film.vote_count,
        film.popularity,
        ",".join(map(str, film.genre_ids)),
        ",".join(film.countries),
        film.original_language,
    )


def _year(release_date: str) -> int:
    return int(release_date[:4] or 0)


def _facet_row(place: int, row: tuple[Any, ...]) -> tuple[Any, ...]:
    genres = genre_mask(map(int, row[12].split(","))) if row[12] else 0
    return (place, row[0], _year(row[6]), genres, row[13], row[6], row[17])


def _names(row: tuple[Any, ...]) -> list[str]:
    """Return the title, the original title and the aliases, in this order; some may be empty."""
    return [row[2], row[3], *row[4].split(LIST_SEPARATOR)]


def _word_row(place: int, row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (place, " ".join(map(index_name_tokens, dict.fromkeys(_names(row)))), index_tokens(row[5]))


class _Name(NamedTuple):
    """A title, original title or alias, as it is looked up."""

    role: int
    key: str
    borne: Borne


def _read_names(row: tuple[Any, ...]) -> list[_Name]:
    """Return the names of a title, each key once, in its best role."""
    names: dict[str, _Name] = {}
    for role, name in enumerate(_names(row)):
        if name and (key := key_of(plain := plain_title(name))) and key not in names:
            names[key] = _Name(min(role, 2), key, read_borne(plain, key))
    return list(names.values())


def _key_rows(place: int, row: tuple[Any, ...], names: Iterable[_Name]) -> Iterator[tuple[Any, ...]]:
    year = _year(row[6])
    for name in names:
        yield (name.key, name.role, place, row[0], row[1], year, row[11])


def _variant_rows(place: int, row: tuple[Any, ...], names: list[_Name]) -> Iterator[tuple[Any, ...]]:
    """Yield each further key of a title once, as its surest form."""
    forms: dict[str, int] = {}
    for variant in (variant for name in names for variant in name.borne.variants):
        forms[variant.key] = min(variant.form, forms.get(variant.key, variant.form))
    for key in forms.keys() - {name.key for name in names} if forms else ():
        yield (key, place, forms[key], row[0], row[1], _year(row[6]))


def _spelling_rows(row: tuple[Any, ...], names: Iterable[_Name]) -> Iterator[tuple[Any, ...]]:
    year = _year(row[6])
    for spelling in {name.borne.spelling for name in names if can_be_compared(name.borne.spelling)} if year else ():
        yield (shelf(year, backwards=False), spelling, row[0], row[1])
        yield (shelf(year, backwards=True), spelling[::-1], row[0], row[1])


def _offers(links: Iterable[OttLink], table: ProviderTable) -> str:
    """List who streams a title where: by the provider's number and by that of the service which it is a way into."""
    found: dict[str, None] = {}
    for link in links:
        provider = table.by_id(link.provider_id)
        numbers = (link.provider_id,) if provider is None else (link.provider_id, provider.id, table.main(provider).id)
        found.update((f"{link.region}:{number}", None) for number in numbers if number > 0)
    return ",".join(found)


def _offer_rows(place: int, row: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    for offer in row[16].split(",") if row[16] else ():
        region, _, provider = offer.partition(":")
        yield (region, int(provider), place)


def answer(data: bytes) -> tuple[int, bytes]:
    """Run an encoded job; return the exit status and the encoded answer."""
    if ijson.backend != "yajl2_c":
        return 1, dumps({"error": f"ijson runs on its {ijson.backend} backend, 17 times slower; install ijson from a wheel"})
    job = Job.from_json(data)
    if job.in_background:
        with suppress(OSError):  # a sandbox may forbid it
            os.nice(10)
    try:
        return 0, dumps({"done": run(job).to_json()})
    except CatalogueError as error:
        return 1, dumps({"error": str(error)})


if __name__ == "__main__":
    status, answered = answer(sys.stdin.buffer.read())
    sys.stdout.buffer.write(answered)
    sys.exit(status)
