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
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import ijson

from opuscine.catalogue.cache_folder import CacheFolder, Manifest
from opuscine.catalogue.genres import genre_mask
from opuscine.catalogue.indexing import fill_index, index_current
from opuscine.catalogue.job import Done, Job, Skip
from opuscine.catalogue.offers import OfferReader, fill_offers, said_of
from opuscine.catalogue.records import Record, RecordError, describe, read_record
from opuscine.catalogue.schema import (
    APPLICATION_ID,
    FIRST_OFFERED,
    KEYS_INDEXES,
    KIND_NUMBER,
    KINDS,
    LIST_SEPARATOR,
    PAGE_BYTES,
    SCHEMA,
    TITLES_INDEX,
)
from opuscine.catalogue.source_stream import SourceStream
from opuscine.catalogue.sources import SourceFile, digest_of, generation_of
from opuscine.catalogue.titles import read_title
from opuscine.codec import dumps
from opuscine.errors import CatalogueError
from opuscine.model import Kind
from opuscine.providers.table import ProviderTable

# Votes that a title's average is weighed against (Bayesian average): with as many of its own, it counts half.
PRIOR_VOTES = 200

# Skipped records named in the log; beyond, they are counted.
NAMED_SKIPS = 50

_DISK_FAULTS = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}

_BATCH = 2_000
_CACHE_KIB = 32_768

_INSERT_TITLE = "INSERT INTO titles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_ALIAS_KEY = "INSERT INTO alias_keys VALUES (?, ?)"

# Where a kind has no vote counts at all, every average is weighed alike, so that their order is that of the plain averages. Only
# documentaries and TV movies count a fifth: few people vote for them, mostly those who liked their subject before.
_FEW_VOTE = genre_mask((99, 10770))
_VOTES = f"(vote_count + iif(kind, :series, :films) / iif(genres & {_FEW_VOTE}, 5, 1))"
_PRIOR = (
    f"SELECT avg(nullif(vote_average, 0.0)), iif(max(iif(kind, 0, vote_count)) > 0, 0, {PRIOR_VOTES}), "  # noqa: S608  constants
    f"iif(max(iif(kind, vote_count, 0)) > 0, 0, {PRIOR_VOTES}) FROM titles"
)
_PLACE = f"""
INSERT INTO facets (number, kind, year, genres, countries, release_date, score)
SELECT number, kind, year, genres, countries, release_date,
  iif(vote_average > 0, ({_VOTES} * vote_average + {PRIOR_VOTES} * :mean) / ({_VOTES} + {PRIOR_VOTES}), 0.0) AS score
FROM titles ORDER BY popularity DESC, score DESC, vote_count DESC, release_date DESC, kind, id
"""  # noqa: S608  constants

# Of titles of one id the first counts.
_DOUBLES = """
CREATE TABLE temp.doubles AS SELECT number FROM
  (SELECT number, row_number() OVER (PARTITION BY kind, id ORDER BY number) AS nth FROM titles) WHERE nth > 1;
CREATE TABLE temp.doubled AS SELECT number, kind, id, title FROM titles WHERE number IN (SELECT number FROM temp.doubles);
DELETE FROM titles WHERE number IN (SELECT number FROM temp.doubles);
DELETE FROM alias_keys WHERE number IN (SELECT number FROM temp.doubles);
"""


def run(job: Job) -> Done:
    """Make sure that the sources' generation is compiled and current; wait while another process compiles, and use what that made.

    Of a catalogue of more titles than `job.at_once` only what is looked up is made; a job with `index` set makes the rest.

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
        with closing(_connect(partial)) as database:
            compiler = _Compiler(database)
            streams = [compiler.stage(source) for source in job.sources]
            compiler.rank()
            in_one = sum(compiler.counts.values()) <= job.at_once
            offers = OfferReader(ProviderTable.load(), job.region)
            if in_one:
                fill_index(database, offers, large=False)
            else:
                fill_offers(database, offers, first=FIRST_OFFERED)
            # Hashed again while it was read: a file is named by what it holds, even if a source changed meanwhile.
            generation = digest_of([stream.digest for stream in streams], job.region)
            compiler.finish(generation, job.region)
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
        skips=compiler.named_skips(),
        seconds=round(time.monotonic() - started, 3),
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def _connect(partial: Path) -> sqlite3.Connection:
    database = sqlite3.connect(partial, isolation_level=None)
    database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    # A crash leaves a partial file that nobody opens; the finished one is flushed before it gets its name.
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    database.execute("PRAGMA temp_store = FILE")
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.executescript(SCHEMA)
    return database


class _Compiler:
    """The state of one compile."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._number = 0  # of the record that was read last
        self._begins: dict[int, str] = {}  # the number before a source's first record → its name
        self.counts = {Kind.MOVIE: 0, Kind.TV: 0}
        self.skipped = 0
        self._skips: list[tuple[int, Skip]] = []

    def stage(self, source: SourceFile) -> SourceStream:
        """Read a whole source.

        Raises:
            CatalogueError: the file cannot be read, is not JSON, has no list of titles, or none of its records can be used.
        """
        stream = SourceStream(source)
        begin, first, kind = self._number, "", KIND_NUMBER[source.kind]
        self._begins[begin] = source.path.name
        self._database.execute("BEGIN")
        records = stream.records()
        while batch := list(islice(records, _BATCH)):
            titles: list[tuple[Any, ...]] = []
            alias_keys: list[tuple[str, int]] = []
            for number, raw in enumerate(batch, start=self._number + 1):
                try:
                    record = read_record(raw)
                except RecordError as error:
                    first = first or str(error)
                    self._skip(number, describe(raw), str(error), len(self._skips))
                else:
                    keys = _keys(record)
                    titles.append(_title_row(number, kind, record, keys, said_of(raw)))
                    if record.aliases:
                        alias_keys += _alias_rows(number, record.aliases, keys)
            self._number += len(batch)
            self.counts[source.kind] += len(titles)
            self._database.executemany(_INSERT_TITLE, titles)
            self._database.executemany(_INSERT_ALIAS_KEY, alias_keys)
        self._database.execute("COMMIT")
        if first and not self.counts[source.kind]:
            raise source.error(f"holds no record that can be used: the first {first}")
        return stream

    def rank(self) -> None:
        """Make titles and keys to be looked up, and give each title its place."""
        try:
            self._database.execute(TITLES_INDEX)
        except sqlite3.IntegrityError:
            self._drop_doubles()
            self._database.execute(TITLES_INDEX)
        self._database.executescript(KEYS_INDEXES)
        mean, films, series = self._database.execute(_PRIOR).fetchone()
        self._database.execute("BEGIN")
        self._database.execute(_PLACE, {"mean": mean, "films": films, "series": series})
        self._database.execute("COMMIT")

    def finish(self, generation: str, region: str) -> None:
        """Mark the file complete."""
        titles = sum(self.counts.values())
        self._database.executemany("INSERT INTO meta VALUES (?, ?)", [("generation", generation), ("titles", titles), ("region", region)])

    def named_skips(self) -> tuple[Skip, ...]:
        """Return the first records that were skipped, in their order."""
        return tuple(skip for _, skip in sorted(self._skips)[:NAMED_SKIPS])

    def _drop_doubles(self) -> None:
        """Remove what has the id of a title before it."""
        self._database.executescript(_DOUBLES)
        for named, (number, kind, id_, title) in enumerate(self._database.execute("SELECT * FROM temp.doubled ORDER BY number")):
            self._skip(number, describe({"id": id_, "title": title}), "has the id of one before it", named)
            self.counts[KINDS[kind]] -= 1

    def _skip(self, number: int, record: str, reason: str, named: int) -> None:
        """Count a record as skipped, and name it unless enough others of its sort have been."""
        self.skipped += 1
        if named < NAMED_SKIPS:
            begin = max(begin for begin in self._begins if begin < number)
            self._skips.append((number, Skip(self._begins[begin], number - begin, record, reason)))


def _title_row(number: int, kind: int, record: Record, keys: tuple[str | None, str | None], said: bytes | None) -> tuple[Any, ...]:
    """Return a title's row, in the order of the table's columns."""
    id_, title, original, aliases, overview, released, poster, backdrop, average, votes, popularity, genre_ids, countries, language = record
    genres, genre_list = _genre_columns(genre_ids)
    return (
        *(number, kind, id_, int(released[:4] or 0), genres, popularity, average, votes, released, ",".join(countries), *keys),
        *(title, original, LIST_SEPARATOR.join(aliases), genre_list, language, poster, backdrop, overview, said),
    )


def _keys(record: Record) -> tuple[str | None, str | None]:
    """Return the key of the title, and that of the original title if it is another."""
    key = read_title(record.title) or None
    original = record.original_title and read_title(record.original_title)
    return key, original if original and original != key else None


@lru_cache(maxsize=4_096)
def _genre_columns(genre_ids: tuple[int, ...]) -> tuple[int, str]:
    return genre_mask(genre_ids), ",".join(map(str, genre_ids))


def _alias_rows(number: int, aliases: Iterable[str], known: tuple[str | None, str | None]) -> list[tuple[str, int]]:
    """List the keys that a title has from its aliases alone."""
    keys = dict.fromkeys(read_title(alias) for alias in aliases)
    return [(key, number) for key in keys if key and key not in known]


def answer(data: bytes) -> tuple[int, bytes]:
    """Run an encoded job; return the exit status and the encoded answer."""
    if ijson.backend != "yajl2_c":
        return 1, dumps({"error": f"ijson runs on its {ijson.backend} backend, 17 times slower; install ijson from a wheel"})
    job = Job.from_json(data)
    if job.in_background:
        with suppress(OSError):  # a sandbox may forbid it
            os.nice(19)
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
