"""The catalogue over the life of a process: opened, looked up, searched, replaced by a newer generation while in use, closed."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from opuscine.catalogue.cache_folder import CacheFolder, Manifest
from opuscine.catalogue.compiler_process import run_compiler
from opuscine.catalogue.job import AT_ONCE, Done, Job
from opuscine.catalogue.search import SearchQuery, SearchResult
from opuscine.catalogue.source_choice import find_sources
from opuscine.catalogue.sources import SourceFile, generation_of, stamps
from opuscine.catalogue.spelling import Spelling
from opuscine.catalogue.store import CatalogueReader, LinkRow, is_damage
from opuscine.catalogue.titles import TitleEntry
from opuscine.catalogue.variants import VariantEntry
from opuscine.errors import CatalogueError, CatalogueUnavailableError
from opuscine.model import Film, OttLink, TitleRef
from opuscine.settings import CatalogueSettings

log = structlog.get_logger("opuscine.catalogue")

# How often the pointer of the cache folder is looked at; other workers' generations are served within this.
WATCH_INTERVAL_S = 0.5
# Longest compile, waiting for another process's included; a hundred thousand titles take half a minute.
COMPILE_LIMIT_S = 3_600.0
# Times that sources which change during a compile are compiled again at once; the next change is noticed by age or reload.
_COMPILES_IN_A_ROW = 3
_SEARCH_THREADS = 2
# How long the index is left alone after it could not be made, for want of memory or room, say.
_INDEX_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class CatalogueInfo:
    """What is served, and from what it was made."""

    generation: str
    movie_count: int
    tv_count: int
    skipped: int  # records that could not be used
    as_of: datetime  # newest change of a source, aware UTC
    compiled_at: datetime  # aware UTC
    size_bytes: int
    overviews_indexed: bool  # False for a while after a large catalogue is new: see `CatalogueReader` for what is not found until then
    sources: tuple[str, ...]  # file names only
    last_error: str  # why the newest reload failed; "" when it did not


class Catalogue:
    """All titles, by reference, by title and by wish. One for each process, used on the loop that opened it.

    Look-ups (`get`, `links_many`, `titles_by_key`, ...) are synchronous: about 10 µs each on a mapped file. All of them raise
    `CatalogueUnavailableError` after `close`, or while a damaged file is compiled again.
    """

    def __init__(
        self,
        settings: CatalogueSettings,
        *,
        working_directory: Path,
        clock: Callable[[], float],
        compile_limit_s: float,
        index_at_once: int,
    ) -> None:
        """Prefer `open`; this only notes what it is told."""
        self._settings = settings
        self._working_directory = working_directory
        self._clock = clock
        self._compile_limit_s = compile_limit_s
        self._index_at_once = index_at_once
        self._threads = ThreadPoolExecutor(_SEARCH_THREADS, thread_name_prefix="catalogue-search")
        self._searching: set[Future[SearchResult]] = set()  # under way or waiting for a thread
        self._folder: CacheFolder | None = None
        self._reader: CatalogueReader | None = None
        self._manifest: Manifest | None = None
        self._last_error = ""
        self._info: CatalogueInfo | None = None
        self._described: Manifest | None = None  # what `_info` was made of
        self._checked_at = clock()
        self._pointer_seen: tuple[int, int] | None = None
        self._damaged: tuple[str, int] | None = None
        self._swapping = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._aiming: asyncio.Task[str] | None = None
        self._indexing: asyncio.Task[None] | None = None
        self._index_again_at = clock()

    @classmethod
    async def open(
        cls,
        settings: CatalogueSettings,
        *,
        working_directory: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        compile_limit_s: float = COMPILE_LIMIT_S,
        index_at_once: int = AT_ONCE,
    ) -> Catalogue:
        """Open the catalogue of the settings' sources, compiling them first unless that was done before.

        Of more titles than `index_at_once` the index is made afterwards, in the background: see `CatalogueInfo.overviews_indexed`.

        Raises:
            CatalogueError: one line about a source that is missing or broken, a cache folder that can't be used, or a compiler
                that crashed. Nothing stays open.
        """
        catalogue = cls(
            settings,
            working_directory=working_directory or Path.cwd(),
            clock=clock,
            compile_limit_s=compile_limit_s,
            index_at_once=index_at_once,
        )
        try:
            await catalogue._start()
        except BaseException:
            await catalogue.close()
            raise
        return catalogue

    async def close(self) -> None:
        """Stop watching, stop a compile in progress, and close the file once searches in progress are over."""
        if self._aiming is not None:
            await asyncio.gather(self._aiming, return_exceptions=True)
        for task in (self._watching, self._reloading, self._indexing):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.retire()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def get(self, ref: TitleRef) -> Film | None:
        """Return a title, or None where there is none."""
        try:
            return self._open_reader().get(ref)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def get_many(self, refs: Iterable[TitleRef]) -> dict[TitleRef, Film]:
        """Return the titles that there are."""
        try:
            return self._open_reader().get_many(refs)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def links_many(self, refs: Iterable[TitleRef]) -> dict[TitleRef, tuple[OttLink, ...]]:
        """Return where the titles stream that there are, in every region; a known title without links has `()`."""
        try:
            return self._open_reader().links_many(refs)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def links_after(self, place: int, limit: int) -> list[LinkRow]:
        """Return the next titles behind a place that stream somewhere: see `CatalogueReader.links_after`. A place is of one generation."""
        try:
            return self._open_reader().links_after(place, limit)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def count_links(self) -> int:
        """Count the titles that stream somewhere; not for the loop of a service, as it takes a while."""
        try:
            return self._open_reader().count_links()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def titles_by_key(self, key: str) -> Sequence[TitleEntry]:
        """Return every work that has a title, original title or alias of this key (`titles.title_key`)."""
        try:
            return self._open_reader().titles_by_key(key)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def titles_by_variant(self, key: str) -> Sequence[VariantEntry]:
        """Return every work that may be known under a key (`variants.variants_said`), those of exactly this title among them."""
        try:
            return self._open_reader().titles_by_variant(key)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def titles_spelt_like(self, spelling: str, year: int) -> Sequence[Spelling]:
        """Return works of a year with a title of about this length that begins or ends alike (`variants.spelling_of`)."""
        try:
            return self._open_reader().titles_spelt_like(spelling, year)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    async def search(self, query: SearchQuery) -> SearchResult:
        """Find titles, in a thread: see `CatalogueReader.search`. A cancelled search that still waits for a thread is not run."""
        reader = self._open_reader()
        # Held from here on, so that a new generation does not close the file before a thread is free.
        reader.hold()
        search = self._threads.submit(reader.search, query, today=datetime.now(UTC).date())
        self._searching.add(search)
        search.add_done_callback(lambda _: reader.release())
        search.add_done_callback(self._searching.discard)
        try:
            return await asyncio.wrap_future(search)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    @property
    def searches(self) -> int:
        """Return how many searches are under way or wait for others to end."""
        return len(self._searching)

    async def reload(self) -> str:
        """Read the sources, and compile them in the background if their content changed; return the generation aimed at.

        Returns as soon as the sources' digest is known; the new generation is served once it is compiled. Reloads that overlap
        share one. A source that is missing or broken raises nothing: what is served stays, and `info.last_error` says what is
        wrong; the name returned is then one that is never served, or, if not even the digest is known, the one that is.

        Raises:
            CatalogueUnavailableError: the catalogue is closed.
        """
        self._open_reader()
        if self._aiming is None or self._aiming.done():
            self._aiming = asyncio.create_task(self._aim(), name="catalogue-aim")
        return await asyncio.shield(self._aiming)

    async def complete(self) -> None:
        """Make what is missing of the index, or wait until another process has, and serve it.

        Raises:
            CatalogueError: it cannot be made; what is served stays.
            CatalogueUnavailableError: the catalogue is closed.
        """
        while not self._open_manifest().indexed:
            await self._index()

    @property
    def info(self) -> CatalogueInfo:
        """Describe what is served; the same object until that changes, as every request asks.

        Raises:
            CatalogueUnavailableError: the catalogue is closed.
        """
        manifest = self._open_manifest()
        info = self._info
        if info is None or self._described is not manifest or info.last_error != self._last_error:
            info = self._info = self._describe(manifest)
            self._described = manifest
        return info

    @property
    def generation(self) -> str:
        """Return the name of what is served.

        Raises:
            CatalogueUnavailableError: the catalogue is closed.
        """
        return self._open_manifest().generation

    def _describe(self, manifest: Manifest) -> CatalogueInfo:
        return CatalogueInfo(
            generation=manifest.generation,
            movie_count=manifest.movie_count,
            tv_count=manifest.tv_count,
            skipped=manifest.skipped,
            as_of=manifest.as_of,
            compiled_at=manifest.compiled_at,
            size_bytes=manifest.file_size + (manifest.index_size if manifest.has_own_index else 0),
            overviews_indexed=manifest.indexed,
            sources=manifest.sources,
            last_error=self._last_error,
        )

    def _open_reader(self) -> CatalogueReader:
        if self._reader is None:
            raise CatalogueUnavailableError("no catalogue is open")
        return self._reader

    def _open_manifest(self) -> Manifest:
        if self._reader is None or self._manifest is None:
            raise CatalogueUnavailableError("no catalogue is open")
        return self._manifest

    async def _start(self) -> None:
        sources = find_sources(self._settings, working_directory=self._working_directory)
        folder = CacheFolder(self._settings.cache_dir, sources, self._settings.region)
        folder.prepare()
        manifest = folder.current()
        if manifest is None or manifest.stamps != stamps(sources) or not await self._opens(folder, manifest):
            manifest = (await self._compile(sources, in_background=False)).manifest
            await self._serve(folder, manifest)
        self._watching = asyncio.create_task(self._watch(), name="catalogue-watch")

    async def _opens(self, folder: CacheFolder, manifest: Manifest) -> bool:
        try:
            await self._serve(folder, manifest)
        except CatalogueError as error:
            log.warning("catalogue_file_damaged", error=str(error))
            self._damaged = manifest.identity
            return False
        return True

    async def _serve(self, folder: CacheFolder, manifest: Manifest, *, pointer: tuple[int, int] | None = None) -> None:
        """Make a compiled generation the one that is served; the one before closes once it is at rest.

        Raises:
            CatalogueError: its file can't be opened; what was served before still is.
        """
        before = None
        if self._reader is None or self._manifest is None or self._manifest.identity != manifest.identity:
            index = folder.path / manifest.index if manifest.has_own_index else None
            reader = await asyncio.to_thread(CatalogueReader, folder.file_of(manifest), manifest.generation, index)
            before, self._reader = self._reader, reader
            self._damaged = None
            self._last_error = ""
            self._index_again_at = self._clock()
            log.info(
                "catalogue_served",
                generation=manifest.generation,
                movies=manifest.movie_count,
                series=manifest.tv_count,
                overviews_indexed=manifest.indexed,
            )
        # Not known: the next look at the pointer reads it.
        self._folder, self._manifest, self._pointer_seen = folder, manifest, pointer
        if before is not None:  # giving back what is mapped of a large file may take long
            await asyncio.to_thread(before.retire)

    async def _compile(self, sources: tuple[SourceFile, ...], *, in_background: bool) -> Done:
        job = Job(sources, self._settings.cache_dir, self._settings.region, self._damaged, in_background, self._index_at_once)
        done = await run_compiler(job, limit_s=self._compile_limit_s)
        if done.compiled:
            found = done.manifest
            for skip in done.skips:
                log.warning("catalogue_record_skipped", source=skip.source, position=skip.position, record=skip.record, reason=skip.reason)
            if found.skipped > len(done.skips):
                log.warning("catalogue_more_records_skipped", count=found.skipped - len(done.skips))
            log.info(
                "catalogue_compiled",
                generation=found.generation,
                movies=found.movie_count,
                series=found.tv_count,
                skipped=found.skipped,
                seconds=done.seconds,
                peak_mib=done.peak_mib,
                size_bytes=found.file_size,
            )
        return done

    async def _watch(self) -> None:
        """Serve what other workers compile, and look at the sources again when they are due."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            try:
                await self._look_at_pointer()
                self._look_at_sources()
                self._look_at_index()
            except CatalogueError as error:
                self._note(error)
            except Exception:
                log.exception("catalogue_watch_failed")

    async def _look_at_pointer(self) -> None:
        async with self._swapping:
            folder = self._folder
            # Looked at before the manifest is read: what is published in between is noticed next time.
            pointer = folder.pointer_state() if folder else None
            if folder is None or pointer in {None, self._pointer_seen}:
                return
            manifest = folder.current()
            self._pointer_seen = pointer
            if manifest is not None:
                await self._serve(folder, manifest, pointer=pointer)

    def _look_at_sources(self) -> None:
        now = self._clock()
        if now - self._checked_at < self._settings.ttl_s:
            return
        self._checked_at = now
        if stamps(find_sources(self._settings, working_directory=self._working_directory)) != self._open_manifest().stamps:
            self._begin_reload()

    def _look_at_index(self) -> None:
        """Have the index made if it is missing and nobody is at it."""
        under_way = self._indexing is not None and not self._indexing.done()
        if self._folder is None or self._open_manifest().indexed or under_way or self._clock() < self._index_again_at:
            return
        try:
            if not self._folder.is_being_indexed():
                self._indexing = asyncio.create_task(self._index_in_background(), name="catalogue-index")
        except OSError as error:
            self._note_index(error)

    async def _index_in_background(self) -> None:
        try:
            await self._index()
        except CatalogueError as error:
            self._note_index(error)

    def _note_index(self, error: Exception) -> None:
        self._index_again_at = self._clock() + _INDEX_PAUSE_S
        self._last_error = str(error)
        log.error("catalogue_index_failed", error=str(error), again_in_s=_INDEX_PAUSE_S)

    async def _index(self) -> None:
        sources = find_sources(self._settings, working_directory=self._working_directory)
        job = Job(sources, self._settings.cache_dir, self._settings.region, in_background=True, index=True)
        done = await run_compiler(job, limit_s=self._compile_limit_s)
        if done.compiled:
            log.info("catalogue_indexed", generation=done.manifest.generation, seconds=done.seconds, peak_mib=done.peak_mib)
        await self._look_at_pointer()

    async def _aim(self) -> str:
        """Begin a reload and return the generation that the sources are now."""
        try:
            sources = find_sources(self._settings, working_directory=self._working_directory)
            generation, _ = await asyncio.to_thread(generation_of, sources, self._settings.region)
        except CatalogueError as error:
            self._note(error)
            return self._open_manifest().generation
        self._begin_reload()
        return generation

    def _begin_reload(self) -> None:
        """Start a reload unless one is in progress, which looks at the sources once more before it ends."""
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reload_sources(), name="catalogue-reload")

    async def _reload_sources(self) -> None:
        try:
            for _ in range(_COMPILES_IN_A_ROW):
                sources = find_sources(self._settings, working_directory=self._working_directory)
                done = await self._compile(sources, in_background=True)
                async with self._swapping:
                    await self._serve(CacheFolder(self._settings.cache_dir, sources, self._settings.region), done.manifest)
                self._checked_at = self._clock()
                if stamps(sources) == done.manifest.stamps and self._damaged is None:
                    break
            self._last_error = ""
        except CatalogueError as error:
            self._note(error)

    def _note(self, error: CatalogueError) -> None:
        self._last_error = str(error)
        log.error("catalogue_reload_failed", error=str(error), serving=self._manifest.generation if self._manifest else "")

    def _unreadable(self, error: sqlite3.Error) -> CatalogueUnavailableError:
        """Have a damaged file compiled again; what can't be read until then is unavailable, what can is served."""
        if self._reader is not None and is_damage(error) and self._damaged is None:
            self._damaged = self._open_manifest().identity
            log.error("catalogue_file_damaged", error=str(error))
            self._begin_reload()
        return CatalogueUnavailableError(f"the compiled catalogue cannot be read ({error})")
