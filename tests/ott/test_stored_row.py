"""One title's links as they lie in Redis: ours, the predecessor's, and broken ones."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.codec import dumps
from opuscine.model import Kind, OfferType, OttLink, TitleRef
from opuscine.ott.stored_row import MAX_ROW_BYTES, read_row, row_key, write_row
from opuscine.ott.tier import TitleLinks
from opuscine.providers.table import ProviderTable

TABLE = ProviderTable.load()
FILM = TitleRef(Kind.MOVIE, 615)
NOW = datetime(2025, 6, 3, 12, tzinfo=UTC)
THEN = datetime(2025, 6, 1, 9, 30, 15, tzinfo=UTC)
NETFLIX = OttLink("Netflix", 8, "/logo.jpg", 1, "https://www.netflix.com/kr/title/1", OfferType.FLATRATE, "KR")
NETFLIX_RENT = replace(NETFLIX, type=OfferType.RENT, link="https://www.netflix.com/kr/rent/1")
HULU = OttLink("Hulu", 15, "", 30, "https://www.hulu.com/movie/1", OfferType.FLATRATE, "US")


def read(data: bytes) -> TitleLinks:
    return read_row(data, ref=FILM, table=TABLE, region="KR", now=NOW)


def test_films_and_series_have_separate_keys() -> None:
    assert row_key(FILM) == "movie:615:ott_links"
    assert row_key(TitleRef(Kind.TV, 615)) == "tv:615:ott_links"


def test_a_row_is_a_list_of_links_as_answers_show_them_with_their_age() -> None:
    assert json.loads(write_row(TitleLinks((NETFLIX,), THEN))) == [
        {
            "provider_name": "Netflix",
            "provider_id": 8,
            "logo_path": "/logo.jpg",
            "display_priority": 1,
            "link": "https://www.netflix.com/kr/title/1",
            "type": "flatrate",
            "region": "KR",
            "as_of": "2025-06-01T09:30:15+00:00",
        }
    ]


def test_what_is_written_is_read_again_in_every_region() -> None:
    known = TitleLinks((NETFLIX, NETFLIX_RENT, HULU), THEN)
    assert read(write_row(known)) == known


def test_an_age_of_another_time_zone_is_the_same_instant() -> None:
    seoul = THEN.astimezone(timezone(timedelta(hours=9)))
    assert read(write_row(TitleLinks((NETFLIX,), seoul))).as_of == THEN


def test_no_links_are_no_broken_row() -> None:
    assert read(b"[]") == TitleLinks((), NOW)
    assert read(b"{}") == TitleLinks((), NOW)


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        (["https://www.netflix.com/kr/title/1"], "https://www.netflix.com/kr/title/1"),
        ([{"provider_name": "Netflix", "provider_id": 8, "type": "streaming", "link": "https://www.netflix.com/kr/title/1"}], None),
        ([{"KR": {"link": "https://www.themoviedb.org/movie/615/watch?locale=KR", "flatrate": [{"provider_id": 8}]}}], None),
        ({"KR": {"link": "https://www.themoviedb.org/movie/615/watch?locale=KR", "flatrate": [{"provider_id": 8}]}}, None),
        ([{"provider_name": "Netflix", "provider_id": 8, "type": "streaming", "region": "KR"}], None),
    ],
    ids=["bare addresses", "dicts", "TMDB's form in a list", "TMDB's form alone", "provider rows"],
)
def test_the_predecessors_rows_are_read_as_of_now(raw: Any, address: str | None) -> None:
    known = read(dumps(raw))
    assert [(link.provider_id, link.type, link.region) for link in known.links] == [(8, OfferType.FLATRATE, "KR")]
    assert address in {None, known.links[0].link}
    assert known.as_of == NOW


def test_an_affiliate_redirector_gives_way_to_the_address_it_carries() -> None:
    """Even in an item that is otherwise whole: only rows with our mark are taken as they are."""
    whole = {
        "provider_name": "Disney Plus",
        "provider_id": 337,
        "logo_path": "",
        "display_priority": 1,
        "link": "https://disneyplus.bn5x.net/c/1/2/3?u=https%3A%2F%2Fwww.disneyplus.com%2Fmovies%2Fone%2F1",
        "type": "flatrate",
        "region": "KR",
    }
    assert [link.link for link in read(dumps([whole])).links] == ["https://www.disneyplus.com/movies/one/1"]


def test_what_is_broken_in_a_row_is_left_out() -> None:
    row = json.loads(write_row(TitleLinks((NETFLIX, HULU), THEN)))
    row[1]["link"] = "javascript:alert(1)"
    known = read(dumps(row))
    assert NETFLIX.link in [link.link for link in known.links]
    assert "javascript" not in str(known)
    assert known.as_of == THEN


@pytest.mark.parametrize(
    "as_of", ["yesterday", "2025-06-01", "2025-06-01T09:30:15", "0001-01-01T00:00:00+14:00", 7, None, ["2025"]], ids=str
)
def test_an_age_that_says_nothing_is_none(as_of: object) -> None:
    row = json.loads(write_row(TitleLinks((NETFLIX,), THEN)))
    row[0]["as_of"] = as_of
    assert read(dumps(row)) == TitleLinks((NETFLIX,), NOW)


def test_no_row_is_from_the_future_and_a_row_is_as_old_as_its_oldest_item() -> None:
    young = json.loads(write_row(TitleLinks((NETFLIX,), NOW + timedelta(days=1))))
    assert read(dumps(young)).as_of == NOW
    assert read(dumps(young + json.loads(write_row(TitleLinks((HULU,), THEN))))).as_of == THEN


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b'"https://www.netflix.com/title/1"',
        b"7",
        b"null",
        b'[{"foo": 1}]',
        b"[7]",
        b'{"KR": 1}',
        b"[" * 5000,
    ],
)
def test_a_row_of_which_nothing_can_be_read_is_broken(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- what is wrong is said by whoever notices it
        read(data)


def test_a_row_too_large_to_be_ours_is_not_read() -> None:
    with pytest.raises(ValueError, match="bytes"):
        read(b"[" + b" " * MAX_ROW_BYTES + b"]")


NAMES = st.sampled_from(["link", "provider_name", "provider_id", "type", "region", "as_of", "display_priority", "KR", "flatrate"])
WORDS = st.sampled_from(["KR", "rent", "https://www.netflix.com/kr/title/1", "https://example.org/", "2025-06-01T09:30:15Z"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=6),
    max_leaves=12,
)


@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_whatever_lies_there_is_links_or_a_value_error(data: bytes) -> None:
    try:
        known = read(data)
    except ValueError:
        return
    assert all(link.link.startswith(("http://", "https://")) for link in known.links)
    assert known.as_of <= NOW
    assert read(write_row(known)).links == known.links
