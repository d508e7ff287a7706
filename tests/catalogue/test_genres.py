"""TMDB's genres."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.catalogue.genres import GENRES, genre_id, genre_ids_of, genre_mask, related
from opuscine.model import Kind


@pytest.mark.parametrize("name", ["액션", "Action", " action ", "ACTION"])
def test_a_genre_is_known_by_its_korean_and_english_name(name: str) -> None:
    assert genre_id(name) == 28


@pytest.mark.parametrize(
    ("name", "number"),
    [("Sci-Fi & Fantasy", 10765), ("SF", 878), ("Science Fiction", 878), ("TV 영화", 10770), ("Action & Adventure", 10759), ("호러", 27)],
)
def test_names_of_the_data_files_are_known(name: str, number: int) -> None:
    assert genre_id(name) == number


def test_no_name_stands_for_two_genres() -> None:
    names = [name.casefold() for genre in GENRES.values() for name in {genre.ko, genre.en, *genre.also}]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "raw", [["액션", 35], [28, "코미디"], [{"id": 28, "name": "액션"}, {"name": "Comedy"}], ["28", Decimal(35)], [28.0, 35, 28]]
)
def test_names_numbers_and_objects_are_read(raw: list[Any]) -> None:
    assert genre_ids_of(raw) == (28, 35)


@pytest.mark.parametrize("raw", [None, "", [], 5, True, [None, "no genre", 1.5, True, {}, {"id": "x"}, []], {"id": 0}])
def test_what_is_no_genre_is_left_out(raw: object) -> None:
    assert genre_ids_of(raw) == ()


def test_a_single_genre_needs_no_list() -> None:
    assert genre_ids_of("액션") == genre_ids_of(28) == genre_ids_of({"id": 28}) == (28,)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "name"]), inner),
        max_leaves=8,
    )
)
def test_no_value_breaks_the_reading(raw: object) -> None:
    assert all(number in GENRES for number in genre_ids_of(raw))


def test_a_wish_for_action_is_met_by_the_series_genre_but_not_by_adventure() -> None:
    assert related(28) == {28, 10759}
    assert related(10759) == {28, 12, 10759}
    assert related(99_999) == {99_999}


def test_every_genre_of_a_series_alone_is_related_to_one_of_films_or_has_none_like_it() -> None:
    series_only = {genre.id for genre in GENRES.values() if genre.kinds == {Kind.TV}}
    alone = {number for number in series_only if related(number) == {number}}
    assert {GENRES[number].en for number in alone} == {"News", "Reality", "Talk"}


def test_masks_tell_all_genres_apart() -> None:
    masks = [genre_mask((number,)) for number in GENRES]
    assert len(set(masks)) == len(GENRES)
    assert genre_mask((28, 35)) == genre_mask((28,)) | genre_mask((35,))
    assert genre_mask((99_999,)) == 0


def test_every_genre_of_the_real_files_is_known(real_data: Path) -> None:
    for path in (real_data / "catalogue").glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        records = content.get("movies") or content["tv_series"]
        unknown = {name for record in records for name in record["genres"] if genre_id(name) is None}
        assert not unknown
