"""Wishes beyond a plain search: groups of genres, lists of years, what is left out, and what is favoured in a list by votes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from opuscine.catalogue.search import SearchQuery
from opuscine.catalogue.store import CatalogueReader
from support.catalogues import opened, write_sources

ACTION, COMEDY, DRAMA, ROMANCE, SERIES_ACTION = 28, 35, 18, 10749, 10759
FILMS: tuple[dict[str, Any], ...] = (
    {"title": "가", "genres": ["액션", "코미디"], "release_date": "1975-01-01", "origin_country": ["KR"], "vote_average": 8.0},
    {"title": "나", "genres": ["액션"], "release_date": "1985-01-01", "origin_country": ["US", "KR"], "vote_average": 7.5},
    {"title": "다", "genres": ["드라마", "로맨스"], "release_date": "1995-01-01", "origin_country": ["KR", "US"], "vote_average": 7.0},
    {"title": "라", "genres": ["드라마"], "overview": "달리는 열차.", "vote_average": 6.5},
    {"title": "마", "genres": ["코미디"], "release_date": "2005-01-01", "overview": "좀비가 나타난다.", "vote_average": 6.0},
)
SERIES = ({"tmdb_id": 9, "name": "바", "genres": ["Action & Adventure"], "first_air_date": "1999-01-01", "vote_average": 5.0},)


@pytest.fixture(scope="module", params=[None, 2], ids=["compiled at once", "compiled in two steps"])
def reader(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[CatalogueReader]:
    """Compile the films, each with votes enough to keep its place."""
    films = [{"tmdb_id": number, "vote_count": 100_000} | film for number, film in enumerate(FILMS, start=1)]
    with opened(write_sources(tmp_path_factory.mktemp("wishes"), films, SERIES), steps=request.param) as opened_reader:
        yield opened_reader


def found(reader: CatalogueReader, **wish: Any) -> str:
    """Return the titles that a wish finds, in one string."""
    return "".join(film.title for film in reader.search(SearchQuery(**({"order": "best"} | wish)), today=date(2026, 1, 1)).films)


@pytest.mark.parametrize(
    ("wish", "titles"),
    [
        ({"genre_groups": ((ACTION,), (COMEDY,))}, "가"),
        ({"genre_groups": ((ACTION, DRAMA), (COMEDY, ROMANCE))}, "가다"),
        ({"genre_groups": ((ACTION,),)}, "가나바"),
        ({"genre_groups": ((COMEDY,),), "genre_ids": (ACTION,)}, "가"),
        ({"years": ((1970, 1979), (1990, 1999))}, "가다바라"),
        ({"years": ((None, 1980),)}, "가라"),
        ({"years": ((2000, None),)}, "마라"),
        ({"years": ((1970, 1999),), "year_from": 1980}, "나다바라"),
        ({"exclude_countries": ("KR",)}, "나라마바"),
        ({"exclude_countries": ("US", "not a code")}, "가다라마바"),
        ({"exclude_text": "좀비 열차"}, "가나다바"),
        ({"exclude_text": '" ???'}, "가나다라마바"),
        ({"include_texts": ("좀비 열차",)}, "라마"),
        ({"include_texts": ("좀비", "열차")}, ""),
        ({"include_texts": ("좀비",), "text": "나타난다"}, "마"),
        ({"favour_genre_ids": (DRAMA, ROMANCE), "favour": 0.9}, "다가나라마바"),
        ({"favour_genre_ids": (DRAMA,), "favour_countries": ("KR",), "favour": 0.6}, "가다나라마바"),
        ({"favour_text": "좀비", "favour": 3.0}, "마가나다라바"),
        ({"favour_genre_ids": (DRAMA,), "favour": 9.0, "order": "popular"}, "가나다라마바"),
        ({"favour": 1.0}, "가나다라마바"),
    ],
)
def test_a_wish_finds(reader: CatalogueReader, wish: dict[str, Any], titles: str) -> None:
    assert found(reader, **wish) == titles


@pytest.mark.parametrize("text", ['"', "NEAR(a b", "title:*", "a" * 5000, "\x00", "'); DROP TABLE facets; --"])
def test_no_text_breaks_a_list(reader: CatalogueReader, text: str) -> None:
    found(reader, exclude_text=text, include_texts=(text, ""), favour_text=text, favour=1.0, favour_countries=(text,))


def test_an_average_without_votes_counts_less_for_what_few_people_vote_for(tmp_path: Path) -> None:
    films = [
        {"tmdb_id": 1, "title": "제작 이야기", "genres": ["다큐멘터리"], "vote_average": 8.5},
        {"tmdb_id": 2, "title": "방송용", "genres": ["드라마", "TV 영화"], "vote_average": 8.4},
        {"tmdb_id": 3, "title": "수작", "genres": ["드라마"], "vote_average": 8.0},
        {"tmdb_id": 4, "title": "범작", "genres": ["드라마"], "vote_average": 6.0},
    ]
    with opened(write_sources(tmp_path, films, SERIES)) as opened_reader:
        best = [film.title for film in opened_reader.search(SearchQuery(order="best"), today=date(2026, 1, 1)).films]
    assert best == ["수작", "제작 이야기", "방송용", "범작", "바"]


def test_votes_that_are_known_count_alike_for_all(tmp_path: Path) -> None:
    films = [
        {"tmdb_id": 1, "title": "다큐", "genres": ["다큐멘터리"], "vote_average": 8.5, "vote_count": 5000},
        {"tmdb_id": 2, "title": "수작", "genres": ["드라마"], "vote_average": 8.0, "vote_count": 5000},
    ]
    with opened(write_sources(tmp_path, films, SERIES)) as opened_reader:
        best = [film.title for film in opened_reader.search(SearchQuery(order="best"), today=date(2026, 1, 1)).films]
    assert best == ["다큐", "수작", "바"]
