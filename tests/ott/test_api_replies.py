"""What the API server's answers say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.model import Kind, TitleRef
from opuscine.ott.api_replies import PopularPage, read_popular, read_title
from opuscine.providers.table import ProviderTable

TABLE = ProviderTable.load()
FILM = TitleRef(Kind.MOVIE, 615)
SERIES = TitleRef(Kind.TV, 615)
ADDRESS = "https://www.netflix.com/kr/title/1"
TMDB = {
    "KR": {"link": "https://www.themoviedb.org/movie/615/watch?locale=KR", "flatrate": [{"provider_id": 8, "provider_name": "Netflix"}]}
}


def title(answer: Any, ref: TitleRef = FILM) -> list[str] | None:
    links = read_title(json.dumps(answer).encode(), ref=ref, table=TABLE, region="KR")
    return None if links is None else [link.link for link in links]


@pytest.mark.parametrize(
    "answer",
    [
        {"movie": {"ott_links": [ADDRESS]}},
        {"movie": {"id": 615, "ott_links": [{"link": ADDRESS, "provider_id": 8, "region": "KR"}]}},
        {"movie": {"id": 7001, "tmdb_id": "615", "ott_links": [ADDRESS]}},
        {"success": True, "ott_links": [ADDRESS]},
        {"ott_links": ADDRESS},
        {"movie": {"ott_links": [ADDRESS], "ott_providers": [{"provider_id": 8, "type": "streaming", "region": "KR"}]}},
    ],
)
def test_links_are_read_in_every_raw_form(answer: Any) -> None:
    assert title(answer) == [ADDRESS]


def test_tmdbs_form_names_the_providers_of_every_region() -> None:
    links = read_title(json.dumps({"movie": {"ott_links": TMDB | {"US": TMDB["KR"]}}}).encode(), ref=FILM, table=TABLE, region="KR")
    assert links is not None
    assert [(link.provider_id, link.region) for link in links] == [(8, "KR"), (8, "US")]


def test_a_series_is_in_tv_and_tolerated_in_movie() -> None:
    assert title({"tv": {"ott_links": [ADDRESS]}, "movie": {"ott_links": []}}, SERIES) == [ADDRESS]
    assert title({"movie": {"ott_links": [ADDRESS]}}, SERIES) == [ADDRESS]


def test_a_film_is_not_read_from_tv() -> None:
    with pytest.raises(ValueError, match="movie"):
        title({"tv": {"ott_links": [ADDRESS]}})


def test_a_title_without_links_streams_nowhere_and_null_is_no_title() -> None:
    assert title({"movie": {}}) == []
    assert title({"movie": {"ott_links": None}}) == []
    assert title({"movie": None}) is None


@pytest.mark.parametrize("number", [{"id": 616}, {"id": 7001, "tmdb_id": 616}, {"tmdb_id": "616"}])
def test_an_answer_about_another_title_is_not_believed(number: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="another title"):
        title({"movie": {**number, "ott_links": [ADDRESS]}})


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b"7", b'{"movie": 7}', b'{"movie": [1]}', b'{"success": false}', b"\xff"])
def test_anything_else_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- what is wrong is said by whoever notices it
        read_title(body, ref=FILM, table=TABLE, region="KR")


PARASITE = {
    "id": 496243,
    "title": "기생충",
    "original_title": "기생충",
    "genre_ids": [35],
    "release_date": "2019-05-30",
    "vote_average": 8.5,
}
SHOW = {"id": 1, "name": "천년 뒤의 배달부", "media_type": "tv"}


def popular(answer: Any, page: int = 1, limit: int = 20) -> PopularPage:
    return read_popular(json.dumps(answer).encode(), page=page, limit=limit)


@pytest.mark.parametrize("answer", [[PARASITE], {"movies": [PARASITE]}, {"results": [PARASITE]}], ids=["list", "movies", "results"])
def test_a_page_of_popular_films_is_read_in_every_form(answer: Any) -> None:
    page = popular(answer)
    [film] = page.films
    assert (film.ref, film.title, film.genre_ids, film.year, film.vote_average) == (
        TitleRef(Kind.MOVIE, 496243),
        "기생충",
        (35,),
        2019,
        8.5,
    )
    assert page.total == 1


def test_series_among_films_stay_series_and_doubles_fold() -> None:
    assert [film.ref for film in popular([SHOW, PARASITE, SHOW]).films] == [TitleRef(Kind.TV, 1), TitleRef(Kind.MOVIE, 496243)]


def test_no_more_films_are_taken_than_were_asked_for() -> None:
    assert len(popular([PARASITE | {"id": number} for number in range(1, 50)], limit=5).films) == 5


def test_a_film_that_cannot_be_read_is_left_out() -> None:
    assert [film.ref.id for film in popular([7, None, {"title": "no id"}, PARASITE]).films] == [496243]


@pytest.mark.parametrize(
    ("members", "total"),
    [
        ({"total_results": 500}, 500),
        ({"total": 300}, 300),
        ({"pagination": {"total_results": 200}}, 200),
        ({"total_results": "many"}, 41),
        ({"total_results": 3}, 41),
        ({"total": True}, 41),
        ({"pagination": 7}, 41),
    ],
)
def test_the_total_is_what_is_stated_and_at_least_what_was_seen(members: dict[str, Any], total: int) -> None:
    assert popular({"movies": [PARASITE], **members}, page=3).total == total


def test_past_the_last_page_there_is_nothing() -> None:
    assert popular({"movies": [], "total_results": 40}, page=3) == PopularPage((), 40)


@pytest.mark.parametrize("answer", [[], {"movies": []}, {"movies": [{"title": "no id"}]}, {"movies": {}}, {"success": False}, 7, "list"])
def test_a_page_without_films_is_a_bad_answer(answer: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- as above
        popular(answer)


NAMES = st.sampled_from(["movie", "tv", "ott_links", "ott_providers", "id", "link", "KR", "movies", "results"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(), st.sampled_from([FILM, SERIES]))
def test_whatever_comes_is_read_or_a_value_error(body: bytes, ref: TitleRef) -> None:
    for read in (
        lambda: read_title(body, ref=ref, table=TABLE, region="KR"),
        lambda: read_popular(body, page=1, limit=20),
    ):
        try:
            read()
        except ValueError:
            continue
