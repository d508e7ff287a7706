"""The real half-catalogue, compiled and searched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from opuscine.catalogue.search import SearchQuery, SearchResult
from opuscine.catalogue.store import CatalogueReader
from opuscine.catalogue.titles import title_key
from opuscine.model import Kind, TitleRef
from opuscine.settings import CatalogueSettings
from support.catalogues import compile_here


@pytest.fixture(scope="module")
def reader(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CatalogueReader]:
    folder = real_data / "catalogue"
    films, series = folder / "tmdb_movies_hybrid_final.json", folder / "tmdb_tv_series_final.json"
    settings = CatalogueSettings(films, series, tmp_path_factory.mktemp("real"), 86_400.0, "KR")
    done = compile_here(settings)
    assert (done.manifest.movie_count, done.manifest.tv_count, done.manifest.skipped) == (1006, 171, 0)
    found = CatalogueReader(settings.cache_dir / done.manifest.file, done.manifest.generation)
    yield found
    found.retire()


def search(reader: CatalogueReader, query: SearchQuery) -> SearchResult:
    return reader.search(query, today=date(2026, 1, 1))


def titles(reader: CatalogueReader, text: str) -> list[str]:
    return [film.title for film in search(reader, SearchQuery(text=text)).films]


def test_film_and_series_615_stream_elsewhere(reader: CatalogueReader) -> None:
    film, series = TitleRef(Kind.MOVIE, 615), TitleRef(Kind.TV, 615)
    links = reader.links_many([film, series])
    assert {film_link.link for film_link in links[film]}.isdisjoint(series_link.link for series_link in links[series])
    assert "Disney Plus" not in {link.provider_name for link in links[film]}
    assert {link.provider_id for link in links[series]} == {337}


def test_titles_that_several_films_share_are_all_found(reader: CatalogueReader) -> None:
    assert sorted(entry.year or 0 for entry in reader.titles_by_key(title_key("신데렐라"))) == [1950, 2015, 2021]


@pytest.mark.parametrize("word", ["좀비", "우주", "전쟁", "사랑"])
def test_words_of_two_syllables_are_found_where_they_stand(reader: CatalogueReader, word: str) -> None:
    found = search(reader, SearchQuery(text=word, limit=1000)).films
    assert found
    assert all(word in film.title.replace(" ", "") + film.overview or word in "".join(film.aliases) for film in found)


def test_all_films_of_a_series_of_films_are_found_without_the_space(reader: CatalogueReader) -> None:
    found = titles(reader, "해리포터")
    assert len(found) >= 4
    assert all(title.startswith("해리 포터") for title in found)


def test_a_film_of_that_name_comes_first(reader: CatalogueReader) -> None:
    assert titles(reader, "듄")[:2] == ["듄", "듄"]
    assert search(reader, SearchQuery(text="듄 (1984)")).films[0].year == 1984


def test_rain_is_not_every_word_with_its_syllable(reader: CatalogueReader) -> None:
    found = search(reader, SearchQuery(text="비", limit=400)).films
    assert 0 < len(found) < 60


def test_action_of_the_2010s_is_of_the_2010s(reader: CatalogueReader) -> None:
    found = search(reader, SearchQuery(genre_ids=(28,), year_from=2010, year_to=2019, limit=1000))
    assert len(found.films) == found.total > 100
    assert found.unjudged == 0
    assert all(film.year is not None and 2010 <= film.year <= 2019 for film in found.films)
    assert all(set(film.genre_ids) & {28, 10759} for film in found.films)


def test_a_country_that_no_record_names_drops_nothing(reader: CatalogueReader) -> None:
    found = search(reader, SearchQuery(countries=("KR",), limit=1))
    assert found.total == found.unjudged == 1177


def test_what_netflix_streams_is_linked_there(reader: CatalogueReader) -> None:
    found = search(reader, SearchQuery(provider_ids=(8,), order="best", limit=50)).films
    for film in found:
        assert any(link.provider_id == 8 and link.region == "KR" for link in reader.links(film.ref) or ())
