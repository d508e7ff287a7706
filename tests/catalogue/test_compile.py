"""From source files to a compiled file."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opuscine.catalogue.cache_folder import CacheFolder
from opuscine.catalogue.compile import answer, run
from opuscine.catalogue.job import Done, Job
from opuscine.errors import CatalogueError
from opuscine.settings import CatalogueSettings
from support.catalogues import FILMS, SERIES, compile_here, job_of, sources_of, write_list, write_sources


@pytest.fixture
def settings(tmp_path: Path) -> CatalogueSettings:
    return write_sources(tmp_path)


def rows(settings: CatalogueSettings, done: Done, sql: str) -> list[Any]:
    with closing(sqlite3.connect(settings.cache_dir / done.manifest.file)) as database:
        return database.execute(sql).fetchall()


def compiled_files(settings: CatalogueSettings) -> set[str]:
    return {path.name for path in settings.cache_dir.glob("*.db")}


def test_every_title_is_compiled_most_popular_first(settings: CatalogueSettings) -> None:
    done = compile_here(settings)
    assert (done.compiled, done.manifest.movie_count, done.manifest.tv_count, done.manifest.skipped) == (True, 7, 2, 0)
    assert done.manifest.sources == ("films.json", "series.json")
    popular = [id_ for (id_,) in rows(settings, done, "SELECT id FROM titles JOIN facets USING (number) ORDER BY place")]
    assert popular == [3, 2, 615, 615, 9, 4, 6, 7, 5]


def test_nothing_is_left_beside_the_compiled_file(settings: CatalogueSettings) -> None:
    done = compile_here(settings)
    folder = CacheFolder(settings.cache_dir, sources_of(settings), "KR")
    assert {path.suffix for path in settings.cache_dir.iterdir()} == {".db", ".json", ".lock"}
    assert folder.current() == done.manifest


def test_what_is_compiled_is_not_compiled_again(settings: CatalogueSettings) -> None:
    first = compile_here(settings)
    again = compile_here(settings)
    assert not again.compiled
    assert again.manifest == first.manifest


def test_a_touched_source_with_the_same_content_is_only_stamped_anew(settings: CatalogueSettings) -> None:
    first = compile_here(settings)
    film, _ = sources_of(settings)
    os.utime(film.path, ns=(1, 1))
    again = compile_here(settings)
    assert not again.compiled
    assert again.manifest.identity == first.manifest.identity
    assert again.manifest.stamps[0] == film.stamp()


def test_a_changed_source_makes_another_generation(settings: CatalogueSettings) -> None:
    first = compile_here(settings)
    write_sources(settings.cache_dir.parent, films=FILMS[:2])
    again = compile_here(settings)
    assert again.compiled
    assert again.manifest.generation != first.manifest.generation
    assert again.manifest.movie_count == 2


def test_a_damaged_file_is_compiled_again_once(settings: CatalogueSettings) -> None:
    first = compile_here(settings)
    job = replace(job_of(settings), damaged=first.manifest.identity)
    again = run(job)
    assert again.compiled
    assert again.manifest.generation == first.manifest.generation
    assert not run(job).compiled


def test_the_same_sources_give_the_same_titles_whoever_compiles(settings: CatalogueSettings, tmp_path: Path) -> None:
    one = compile_here(settings)
    two = compile_here(replace(settings, cache_dir=tmp_path / "elsewhere"))
    assert one.manifest.generation == two.manifest.generation


def test_a_bad_record_is_skipped_counted_and_named(settings: CatalogueSettings, tmp_path: Path) -> None:
    bad = [{"tmdb_id": 0, "title": "나쁜 번호"}, None, {"tmdb_id": 2, "title": "같은 번호"}, {"tmdb_id": 77}]
    write_list(tmp_path / "films.json", "movies", [*FILMS, *bad])
    done = compile_here(settings)
    assert (done.manifest.movie_count, done.manifest.skipped) == (7, 4)
    assert [(skip.source, skip.position, skip.record, skip.reason) for skip in done.skips] == [
        ("films.json", 8, "id 0 «나쁜 번호»", "has an id that is no whole number from 1 to 2^63-1"),
        ("films.json", 9, "", "is null, not an object"),
        ("films.json", 10, "id 2 «같은 번호»", "has the id of one before it"),
        ("films.json", 11, "id 77", "has no title (looked for: title, name)"),
    ]
    assert rows(settings, done, "SELECT title FROM titles WHERE kind = 0 AND id = 2") == [("좀비 특급열차",)]


def test_of_many_bad_records_the_first_are_named(settings: CatalogueSettings, tmp_path: Path) -> None:
    write_list(tmp_path / "films.json", "movies", [*FILMS, *([None] * 500)])
    done = compile_here(settings)
    assert (done.manifest.skipped, len(done.skips)) == (500, 50)


def test_of_titles_of_one_id_the_first_counts_with_all_its_names(settings: CatalogueSettings, tmp_path: Path) -> None:
    write_list(
        tmp_path / "films.json",
        "movies",
        [{"id": number % 60 + 1, "title": f"제목 {number}", "aliases": [f"또는 {number}"]} for number in range(180)],
    )
    done = compile_here(settings)
    assert (done.manifest.movie_count, done.manifest.skipped, len(done.skips)) == (60, 120, 50)
    assert [(skip.position, skip.record) for skip in done.skips[:2]] == [(61, "id 1 «제목 60»"), (62, "id 2 «제목 61»")]
    assert rows(settings, done, "SELECT count(*), max(title) FROM titles WHERE kind = 0 AND number > 60") == [(0, None)]
    assert rows(settings, done, "SELECT count(*) FROM title_keys WHERE number BETWEEN 61 AND 180") == [(0,)]


def test_a_source_without_any_usable_record_is_an_error(settings: CatalogueSettings, tmp_path: Path) -> None:
    write_list(tmp_path / "films.json", "movies", [{"name": "x"}, 5])
    with pytest.raises(CatalogueError, match=r"MOVIES_DATA_FILE: .*films\.json holds no record that can be used: the first has no id"):
        compile_here(settings)


def test_empty_lists_make_an_empty_catalogue(tmp_path: Path) -> None:
    done = compile_here(write_sources(tmp_path, films=[], series=[]))
    assert (done.manifest.movie_count, done.manifest.tv_count) == (0, 0)


@pytest.mark.parametrize("content", ["", "nope", '{"movies": [{"tmdb_id": 1, "title": "a"}', '{"movies": 5}', "[]"])
def test_a_broken_source_changes_nothing(settings: CatalogueSettings, tmp_path: Path, content: str) -> None:
    before = compile_here(settings).manifest
    (tmp_path / "films.json").write_text(content, encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"MOVIES_DATA_FILE: .*films\.json "):
        compile_here(settings)
    assert CacheFolder(settings.cache_dir, sources_of(settings), "KR").current() == before
    assert not list(settings.cache_dir.glob("*.partial*"))


def test_plain_averages_decide_the_order_where_no_votes_are_counted(tmp_path: Path) -> None:
    averages = {1: 6.0, 2: 9.0, 3: 0.0, 4: 7.5}
    films = [{"tmdb_id": number, "title": str(number), "vote_average": average} for number, average in averages.items()]
    settings = write_sources(tmp_path, films=films, series=[])
    assert rows(settings, compile_here(settings), "SELECT id FROM titles JOIN facets USING (number) ORDER BY score DESC") == [
        (2,),
        (4,),
        (1,),
        (3,),
    ]


def test_few_votes_are_believed_less(tmp_path: Path) -> None:
    films = [
        {"tmdb_id": 1, "title": "a", "vote_average": 10, "vote_count": 2},
        {"tmdb_id": 2, "title": "b", "vote_average": 8.5, "vote_count": 9000},
        {"tmdb_id": 3, "title": "c", "vote_average": 5.0, "vote_count": 9000},
    ]
    settings = write_sources(tmp_path, films=films, series=[])
    assert rows(settings, compile_here(settings), "SELECT id FROM titles JOIN facets USING (number) ORDER BY score DESC") == [
        (2,),
        (1,),
        (3,),
    ]


def test_a_title_is_streamed_by_the_service_that_its_ad_tier_belongs_to(settings: CatalogueSettings) -> None:
    found = rows(
        settings,
        compile_here(settings),
        "SELECT region, provider FROM availability JOIN facets USING (place) JOIN titles USING (number) WHERE titles.kind = 0 AND id = 3",
    )
    assert ("KR", 8) in found


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file of this process grow beyond 64 KiB, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    films = [{"tmdb_id": number, "title": f"제목 {number}", "overview": "가나다 " * 200} for number in range(1, 41)]
    settings = write_sources(tmp_path, films=films[:20], series=[])
    with pytest.raises(CatalogueError, match=r"CACHE_DIR: the catalogue cannot be written to .* free space there or name another folder"):
        compile_here(settings)
    assert not compiled_files(settings)


def test_as_a_process_it_answers_with_the_result(settings: CatalogueSettings) -> None:
    status, answered = answer(job_of(settings).to_json())
    done = Done.from_json(json.loads(answered)["done"])
    assert (status, done.compiled, compiled_files(settings)) == (0, True, {done.manifest.file})


def test_as_a_process_it_answers_with_what_is_wrong(settings: CatalogueSettings, tmp_path: Path) -> None:
    (tmp_path / "films.json").write_text("[]", encoding="utf-8")
    status, answered = answer(job_of(settings).to_json())
    assert status == 1
    assert "MOVIES_DATA_FILE" in json.loads(answered)["error"]


def test_a_job_and_its_result_survive_the_pipe(settings: CatalogueSettings, tmp_path: Path) -> None:
    job = replace(job_of(settings), damaged=("generation", 5), in_background=True)
    assert Job.from_json(job.to_json()) == job
    assert Job.from_json(job_of(settings).to_json()) == job_of(settings)
    write_list(tmp_path / "films.json", "movies", [*FILMS, None])
    done = compile_here(settings)
    assert Done.from_json(json.loads(json.dumps(done.to_json()))) == done


def test_series_and_films_of_one_id_are_two_titles(settings: CatalogueSettings) -> None:
    assert {raw["title"] for raw in FILMS[:1]} | {raw["name"] for raw in SERIES[:1]} == {
        title for (title,) in rows(settings, compile_here(settings), "SELECT title FROM titles WHERE id = 615")
    }
