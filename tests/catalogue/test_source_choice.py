"""Which files the catalogue is made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opuscine.catalogue.source_choice import find_sources
from opuscine.catalogue.sources import SourceFile
from opuscine.errors import CatalogueError
from opuscine.model import Kind
from support.catalogues import sources_of, write_list, write_sources


def test_the_files_that_settings_name_are_used(tmp_path: Path) -> None:
    settings = write_sources(tmp_path)
    assert find_sources(settings, working_directory=Path("/")) == sources_of(settings)


def test_a_relative_name_counts_from_the_working_directory(tmp_path: Path) -> None:
    settings = replace(write_sources(tmp_path), movies_file=Path("films.json"), tv_file=Path("series.json"))
    assert [source.path for source in find_sources(settings, working_directory=tmp_path)] == [
        tmp_path / "films.json",
        tmp_path / "series.json",
    ]


def test_unnamed_the_usual_files_below_the_working_directory_are_used(tmp_path: Path) -> None:
    films = write_list(tmp_path / "data" / "movie" / "tmdb_movies_hybrid_final.json", "movies", [])
    series = write_list(tmp_path / "data" / "tv series" / "tmdb_tv_series_final.json", "tv_series", [])
    settings = replace(write_sources(tmp_path), movies_file=None, tv_file=None)
    assert find_sources(settings, working_directory=tmp_path) == (SourceFile(Kind.MOVIE, films), SourceFile(Kind.TV, series))


def test_else_the_packaged_ones(tmp_path: Path) -> None:
    settings = replace(write_sources(tmp_path), movies_file=None, tv_file=None)
    names = [source.path.name for source in find_sources(settings, working_directory=tmp_path)]
    assert names == ["default_movies.json", "default_series.json"]


@pytest.mark.parametrize(("field", "variable"), [("movies_file", "MOVIES_DATA_FILE"), ("tv_file", "TV_DATA_FILE")])
def test_a_named_file_must_exist(tmp_path: Path, field: str, variable: str) -> None:
    missing = tmp_path / "no such.json"
    named: dict[str, Any] = {field: missing}
    settings = replace(write_sources(tmp_path), **named)
    with pytest.raises(CatalogueError) as caught:
        find_sources(settings, working_directory=tmp_path)
    assert str(caught.value) == f"{variable}: {missing} does not exist; name an existing JSON file, or leave {variable} unset"


@pytest.mark.parametrize("name", ["", "films.json/below"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    settings = replace(write_sources(tmp_path), movies_file=tmp_path / name)
    with pytest.raises(CatalogueError, match=r"MOVIES_DATA_FILE: .*(is not a regular file|cannot be reached)"):
        find_sources(settings, working_directory=tmp_path)
