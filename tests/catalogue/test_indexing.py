"""The two steps of a large catalogue: what is looked up at once, what is searched by afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from opuscine.catalogue.cache_folder import CacheFolder, Manifest
from opuscine.catalogue.compile import run
from opuscine.catalogue.indexing import index_current
from opuscine.catalogue.schema import FIRST_OFFERED
from opuscine.catalogue.search import SearchQuery
from opuscine.catalogue.service import Catalogue
from opuscine.catalogue.store import CatalogueReader
from opuscine.catalogue.titles import title_key
from opuscine.errors import CatalogueError
from opuscine.model import Kind, TitleRef
from opuscine.settings import CatalogueSettings
from support.catalogues import FILMS, SERIES, compile_here, compile_in_steps, job_of, sources_of, write_list, write_sources
from support.catalogues import opened as opened_reader
from support.manual_clock import ManualClock

TODAY = date(2026, 11, 25)
LIGHTHOUSE = TitleRef(Kind.MOVIE, 615)
PART_TWO = {"tmdb_id": 700, "title": "등대지기의 밤 2: 폭풍", "release_date": "2008-01-01"}
CONTENT = {
    "titles": "number",
    "links": "number",
    "facets": "place",
    "alias_keys": "key, number",
    "title_variants": "key, place",
    "spellings": "shelf, spelling, kind, id",
    "availability": "region, provider, place",
    "temp.terms": "term, doc, col, offset",
}


@pytest.fixture
def settings(tmp_path: Path) -> CatalogueSettings:
    return write_sources(tmp_path, films=[*FILMS, PART_TWO])


def first_step(settings: CatalogueSettings) -> Manifest:
    return compile_in_steps(settings, 1)


def second_step(settings: CatalogueSettings) -> Manifest:
    return run(replace(job_of(settings), index=True)).manifest


def folder_of(settings: CatalogueSettings) -> CacheFolder:
    return CacheFolder(settings.cache_dir, sources_of(settings), settings.region)


def content(settings: CatalogueSettings, manifest: Manifest) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(settings.cache_dir / manifest.index)) as database:
        database.execute("ATTACH ? AS compiled", (str(settings.cache_dir / manifest.file),))
        database.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab('main', 'words', 'instance')")
        return {table: database.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall() for table, order in CONTENT.items()}  # noqa: S608


def found_ids(reader: CatalogueReader, text: str) -> list[int]:
    return [film.ref.id for film in reader.search(SearchQuery(text=text), today=TODAY).films]


@asynccontextmanager
async def opened(settings: CatalogueSettings, **options: Any) -> AsyncIterator[Catalogue]:
    catalogue = await Catalogue.open(settings, index_at_once=0, **options)
    try:
        yield catalogue
    finally:
        await catalogue.close()


async def until_indexed(catalogue: Catalogue, within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not catalogue.info.overviews_indexed:
            await asyncio.sleep(0.02)


def hold_index_lock(settings: CatalogueSettings) -> ExitStack:
    """Take the lock for indexes, as another process that makes one would, until the stack is closed."""
    folder, held = folder_of(settings), ExitStack()
    folder.prepare()
    held.enter_context(folder.index_locked())
    return held


def children() -> list[int]:
    """Return this process's children."""
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


def test_two_steps_make_what_one_makes(settings: CatalogueSettings, tmp_path: Path) -> None:
    first_step(settings)
    in_one = replace(settings, cache_dir=tmp_path / "in-one")
    assert content(settings, second_step(settings)) == content(in_one, compile_here(in_one).manifest)


def test_a_small_catalogue_is_one_file_with_all_in_it(settings: CatalogueSettings) -> None:
    manifest = compile_here(settings).manifest
    assert manifest.indexed
    assert not manifest.has_own_index
    assert not second_step(settings).has_own_index
    assert not list(settings.cache_dir.glob("*.index"))


def test_after_the_first_step_names_are_found_and_nothing_is_taken_for_another_title(settings: CatalogueSettings) -> None:
    with opened_reader(settings, steps=1) as reader:
        assert not reader.indexed
        assert found_ids(reader, "좀비") == [5, 3, 2]
        assert found_ids(reader, "해리포터와 좀비의") == found_ids(reader, "해리 포터") == [3]
        assert found_ids(reader, "등대에서") == [615, 700]  # with a particle behind
        assert found_ids(reader, "the LIGHTHOUSE keeper") == found_ids(reader, "keeper") == [615]
        assert found_ids(reader, "외딴섬") == found_ids(reader, "eeper") == []
        assert reader.get(LIGHTHOUSE) is not None
        assert [entry.ref for entry in reader.titles_by_key(title_key("등대"))] == [LIGHTHOUSE]
        assert reader.titles_by_variant(title_key("등대")) == ()
        assert reader.titles_spelt_like("등대지귀의밤", 2004) == ()


@pytest.mark.parametrize(
    "query",
    [
        SearchQuery(),
        SearchQuery(order="best", genre_ids=(18,)),
        SearchQuery(order="newest", limit=3, offset=1),
        SearchQuery(text="좀비 특급열차 (2016)"),
        SearchQuery(text="좀비", year_from=2000),
        SearchQuery(include_texts=("좀비", "특급열차 성"), order="best"),
        SearchQuery(exclude_text="좀비 등대"),
        SearchQuery(favour_text="등대", favour=9.0, order="best"),
        SearchQuery(exclude=(LIGHTHOUSE,)),
        SearchQuery(provider_ids=(8,)),
        SearchQuery(exclude_provider_ids=(8, 97)),
    ],
    ids=str,
)
def test_after_the_first_step_a_search_that_needs_names_and_facets_alone_finds_the_same(
    settings: CatalogueSettings, query: SearchQuery
) -> None:
    settings = write_sources(settings.cache_dir.parent, films=[{**film, "overview": ""} for film in [*FILMS, PART_TWO]])
    with opened_reader(settings, steps=1) as first, opened_reader(settings, steps=2) as second:
        assert first.search(query, today=TODAY) == second.search(query, today=TODAY)


def test_after_the_first_step_only_popular_titles_answer_a_wish_for_a_provider(tmp_path: Path) -> None:
    links = ["https://www.netflix.com/kr/title/1"]
    films = [{"id": number, "title": str(number), "ott_links": links} for number in range(1, FIRST_OFFERED + 10)]
    settings = write_sources(tmp_path, films=films, series=[])
    with opened_reader(settings, steps=1) as first, opened_reader(settings, steps=2) as second:
        for query, filed in ((SearchQuery(provider_ids=(8,)), len(films)), (SearchQuery(exclude_provider_ids=(97,)), len(films))):
            assert first.search(query, today=TODAY).total == FIRST_OFFERED
            assert second.search(query, today=TODAY).total == filed


def test_links_are_the_same_after_each_step(settings: CatalogueSettings) -> None:
    odd = [
        {"id": 801, "ott_links": ["https://www.netflix.com/title/5\ud800", {"link": 10**400}], "ott_providers": [{"provider_id": 8}]},
        {"id": 802, "ott_links": "https://watcha.com/contents/b", "ott_providers": {"KR": {"flatrate": [{"provider_id": 97}]}}},
        {"id": 803, "ott_links": ["nowhere"]},
    ]
    many = [{"id": 1000 + number, "title": str(number), "popularity": 999} for number in range(FIRST_OFFERED)]
    films = [*FILMS, *({"title": "제목"} | film for film in odd), *many]  # too many for those with links to be filed at once
    path = settings.cache_dir.parent / "films.json"
    path.write_text(json.dumps({"movies": films}), encoding="ascii")
    refs = [TitleRef(Kind.MOVIE, film["tmdb_id"] if "tmdb_id" in film else film["id"]) for film in films[:20]]
    refs += [TitleRef(Kind.TV, int(series["tmdb_id"] if "tmdb_id" in series else series["id"])) for series in SERIES]
    with opened_reader(settings, steps=1) as first, opened_reader(settings, steps=2) as second:
        assert first.links_many(refs) == second.links_many(refs)
        assert sum(map(bool, second.links_many(refs).values())) == second.count_links() == 6
        passed = first.links_after(0, 100)
        assert [row for row in passed if row.links] == second.links_after(0, 100)
        assert first.links_after(passed[0].place, 1) == passed[1:2]
        assert first.count_links() == len(passed)


def test_after_the_second_step_all_is_found(settings: CatalogueSettings) -> None:
    first_step(settings)
    manifest = second_step(settings)
    assert manifest.has_own_index
    reader = CatalogueReader(settings.cache_dir / manifest.file, manifest.generation, settings.cache_dir / manifest.index)
    try:
        assert found_ids(reader, "외딴섬") == [615]
        assert {entry.ref.id for entry in reader.titles_by_variant(title_key("등대지기의 밤 2"))} == {700}
        assert [entry.ref for entry in reader.titles_spelt_like("등대지귀의밤", 2004)] == [LIGHTHOUSE]
    finally:
        reader.retire()


def test_an_index_of_another_generation_is_refused(settings: CatalogueSettings) -> None:
    first_step(settings)
    indexed = second_step(settings)
    write_list(settings.cache_dir.parent / "films.json", "movies", FILMS[:3])
    other = first_step(settings)
    with pytest.raises(CatalogueError, match="does not hold the generation"):
        CatalogueReader(settings.cache_dir / other.file, other.generation, settings.cache_dir / indexed.index)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"half")])
def test_an_index_that_is_not_as_it_was_left_is_made_again(settings: CatalogueSettings, spoil: Any) -> None:
    first_step(settings)
    made = second_step(settings)
    spoil(settings.cache_dir / made.index)
    current = folder_of(settings).current()
    assert current is not None
    assert not current.indexed
    assert second_step(settings).indexed


def test_what_a_killed_second_step_left_goes_with_the_next_one(settings: CatalogueSettings) -> None:
    first_step(settings)
    left = folder_of(settings).partial_index()
    left.write_bytes(b"half")
    assert second_step(settings).indexed
    assert not left.exists()


def test_without_a_compiled_catalogue_there_is_nothing_to_index(settings: CatalogueSettings) -> None:
    with pytest.raises(CatalogueError, match="has not been compiled"):
        second_step(settings)


def test_a_second_step_whose_titles_are_replaced_meanwhile_is_given_up(settings: CatalogueSettings) -> None:
    class Overtaken(CacheFolder):
        """Another process publishes a generation as soon as the index has been begun."""

        looks = 0

        def pointer_state(self) -> tuple[int, int] | None:
            self.looks += 1
            if self.looks == 2:
                write_list(settings.cache_dir.parent / "films.json", "movies", FILMS[:3])
                first_step(settings)
            return super().pointer_state()

    before = first_step(settings)
    done = index_current(Overtaken(settings.cache_dir, sources_of(settings), settings.region))
    assert not done.compiled
    assert done.manifest.generation != before.generation
    assert not done.manifest.indexed
    assert not [path for path in settings.cache_dir.iterdir() if path.suffix in {".index", ".unfinished"}]


def test_a_source_that_is_only_touched_meanwhile_leaves_the_second_step_its_work(settings: CatalogueSettings) -> None:
    class Touched(CacheFolder):
        """Another process notes a source's new date as soon as the index has been begun."""

        looks = 0

        def pointer_state(self) -> tuple[int, int] | None:
            self.looks += 1
            if self.looks == 2:
                os.utime(sources_of(settings)[0].path, ns=(1, 1))
                first_step(settings)
            return super().pointer_state()

    before = first_step(settings)
    done = index_current(Touched(settings.cache_dir, sources_of(settings), settings.region))
    assert done.compiled
    assert done.manifest.indexed
    assert done.manifest.stamps != before.stamps
    assert folder_of(settings).current() == done.manifest


def test_indexes_go_with_their_generation(settings: CatalogueSettings) -> None:
    for count in (3, 4, 5):
        write_list(settings.cache_dir.parent / "films.json", "movies", FILMS[:count])
        first_step(settings)
        second_step(settings)
    assert len(list(settings.cache_dir.glob("*.db"))) == len(list(settings.cache_dir.glob("*.index"))) == 2


async def test_the_service_serves_the_first_step_and_then_the_second(settings: CatalogueSettings) -> None:
    held = hold_index_lock(settings)
    async with opened(settings) as catalogue:
        assert not catalogue.info.overviews_indexed
        assert not (await catalogue.search(SearchQuery(text="외딴섬"))).films
        size = catalogue.info.size_bytes
        held.close()
        await until_indexed(catalogue)
        assert [film.ref for film in (await catalogue.search(SearchQuery(text="외딴섬"))).films] == [LIGHTHOUSE]
        assert catalogue.info.size_bytes > size


async def test_while_another_process_indexes_no_second_one_is_started_and_its_index_is_served(settings: CatalogueSettings) -> None:
    held = hold_index_lock(settings)
    async with opened(settings) as catalogue:
        await asyncio.sleep(1.2)  # two looks of the watch
        assert catalogue._indexing is None
        held.close()
        await until_indexed(catalogue)


async def test_a_killed_second_step_is_noted_and_begun_anew_later(settings: CatalogueSettings) -> None:
    clock = ManualClock()
    held = hold_index_lock(settings)
    async with opened(settings, clock=clock) as catalogue:
        completing = asyncio.create_task(catalogue.complete())
        async with asyncio.timeout(30):
            while not (started := children()):
                await asyncio.sleep(0.02)
        for child in started:
            os.kill(child, signal.SIGKILL)
        with pytest.raises(CatalogueError, match="killed by signal 9"):
            await completing
        held.close()
        assert catalogue.get(LIGHTHOUSE) is not None
        await until_indexed(catalogue)


async def test_a_new_generation_need_not_wait_for_the_index_of_the_old_one(settings: CatalogueSettings) -> None:
    held = hold_index_lock(settings)
    async with opened(settings) as catalogue:
        write_list(settings.cache_dir.parent / "films.json", "movies", FILMS[:3])
        aimed = await catalogue.reload()
        async with asyncio.timeout(60):
            while catalogue.info.generation != aimed:
                await asyncio.sleep(0.02)
        held.close()
        await until_indexed(catalogue)
        assert catalogue.info.generation == aimed


async def test_a_complete_catalogue_is_what_a_build_waits_for(settings: CatalogueSettings) -> None:
    async with opened(settings) as catalogue:
        await catalogue.complete()
        assert catalogue.info.overviews_indexed
    async with opened(settings) as again:
        assert again.info.overviews_indexed
