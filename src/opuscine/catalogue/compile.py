"""Compile the JSON sources into one SQLite file, streaming, in a process of its own.

`python -m opuscine.catalogue.compile` reads a job as JSON from standard input and writes `{"done": …}` or `{"error": text}` to
standard output. A process of its own, so that no event loop stalls and its memory goes back; under a file lock, so that any
number of workers that start at once compile once.
"""

from __future__ import annotations

import gc
import os
import resource
import sqlite3
import sys
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import ijson

from opuscine.catalogue.cache_folder import CacheFolder, Manifest
from opuscine.catalogue.genres import genre_mask
from opuscine.catalogue.indexing import fill_index, index_current, name_words, year_of
from opuscine.catalogue.job import Done, Job, Skip
from opuscine.catalogue.records import Record, RecordError, describe, read_record
from opuscine.catalogue.schema import (
    APPLICATION_ID,
    FILM_COLUMNS,
    INDEXES,
    KIND_NUMBER,
    LIST_SEPARATOR,
    NAMES_SCHEMA,
    SCHEMA,
    WORDS_BEGIN,
    WORDS_END,
)
from opuscine.catalogue.source_stream import SourceStream
from opuscine.catalogue.sources import SourceFile, digest_of, generation_of
from opuscine.catalogue.titles import read_key, read_plain
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

# `number` counts the titles as they are read; the small `facet` is sorted instead of the whole titles.
_STAGE = f"""
CREATE TABLE stage.film (number INTEGER PRIMARY KEY, {FILM_COLUMNS}, links, tokens);
CREATE TABLE stage.facet (
  number INTEGER PRIMARY KEY, kind, id, year, genres, countries, release_date, average, votes, popularity, few_vote
);
CREATE TABLE stage.ranked (place INTEGER PRIMARY KEY, number, score);
CREATE TABLE stage.place (number INTEGER PRIMARY KEY, place);
CREATE TABLE stage.title_key (key, role, number);
CREATE TABLE stage.offer (region, provider, number);
CREATE UNIQUE INDEX stage.facet_ref ON facet (kind, id);
"""
_INSERT_FACET = "INSERT OR IGNORE INTO stage.facet VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_FILM = "INSERT INTO stage.film VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_KEY = "INSERT INTO stage.title_key VALUES (?, ?, ?)"
_INSERT_OFFER = "INSERT INTO stage.offer VALUES (?, ?, ?)"

# Where a kind has no vote counts at all, every average is weighed alike, so that their order is that of the plain averages. Only
# documentaries and TV movies count a fifth: few people vote for them, mostly those who liked their subject before.
_FEW_VOTE = frozenset({99, 10770})
_VOTES = "(votes + assumed / iif(few_vote, 5, 1))"
_RANK = f"""
WITH prior AS (SELECT avg(average) AS mean FROM stage.facet WHERE average > 0),
     counted AS (SELECT kind, iif(max(votes) > 0, 0, {PRIOR_VOTES}) AS assumed FROM stage.facet GROUP BY kind)
INSERT INTO stage.ranked (number, score)
SELECT number, iif(average > 0, ({_VOTES} * average + {PRIOR_VOTES} * mean) / ({_VOTES} + {PRIOR_VOTES}), 0.0) AS score
FROM stage.facet AS facet JOIN counted ON counted.kind = facet.kind CROSS JOIN prior
ORDER BY popularity DESC, score DESC, votes DESC, release_date DESC, facet.kind, id;
INSERT INTO stage.place SELECT number, place FROM stage.ranked ORDER BY number;
"""  # noqa: S608  constants

_PLACED = f"""
INSERT INTO titles SELECT place, {FILM_COLUMNS} FROM stage.ranked CROSS JOIN stage.film USING (number) ORDER BY place;
INSERT INTO links SELECT place, links FROM stage.ranked CROSS JOIN stage.film USING (number) WHERE links IS NOT NULL ORDER BY place;
INSERT INTO facets SELECT place, kind, year, genres, countries, release_date, score
  FROM stage.ranked CROSS JOIN stage.facet USING (number) ORDER BY place;
INSERT INTO title_keys SELECT key, role, place, kind, id, year, popularity
  FROM stage.title_key CROSS JOIN stage.place USING (number) CROSS JOIN stage.facet USING (number) ORDER BY key, role, place;
INSERT INTO availability SELECT region, provider, place FROM stage.offer CROSS JOIN stage.place USING (number)
  ORDER BY region, provider, place;
"""  # noqa: S608  constants
_NAME_WORDS = "INSERT INTO words (rowid, names) SELECT place, tokens FROM stage.ranked CROSS JOIN stage.film USING (number) ORDER BY place"


def run(job: Job) -> Done:
    """Make sure that the sources' generation is compiled and current; wait while another process compiles, and use what that made.

    Of a catalogue of more titles than `job.at_once` the index of names alone is made; a job with `index` set makes the rest.

    Raises:
        CatalogueError: a source or the cache folder cannot be used. The generation that was current stays so.
    """
    folder = CacheFolder(job.cache_dir, job.sources, job.region)
    folder.prepare()
    try:
        if job.index:
            return index_current(folder)
        with folder.locked():
            current = folder.current()
            if current is None:
                return _compile(job, folder)
            generation, read = generation_of(job.sources, job.region)
            if current.generation != generation or current.identity == job.damaged:
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
            in_one = sum(compiler.counts.values()) <= job.at_once
            compiler.index(in_one=in_one)
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
            index=compiled.name if in_one else "",
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
        self._number = 0
        self.counts = {Kind.MOVIE: 0, Kind.TV: 0}
        self.skipped = 0
        self.skips: list[Skip] = []

    def stage(self, source: SourceFile) -> SourceStream:
        """Read a whole source into the staging tables.

        Raises:
            CatalogueError: the file cannot be read, is not JSON, has no list of titles, or none of its records can be used.
        """
        stream = SourceStream(source)
        first = ""
        self._database.execute("BEGIN")
        records = enumerate(stream.records(), start=1)
        while batch := list(islice(records, _BATCH)):
            staged = _Staged()
            for position, raw in batch:
                try:
                    self._take(read_record(raw, kind=source.kind, table=self._table, region=self._region), staged)
                except RecordError as error:
                    first = first or str(error)
                    self._skip(Skip(source.path.name, position, describe(raw), str(error)))
                else:
                    self.counts[source.kind] += 1
            staged.write(self._database)
        self._database.execute("COMMIT")
        if first and not self.counts[source.kind]:
            raise source.error(f"holds no record that can be used: the first {first}")
        return stream

    def rank(self) -> None:
        """Copy the staged titles, most popular first, into the tables that are looked up."""
        self._database.executescript(f"BEGIN; {_RANK} {_PLACED} COMMIT;")
        self._database.executescript(INDEXES)

    def index(self, *, in_one: bool) -> None:
        """Make the whole index, or that of names alone."""
        if in_one:
            fill_index(self._database, "main")
        else:
            self._database.executescript(f"BEGIN; {NAMES_SCHEMA} {WORDS_BEGIN} {_NAME_WORDS}; {WORDS_END} COMMIT;")

    def finish(self, generation: str) -> None:
        """Mark the file complete."""
        titles = sum(self.counts.values())
        self._database.executemany("INSERT INTO meta VALUES (?, ?)", [("generation", generation), ("titles", titles)])

    def _skip(self, skip: Skip) -> None:
        self.skipped += 1
        if len(self.skips) < NAMED_SKIPS:
            self.skips.append(skip)

    def _take(self, record: Record, staged: _Staged) -> None:
        """Stage a record. Raises RecordError if its id was there before: the one row that is written at once, since it tells."""
        film, number = record.film, self._number + 1
        ref = (KIND_NUMBER[film.ref.kind], film.ref.id)
        year = year_of(film.release_date)
        countries = ",".join(film.countries)
        facet = (
            *(number, *ref, year, genre_mask(film.genre_ids), countries, film.release_date),
            *(film.vote_average, film.vote_count, film.popularity, not _FEW_VOTE.isdisjoint(film.genre_ids)),
        )
        if self._database.execute(_INSERT_FACET, facet).rowcount != 1:
            raise RecordError("has the id of one before it")
        self._number = number
        names = (film.title, film.original_title, *film.aliases)
        links = links_to_json(record.links) if record.links else None
        staged.films.append((number, *ref, *_film_row(film, countries), links, name_words(names)))
        staged.keys.extend((key, role, number) for key, role in _keys(names).items())
        staged.offers.extend((region, provider, number) for region, provider in _offers(record.links, self._table))


class _Staged:
    """Rows on their way into the staging tables."""

    def __init__(self) -> None:
        self.films: list[tuple[Any, ...]] = []
        self.keys: list[tuple[str, int, int]] = []
        self.offers: list[tuple[str, int, int]] = []

    def write(self, database: sqlite3.Connection) -> None:
        database.executemany(_INSERT_FILM, self.films)
        database.executemany(_INSERT_KEY, self.keys)
        database.executemany(_INSERT_OFFER, self.offers)


def _film_row(film: Film, countries: str) -> tuple[Any, ...]:
    return (
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
        countries,
        film.original_language,
    )


def _keys(names: Iterable[str]) -> dict[str, int]:
    """Return the keys of a title's names, each once, in its best role."""
    keys: dict[str, int] = {}
    for role, name in enumerate(names):
        if name and (key := read_key(read_plain(name))) and key not in keys:
            keys[key] = min(role, 2)
    return keys


def _offers(links: Iterable[OttLink], table: ProviderTable) -> Iterable[tuple[str, int]]:
    """List who streams a title where: by the provider's number and by that of the service which it is a way into."""
    found: dict[tuple[str, int], None] = {}
    for link in links:
        number, region = link.provider_id, link.region
        if number > 0:
            found[region, number] = None
        if (provider := table.by_id(number)) is not None:
            found[region, provider.id] = None
            found[region, table.main(provider).id] = None
    return found


def answer(data: bytes) -> tuple[int, bytes]:
    """Run an encoded job; return the exit status and the encoded answer."""
    if ijson.backend != "yajl2_c":
        return 1, dumps({"error": f"ijson runs on its {ijson.backend} backend, 17 times slower; install ijson from a wheel"})
    job = Job.from_json(data)
    if job.in_background:
        with suppress(OSError):  # a sandbox may forbid it
            os.nice(10)
    # Nothing here makes circles that would be worth looking for among millions of values.
    gc.disable()
    try:
        return 0, dumps({"done": run(job).to_json()})
    except CatalogueError as error:
        return 1, dumps({"error": str(error)})
    finally:
        gc.enable()


if __name__ == "__main__":
    status, answered = answer(sys.stdin.buffer.read())
    sys.stdout.buffer.write(answered)
    sys.exit(status)
