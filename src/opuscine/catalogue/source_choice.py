"""Which JSON files the catalogue is made from."""

from __future__ import annotations

from pathlib import Path

from opuscine.catalogue.sources import SourceFile, stamps
from opuscine.model import Kind
from opuscine.packaged import packaged_file
from opuscine.settings import CatalogueSettings


def find_sources(settings: CatalogueSettings, *, working_directory: Path) -> tuple[SourceFile, ...]:
    """Choose the films' file and the series' file: the one a setting names, else the usual one below the working directory, else ours.

    Raises:
        CatalogueError: a file that a setting names is not there or cannot be reached.
    """
    films = working_directory / "data/movie/tmdb_movies_hybrid_final.json"
    series = working_directory / "data/tv series/tmdb_tv_series_final.json"
    sources = (
        SourceFile(Kind.MOVIE, working_directory / settings.movies_file, "MOVIES_DATA_FILE")
        if settings.movies_file
        else SourceFile(Kind.MOVIE, films if films.is_file() else packaged_file("default_movies.json")),
        SourceFile(Kind.TV, working_directory / settings.tv_file, "TV_DATA_FILE")
        if settings.tv_file
        else SourceFile(Kind.TV, series if series.is_file() else packaged_file("default_series.json")),
    )
    stamps(sources)
    return sources
