"""Compile the JSON sources into one SQLite file, streaming, in a process of its own.

`python -m opuscine.catalogue.compile` reads a job as JSON from standard input and writes one JSON object a line to standard
output: first `{"target": generation}`, at last `{"done": …}` or `{"error": text}`. A process of its own, so that no event loop
stalls and its memory goes back; under a file lock, so that any number of workers that start at once compile once.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import ijson

from opuscine.catalogue.cache_folder import CacheFolder, Manifest
from opuscine.catalogue.genres import genre_mask
from opuscine.catalogue.job import Done, Job, Skip
from opuscine.catalogue.records import Record, RecordError, describe, read_record
from opuscine.catalogue.schema import APPLICATION_ID, FILM_COLUMNS, INDEXES, KIND_NUMBER, LIST_SEPARATOR, SCHEMA
from opuscine.catalogue.source_stream import SourceStream
from opuscine.catalogue.sources import SourceFile, Stamp, content_digest, digest_of, stamps
from opuscine.catalogue.titles import title_key
from opuscine.catalogue.tokens import index_name_tokens, index_tokens
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
CREATE TABLE stage.availability (region, provider, place);
"""
_INSERT_FILM = "INSERT OR IGNORE INTO stage.film VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_TITLE = "INSERT INTO titles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_LINKS = "INSERT INTO links VALUES (?, ?)"
_INSERT_FACETS = "INSERT INTO facets VALUES (?, ?, ?, ?, ?, ?, ?)"
_INSERT_WORDS = "INSERT INTO words (rowid, names, overview) VALUES (?, ?, ?)"
_INSERT_KEY = "INSERT INTO stage.title_key VALUES (?, ?, ?, ?, ?, ?, ?)"
_INSERT_OFFER = "INSERT INTO stage.availability VALUES (?, ?, ?)"

# Where a kind has no vote counts at all, every average is weighed alike, so that their order is that of the plain averages.
_RANKED = """
WITH prior AS (SELECT avg(vote_average) AS mean FROM stage.film WHERE vote_average > 0),
     counted AS (SELECT kind, iif(max(vote_count) > 0, 0, :prior) AS assumed FROM stage.film GROUP BY kind)
SELECT film.*, iif(film.vote_average > 0,
    ((vote_count + assumed) * vote_average + :prior * mean) / (vote_count + assumed + :prior), 0.0) AS score
FROM stage.film AS film JOIN counted ON counted.kind = film.kind CROSS JOIN prior
ORDER BY popularity DESC, score DESC, vote_count DESC, release_date DESC, film.kind, id
"""

_SORTED = """
INSERT INTO title_keys SELECT * FROM stage.title_key ORDER BY key, role, place;
INSERT INTO availability SELECT region, provider, place FROM stage.availability ORDER BY region, provider, place;
"""


def run(job: Job, *, on_target: Callable[[str], None]) -> Done:
    """Make sure that the sources' generation is compiled and current; `on_target` hears its name before the work begins.

    Waits while another process compiles, then uses what that one made.

    Raises:
        CatalogueError: a source or the cache folder cannot be used. The generation that was current stays so.
    """
    folder = CacheFolder(job.cache_dir, job.sources, job.region)
    folder.prepare()
    generation, read = _generation(job)
    on_target(generation)
    try:
        with folder.locked():
            if stamps(job.sources) != read:  # changed while another process compiled
                generation, read = _generation(job)
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


def _generation(job: Job) -> tuple[str, tuple[Stamp, ...]]:
    digests, read = zip(*map(content_digest, job.sources), strict=True)
    return digest_of(digests, job.region), read


def _compile(job: Job, folder: CacheFolder) -> Done:
    started = time.monotonic()
    folder.drop_partial()
    partial = folder.partial_file("db")
    try:
        with closing(_connect(partial, folder.partial_file("stage"))) as database:
            compiler = _Compiler(database, ProviderTable.load(), job.region)
            streams = [compiler.stage(source) for source in job.sources]
            compiler.rank()
            # Not the generation that was asked for, if a source was changed since: a file is named by what it holds.
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
        insert(_INSERT_KEY, (key for place, row in batch for key in _key_rows(place, row)))
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


def _key_rows(place: int, row: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield each key of a title once, in its best role."""
    roles: dict[str, int] = {}
    for role, name in enumerate(_names(row)):
        if key := title_key(name):
            roles.setdefault(key, min(role, 2))
    for key, role in roles.items():
        yield (key, role, place, row[0], row[1], _year(row[6]), row[11])


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


def main() -> int:
    """Run the job on standard input."""
    if ijson.backend != "yajl2_c":
        return _answer({"error": f"ijson runs on its {ijson.backend} backend, 17 times slower; install ijson from a wheel"}, status=1)
    job = Job.from_json(sys.stdin.buffer.read())
    # Large sorts of SQLite belong where there is room for the result, not in /tmp.
    os.environ["SQLITE_TMPDIR"] = str(job.cache_dir)
    if job.in_background:
        os.nice(10)
    try:
        done = run(job, on_target=lambda generation: _say({"target": generation}))
    except CatalogueError as error:
        return _answer({"error": str(error)}, status=1)
    return _answer({"done": done.to_json()}, status=0)


def _answer(values: dict[str, Any], *, status: int) -> int:
    _say(values)
    return status


def _say(values: dict[str, Any]) -> None:
    sys.stdout.buffer.write(dumps(values) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
