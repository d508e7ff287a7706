"""The catalogue over the life of a process: opened, reloaded while in use, broken sources, damaged files."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from opuscine.catalogue.cache_folder import CacheFolder
from opuscine.catalogue.schema import PAGE_BYTES
from opuscine.catalogue.search import SearchQuery
from opuscine.catalogue.service import Catalogue
from opuscine.catalogue.titles import title_key
from opuscine.errors import CatalogueError, CatalogueUnavailableError
from opuscine.model import Kind, TitleRef
from opuscine.settings import CatalogueSettings
from support.catalogues import FILMS, sources_of, write_list, write_sources
from support.manual_clock import ManualClock

LIGHTHOUSE = TitleRef(Kind.MOVIE, 615)
NEW = {"tmdb_id": 1000, "title": "새로 온 영화"}


class CountedClock(ManualClock):
    """A clock that the watch reads once each round."""

    reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return super().__call__()

    async def read_twice(self) -> None:
        """Wait until a whole round of the watch has gone by."""
        read = self.reads
        await until(lambda: self.reads >= read + 2)


@pytest.fixture
def settings(tmp_path: Path) -> CatalogueSettings:
    return write_sources(tmp_path)


@asynccontextmanager
async def opened(settings: CatalogueSettings, **options: Any) -> AsyncIterator[Catalogue]:
    catalogue = await Catalogue.open(settings, **options)
    try:
        yield catalogue
    finally:
        await catalogue.close()


async def until(condition: Callable[[], bool], *, within_s: float = 30.0) -> float:
    """Wait for a condition and return how long it took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while not condition():
        assert loop.time() - begun < within_s, "waited in vain"
        await asyncio.sleep(0.01)
    return loop.time() - begun


def add_film(settings: CatalogueSettings, *films: Any) -> None:
    assert settings.movies_file is not None
    write_list(settings.movies_file, "movies", [*FILMS, *(films or (NEW,))])


def children() -> set[int]:
    """Return this process's children."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def open_generations(settings: CatalogueSettings) -> set[str]:
    """Return the names of the compiled files that this process holds open."""
    names = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            target = descriptor.readlink()
            if target.parent == settings.cache_dir and ".db" in target.name:
                names.add(target.name.removesuffix(" (deleted)"))
    return names


def lock_of(settings: CatalogueSettings) -> int:
    """Take the compile lock, as another process that compiles would."""
    CacheFolder(settings.cache_dir, sources_of(settings), settings.region).prepare()
    (path,) = settings.cache_dir.glob("*.lock")
    handle = os.open(path, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


async def test_a_cold_start_compiles_and_serves(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        film = catalogue.get(LIGHTHOUSE)
        assert film is not None
        assert film.title == "등대지기의 밤"
        assert set(catalogue.get_many([LIGHTHOUSE, TitleRef(Kind.TV, 404)])) == {LIGHTHOUSE}
        assert [link.provider_id for link in catalogue.links_many([LIGHTHOUSE])[LIGHTHOUSE]] == [8]
        assert [entry.ref for entry in catalogue.titles_by_key(title_key("등대"))] == [LIGHTHOUSE]
        assert [entry.ref for entry in catalogue.titles_by_variant("등대")] == [LIGHTHOUSE]
        assert [entry.ref for entry in catalogue.titles_spelt_like("등대지귀의밤", 2004)] == [LIGHTHOUSE]
        assert [film.ref.id for film in (await catalogue.search(SearchQuery(text="좀비"))).films] == [5, 3, 2]
        assert stat.S_IMODE(settings.cache_dir.stat().st_mode) == 0o700


async def test_the_info_says_what_is_served(settings: CatalogueSettings) -> None:
    add_film(settings, NEW, None)
    begun = datetime.now(UTC)
    async with opened(settings) as catalogue:
        info = catalogue.info
    assert (info.movie_count, info.tv_count, info.skipped, info.sources, info.last_error) == (8, 2, 1, ("films.json", "series.json"), "")
    assert info.size_bytes == (settings.cache_dir / f"{next(settings.cache_dir.glob('*.db')).name}").stat().st_size
    assert info.generation in next(settings.cache_dir.glob("*.db")).name
    newest = max(source.path.stat().st_mtime for source in sources_of(settings))
    assert abs(info.as_of.timestamp() - newest) < 0.001
    assert begun <= info.compiled_at <= datetime.now(UTC)


async def test_a_restart_compiles_nothing(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        first = catalogue.info
    lock = lock_of(settings)  # nobody could compile now
    try:
        async with asyncio.timeout(20), opened(settings) as catalogue:
            assert catalogue.info == first
    finally:
        os.close(lock)


async def test_a_closed_catalogue_is_unavailable(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        pass
    calls: list[Callable[[], object]] = [
        lambda: catalogue.get(LIGHTHOUSE),
        lambda: catalogue.get_many([LIGHTHOUSE]),
        lambda: catalogue.links_many([LIGHTHOUSE]),
        lambda: catalogue.titles_by_key("x"),
        lambda: catalogue.titles_by_variant("x"),
        lambda: catalogue.titles_spelt_like("x", 2004),
        lambda: catalogue.info,
    ]
    for call in calls:
        with pytest.raises(CatalogueUnavailableError):
            call()
    waits: list[Callable[[], Awaitable[object]]] = [lambda: catalogue.search(SearchQuery()), catalogue.reload]
    for wait in waits:
        with pytest.raises(CatalogueUnavailableError):
            await wait()
    await catalogue.close()  # twice does no harm


@pytest.mark.parametrize(
    ("variable", "content"),
    [
        ("MOVIES_DATA_FILE", None),
        ("MOVIES_DATA_FILE", '{"movies": [{"tmdb_id": 1,'),
        ("TV_DATA_FILE", "no json"),
        ("TV_DATA_FILE", '{"tv_series": {}}'),
    ],
)
async def test_a_broken_source_stops_the_start_with_one_line(settings: CatalogueSettings, variable: str, content: str | None) -> None:
    path = settings.movies_file if variable == "MOVIES_DATA_FILE" else settings.tv_file
    assert path is not None
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(CatalogueError) as caught:
        await Catalogue.open(settings)
    assert str(caught.value).startswith(f"{variable}: {path} ")
    assert "\n" not in str(caught.value)
    assert not children()


async def test_a_cache_folder_that_cannot_be_used_stops_the_start(settings: CatalogueSettings, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="CACHE_DIR: "):
        await Catalogue.open(replace(settings, cache_dir=tmp_path / "films.json" / "cache"))


async def test_a_reload_serves_the_new_generation(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        before = catalogue.info.generation
        add_film(settings)
        target = await catalogue.reload()
        assert target != before
        await until(lambda: catalogue.info.generation == target)
        assert catalogue.get(TitleRef(Kind.MOVIE, 1000)) is not None
        assert catalogue.info.movie_count == 8
        assert len(list(settings.cache_dir.glob("*.db"))) == 2


async def test_a_reload_names_its_target_before_it_is_compiled(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        before = catalogue.info.generation
        add_film(settings)
        lock = lock_of(settings)
        try:
            async with asyncio.timeout(20):
                target = await catalogue.reload()
            assert catalogue.info.generation == before != target
        finally:
            os.close(lock)
        await until(lambda: catalogue.info.generation == target)


async def test_a_reload_of_unchanged_sources_changes_nothing(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        before = catalogue.info
        assert await catalogue.reload() == before.generation
        await until(lambda: bool(children()))
        await until(lambda: not children())
        assert catalogue.info == before


async def test_reloads_that_overlap_share_one(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        add_film(settings)
        lock = lock_of(settings)
        try:
            targets = await asyncio.gather(*(catalogue.reload() for _ in range(20)))
            assert len(set(targets)) == 1
            await until(lambda: bool(children()))
            assert await catalogue.reload() == targets[0]
            assert len(children()) == 1
        finally:
            os.close(lock)
        await until(lambda: catalogue.info.generation == targets[0])


async def test_a_source_that_changes_while_another_process_compiles_is_compiled_as_it_is_then(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        add_film(settings)
        lock = lock_of(settings)
        try:
            first = await catalogue.reload()
            await until(lambda: bool(children()))
            add_film(settings, NEW, NEW | {"tmdb_id": 1001})
            second = await catalogue.reload()
            assert second != first
        finally:
            os.close(lock)
        await until(lambda: catalogue.info.generation == second)
        assert catalogue.info.movie_count == 9


async def test_no_look_up_and_no_search_fails_while_generations_change(settings: CatalogueSettings) -> None:
    stop = asyncio.Event()
    served: set[int] = set()

    async def look_up(catalogue: Catalogue) -> int:
        count = 0
        while not stop.is_set():
            assert catalogue.get(LIGHTHOUSE) is not None
            assert LIGHTHOUSE in catalogue.links_many([LIGHTHOUSE])
            served.add(catalogue.info.movie_count)
            count += 1
            await asyncio.sleep(0.001)
        return count

    async def search(catalogue: Catalogue) -> int:
        count = 0
        while not stop.is_set():
            assert (await catalogue.search(SearchQuery(text="좀비 영화"))).total >= 3
            count += 1
        return count

    async with opened(settings) as catalogue:
        busy = [asyncio.create_task(work(catalogue)) for work in (look_up, search, search, search)]
        for extra in range(1, 4):
            add_film(settings, *(NEW | {"tmdb_id": 1000 + number} for number in range(extra)))
            target = await catalogue.reload()
            await until(lambda extra=extra: 7 + extra in served)  # type: ignore[misc]
            assert catalogue.info.generation == target
        stop.set()
        assert all(count > 10 for count in await asyncio.gather(*busy))
        await until(lambda: open_generations(settings) == {next(settings.cache_dir.glob(f"*{target}.db")).name})
        await until(lambda: len(list(settings.cache_dir.glob("*.db"))) == 2)
    assert open_generations(settings) == set()
    assert served == {7, 8, 9, 10}


@pytest.mark.parametrize("content", [None, '{"movies": [{"tmdb_id": 1,'])
async def test_a_broken_source_at_reload_keeps_what_is_served(settings: CatalogueSettings, content: str | None) -> None:
    assert settings.movies_file is not None
    async with opened(settings) as catalogue:
        before = catalogue.info.generation
        settings.movies_file.unlink()
        if content is not None:
            settings.movies_file.write_text(content, encoding="utf-8")
        await catalogue.reload()
        await until(lambda: catalogue.info.last_error != "")
        assert f"MOVIES_DATA_FILE: {settings.movies_file} " in catalogue.info.last_error
        assert catalogue.info.generation == before
        assert catalogue.get(LIGHTHOUSE) is not None
        add_film(settings)
        target = await catalogue.reload()
        await until(lambda: catalogue.info.generation == target)
        assert catalogue.info.last_error == ""


async def test_files_that_appear_below_the_working_directory_are_served_after_a_reload(settings: CatalogueSettings, tmp_path: Path) -> None:
    unnamed = replace(settings, movies_file=None, tv_file=None)
    async with opened(unnamed, working_directory=tmp_path) as catalogue:
        assert catalogue.info.sources == ("default_movies.json", "default_series.json")
        write_list(tmp_path / "data" / "movie" / "tmdb_movies_hybrid_final.json", "movies", FILMS)
        target = await catalogue.reload()
        await until(lambda: catalogue.info.generation == target)
        assert catalogue.info.sources == ("tmdb_movies_hybrid_final.json", "default_series.json")


async def test_sources_are_looked_at_again_when_they_are_due(settings: CatalogueSettings) -> None:
    clock = CountedClock()
    async with opened(replace(settings, ttl_s=60.0), clock=clock) as catalogue:
        add_film(settings)
        clock.advance(59.0)
        await clock.read_twice()
        assert catalogue.info.movie_count == 7
        clock.advance(1.0)
        await until(lambda: catalogue.info.movie_count == 8)


async def test_unchanged_sources_that_are_due_start_no_process(settings: CatalogueSettings) -> None:
    clock = CountedClock()
    async with opened(replace(settings, ttl_s=60.0), clock=clock) as catalogue:
        info, lock = catalogue.info, lock_of(settings)
        clock.advance(60.0)
        await clock.read_twice()
        assert not children()
        os.close(lock)
        assert catalogue.info == info


async def test_a_source_that_is_gone_when_due_is_noted(settings: CatalogueSettings) -> None:
    assert settings.movies_file is not None
    clock = ManualClock()
    async with opened(replace(settings, ttl_s=60.0), clock=clock) as catalogue:
        settings.movies_file.unlink()
        clock.advance(60.0)
        await until(lambda: "does not exist" in catalogue.info.last_error)
        assert catalogue.get(LIGHTHOUSE) is not None


async def test_another_workers_generation_is_served_within_a_second(settings: CatalogueSettings) -> None:
    async with opened(settings) as one, opened(settings) as other:
        add_film(settings)
        target = await one.reload()
        await until(lambda: one.info.generation == target)
        assert await until(lambda: other.info.generation == target) < 1.0
        assert other.info == one.info


async def test_another_workers_success_clears_the_error(settings: CatalogueSettings) -> None:
    assert settings.movies_file is not None
    async with opened(settings) as one, opened(settings) as other:
        settings.movies_file.write_text("broken", encoding="utf-8")
        await other.reload()
        await until(lambda: other.info.last_error != "")
        add_film(settings)
        target = await one.reload()
        await until(lambda: other.info.generation == target)
        assert other.info.last_error == ""


async def test_a_killed_compiler_is_a_clear_error_at_start(settings: CatalogueSettings) -> None:
    lock = lock_of(settings)
    try:
        opening = asyncio.create_task(Catalogue.open(settings))
        await until(lambda: bool(children()))
        for child in children():
            os.kill(child, signal.SIGKILL)
        with pytest.raises(CatalogueError, match="the catalogue's compiler was killed by signal 9"):
            await opening
    finally:
        os.close(lock)


async def test_a_killed_compiler_at_reload_keeps_what_is_served_and_the_next_one_works(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        before = catalogue.info.generation
        add_film(settings)
        lock = lock_of(settings)
        target = await catalogue.reload()
        await until(lambda: bool(children()))
        for child in children():
            os.kill(child, signal.SIGKILL)
        await until(lambda: "killed by signal 9" in catalogue.info.last_error)
        os.close(lock)
        assert catalogue.info.generation == before
        assert await catalogue.reload() == target
        await until(lambda: catalogue.info.generation == target)
        assert catalogue.info.last_error == ""


async def test_what_a_killed_process_left_behind_is_no_obstacle(settings: CatalogueSettings) -> None:
    os.close(lock_of(settings))
    (lock,) = settings.cache_dir.glob("*.lock")
    left = settings.cache_dir / f"{lock.stem}-1.db.partial"
    left.write_bytes(b"half a catalogue")
    async with opened(settings) as catalogue:
        assert catalogue.info.movie_count == 7
    assert not left.exists()


async def test_a_compile_without_end_is_stopped(settings: CatalogueSettings) -> None:
    lock = lock_of(settings)
    try:
        with pytest.raises(CatalogueError, match=r"took longer than 0\.5 s"):
            await Catalogue.open(settings, compile_limit_s=0.5)
        assert not children()
    finally:
        os.close(lock)


async def test_closing_stops_a_compile_in_progress(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        add_film(settings)
        lock = lock_of(settings)
        await catalogue.reload()
        await until(lambda: bool(children()))
    assert not children()
    os.close(lock)


async def test_a_start_that_is_cancelled_leaves_nothing(settings: CatalogueSettings) -> None:
    lock = lock_of(settings)
    opening = asyncio.create_task(Catalogue.open(settings))
    await until(lambda: bool(children()))
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not children()
    os.close(lock)


@pytest.mark.parametrize("keep_stamp", [False, True])
async def test_a_compiled_file_that_is_damaged_at_start_is_compiled_again(settings: CatalogueSettings, keep_stamp: bool) -> None:
    async with opened(settings):
        pass
    (path,) = settings.cache_dir.glob("*.db")
    found = path.stat()
    path.write_bytes(b"\x00" * found.st_size)
    if keep_stamp:
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    async with opened(settings) as catalogue:
        assert catalogue.get(LIGHTHOUSE) is not None


async def test_a_compiled_file_that_proves_damaged_in_use_is_compiled_again(settings: CatalogueSettings) -> None:
    async with opened(settings):
        pass
    (path,) = settings.cache_dir.glob("*.db")
    found = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:PAGE_BYTES] + b"\xff" * (len(content) - PAGE_BYTES))  # the schema stays readable
    damaged = {"meta": _page_of(content, "meta")}
    with path.open("r+b") as file:
        for page in damaged.values():
            file.seek((page - 1) * PAGE_BYTES)
            file.write(content[(page - 1) * PAGE_BYTES : page * PAGE_BYTES])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    async with opened(settings) as catalogue:
        with pytest.raises(CatalogueUnavailableError, match="cannot be read"):
            catalogue.get(LIGHTHOUSE)
        with pytest.raises(CatalogueUnavailableError, match="cannot be read"):
            await catalogue.search(SearchQuery(text="좀비"))

        def mended() -> bool:
            try:
                return catalogue.get(LIGHTHOUSE) is not None
            except CatalogueUnavailableError:
                return False

        await until(mended)
        for look_up in (catalogue.get_many, catalogue.links_many):
            assert LIGHTHOUSE in look_up([LIGHTHOUSE])
        assert (await catalogue.search(SearchQuery(text="좀비"))).total == 3


def _page_of(content: bytes, table: str) -> int:
    database = sqlite3.connect(":memory:")
    database.deserialize(content)
    (page,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    database.close()
    return int(page)


async def test_a_search_that_its_caller_gave_up_does_no_harm(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        searches = [asyncio.create_task(catalogue.search(SearchQuery(text="좀비"))) for _ in range(50)]
        await asyncio.sleep(0)
        for search in searches:
            search.cancel()
        await asyncio.gather(*searches, return_exceptions=True)
        assert (await catalogue.search(SearchQuery(text="좀비"))).total == 3


async def test_the_packaged_catalogue_is_served_where_nothing_else_is(settings: CatalogueSettings, tmp_path: Path) -> None:
    async with opened(replace(settings, movies_file=None, tv_file=None), working_directory=tmp_path) as catalogue:
        assert catalogue.info.movie_count >= 120
        assert catalogue.info.tv_count >= 30
        assert catalogue.info.skipped == 0
        found = await catalogue.search(SearchQuery(genre_ids=(53,), countries=("KR",), year_from=2019, year_to=2019))
        assert found.films
        assert all(film.year == 2019 and "KR" in film.countries for film in found.films)
