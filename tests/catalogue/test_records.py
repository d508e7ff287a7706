"""One raw record → a film and its links."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.catalogue.records import RecordError, describe, read_record
from opuscine.model import Film, Kind, TitleRef

BAD_NUMBERS: tuple[object, ...] = (0, -1, 2**63, 1.5, "x", "1.5", "²", True, [], {}, "9" * 19, Decimal("1E+999"), float("inf"))


def film(**fields: Any) -> Film:
    return read_record({"tmdb_id": 1, "title": "제목"} | fields).film(Kind.MOVIE)


def test_a_full_film_is_read() -> None:
    record = read_record(
        {
            "tmdb_id": 496243,
            "title": "기생충",
            "original_title": "Gisaengchung",
            "aliases": ["Parasite", {"title": "寄生上流"}, "기생충", "Parasite"],
            "genres": ["코미디", "스릴러"],
            "release_date": "2019-05-30",
            "origin_country": ["kr"],
            "original_language": "KO",
            "vote_average": 8.5,
            "vote_count": 18000,
            "popularity": 70.5,
            "overview": "반지하\n가족",
            "poster_path": "/poster.jpg",
            "backdrop_path": "/backdrop.jpg",
        }
    )
    assert record.film(Kind.MOVIE) == Film(
        ref=TitleRef(Kind.MOVIE, 496243),
        title="기생충",
        original_title="Gisaengchung",
        aliases=("Parasite", "寄生上流"),
        overview="반지하 가족",
        release_date="2019-05-30",
        poster_path="/poster.jpg",
        backdrop_path="/backdrop.jpg",
        vote_average=8.5,
        vote_count=18000,
        popularity=70.5,
        genre_ids=(35, 53),
        countries=("KR",),
        original_language="ko",
    )


def test_a_series_is_read_by_its_own_field_names() -> None:
    record = read_record({"id": 9, "name": "이름", "original_name": "Name", "first_air_date": "2015-01-02", "genre_ids": [18]})
    assert record.film(Kind.TV) == Film(TitleRef(Kind.TV, 9), "이름", "Name", release_date="2015-01-02", genre_ids=(18,))


def test_an_id_and_a_title_are_enough() -> None:
    assert read_record({"id": "7", "title": "제목"}).film(Kind.MOVIE) == Film(TitleRef(Kind.MOVIE, 7), "제목")


def test_a_record_with_an_original_title_only_is_called_by_it() -> None:
    assert film(title=None, original_title="Only").title == "Only"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "is null"),
        (True, "true or false"),
        (5, "a number"),
        ("x", "a string"),
        ([], "a list"),
        ({"title": "제목"}, "has no id"),
        ({"tmdb_id": 1}, "has no title"),
        ({"tmdb_id": 1, "title": " \u200b\x00\u202e"}, "has no title"),
        ({"tmdb_id": 1, "title": 5}, "has no title"),
        *(({"tmdb_id": number, "title": "제목"}, "no whole number") for number in BAD_NUMBERS),
    ],
)
def test_a_record_without_a_usable_id_or_title_is_refused(raw: object, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read_record(raw)


@pytest.mark.parametrize("number", [615, "615", " 615 ", 615.0, Decimal(615)])
def test_ids_may_be_written_as_strings_and_whole_decimals(number: object) -> None:
    assert film(tmdb_id=number).ref.id == 615


def test_tmdb_id_wins_over_id() -> None:
    assert film(tmdb_id=5, id=6).ref.id == 5


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("2019-05-30", "2019-05-30"),
        ("2019-05-30T00:00:00Z", "2019-05-30"),
        ("2019-02-31", "2019-02"),
        ("2019-13-01", "2019"),
        ("2019-05", "2019-05"),
        ("2019", "2019"),
        ("0000-00-00", ""),
        ("9999-01-01", ""),
        ("soon", ""),
        ("", ""),
        (None, ""),
        (2019, ""),
        ("٢٠١٩", ""),
    ],
)
def test_of_a_date_the_true_beginning_is_kept(written: object, date: str) -> None:
    assert film(release_date=written).release_date == date


@pytest.mark.parametrize(("written", "number"), [(7.61234, 7.612), ("7.6", 7.6), (Decimal("7.6"), 7.6), (10, 10.0)])
def test_votes_are_read_as_numbers(written: object, number: float) -> None:
    assert film(vote_average=written).vote_average == number


@pytest.mark.parametrize("written", [None, "x", "", "nan", "9" * 50, -1, 11, float("nan"), float("inf"), True, [], Decimal("1E+999")])
def test_votes_that_are_none_count_as_unknown(written: object) -> None:
    assert film(vote_average=written).vote_average == 0.0


@pytest.mark.parametrize(
    ("written", "countries"),
    [
        (["KR", "us", "KR"], ("KR", "US")),
        ("KR", ("KR",)),
        ([{"iso_3166_1": "JP"}], ("JP",)),
        (["Korea", "", None, 5, "K1"], ()),
        (None, ()),
    ],
)
def test_countries_are_codes(written: object, countries: tuple[str, ...]) -> None:
    assert film(origin_country=written).countries == countries


@pytest.mark.parametrize(
    "written", ["relative.jpg", "javascript:alert(1)", "//host/a.jpg", "/\\host/a.jpg", '/a"b.jpg', "/a b.jpg", "/" + "x" * 400, None, 5]
)
def test_a_picture_that_is_no_address_is_left_out(written: object) -> None:
    assert film(poster_path=written).poster_path == ""


def test_text_is_one_printable_line_of_bounded_length() -> None:
    assert film(title="a\x00b\r\n\tc\x1f\ud800  d\u200be").title == "a b c de"
    assert len(film(overview="가" * 100_000).overview) == 5_000
    assert len(film(aliases=[str(number) for number in range(1000)]).aliases) == 100


def test_names_and_numbers_of_genres_are_joined() -> None:
    assert film(genres=["액션"], genre_ids=[28, 35]).genre_ids == (28, 35)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ({"tmdb_id": 5, "title": "제목"}, "id 5 «제목»"),
        ({"name": "이름"}, "id ? «이름»"),
        ({"id": [1]}, "id ?"),
        (None, ""),
        ({"id": "\n9"}, "id 9"),
    ],
)
def test_a_skipped_record_is_named(raw: object, shown: str) -> None:
    assert describe(raw) == shown


# JSON knows no NaN; ijson makes a `Decimal` of every number with a point.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals(allow_nan=False)
    | st.text(st.characters(exclude_categories=()), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = (
    "tmdb_id id title name original_title original_name aliases genres genre_ids release_date first_air_date origin_country "
    "original_language vote_average vote_count popularity overview poster_path backdrop_path ott_links ott_providers"
).split()


@given(JSON | st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_record_is_read_or_refused(raw: Any) -> None:
    assert len(describe(raw)) < 120
    try:
        record = read_record(raw)
    except RecordError:
        return
    film = record.film(Kind.MOVIE)
    assert film.title
    assert 1 <= film.ref.id < 2**63
    assert 0 <= film.vote_average <= 10
    film.title.encode()
    assert film.year is None or 1800 <= film.year <= 2200
