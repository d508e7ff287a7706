"""Sentences are read for what they state, in Korean and English; what is not understood is left to be searched for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.model import Kind
from opuscine.providers.table import ProviderTable
from opuscine.recommend.intent import Intent, read_intent, without_particle

TABLE = ProviderTable.load()
YEAR = 2026


def read(message: str) -> Intent:
    """Read a sentence as of 2026."""
    return read_intent(message, providers=TABLE, this_year=YEAR)


@pytest.mark.parametrize(
    ("message", "stated"),
    [
        ("2019년 한국 스릴러", {"genre_ids": (53,), "countries": ("KR",), "year_from": 2019, "year_to": 2019, "terms": ()}),
        ("2010년대 액션", {"genre_ids": (28,), "year_from": 2010, "year_to": 2019}),
        ("90년대 홍콩 느와르 명작", {"genre_ids": (80,), "countries": ("HK",), "year_from": 1990, "year_to": 1999, "order": "best"}),
        ("80s horror", {"genre_ids": (27,), "year_from": 1980, "year_to": 1989, "terms": ()}),
        ("the best romantic comedies of the 1990s", {"genre_ids": (35, 10749), "year_from": 1990, "year_to": 1999, "order": "best"}),
        ("2000년대 초반 한국영화", {"countries": ("KR",), "kind": Kind.MOVIE, "year_from": 2000, "year_to": 2003}),
        ("2015년 이후 SF 영화", {"genre_ids": (878,), "year_from": 2015, "year_to": None, "kind": Kind.MOVIE}),
        ("1990년 이전 영화", {"year_from": None, "year_to": 1990}),
        ("movies before 1990", {"year_from": None, "year_to": 1989}),
        ("2015년부터 2020년까지 프랑스 로맨스", {"year_from": 2015, "year_to": 2020, "countries": ("FR",), "genre_ids": (10749,)}),
        ("최근 5년 일본 애니", {"year_from": 2021, "year_to": None, "countries": ("JP",), "genre_ids": (16,)}),
        ("올해 개봉한 영화", {"year_from": 2026, "year_to": 2026, "terms": ()}),
        ("작년 영화", {"year_from": 2025, "year_to": 2025}),
        ("최신 미드 추천해줘", {"countries": ("US",), "kind": Kind.TV, "order": "newest", "terms": ()}),
        ("한국 드라마 추천", {"countries": ("KR",), "kind": Kind.TV, "genre_ids": ()}),
        ("감동적인 드라마 영화", {"kind": Kind.MOVIE, "genre_ids": (18,)}),
        ("영화나 시리즈 아무거나", {"kind": None}),
        ("넷플릭스에 있는 것만", {"provider_ids": (8,), "terms": ()}),
        ("action movies on Disney+", {"provider_ids": (337,), "genre_ids": (28,), "kind": Kind.MOVIE, "terms": ()}),
        ("넷플릭스 말고 왓챠에 있는 영화", {"provider_ids": (97,), "terms": ()}),
        ("공포 말고 코미디", {"genre_ids": (35,), "excluded_genre_ids": (27,)}),
        ("무섭지 않은 스릴러", {"genre_ids": (53,), "excluded_genre_ids": (27,)}),
        ("not horror please", {"genre_ids": (), "excluded_genre_ids": (27,)}),
        ("고전 명작 영화", {"year_to": 1989, "order": "best"}),
        ("요즘 인기 있는 영화", {"order": "newest"}),
        ("인셉션을 본 뒤 볼 영화", {"kind": Kind.MOVIE}),
        ("인셉션 같은 영화", {"similar": True, "terms": ("인셉션",)}),
        ("톰 행크스", {"terms": ("행크스",)}),
        ("", {"terms": (), "said": ()}),
    ],
)
def test_a_sentence_is_read(message: str, stated: dict[str, Any]) -> None:
    intent = read(message)
    assert {name: getattr(intent, name) for name in stated} == stated


def test_a_mood_brings_genres_and_keeps_out_what_would_spoil_it() -> None:
    intent = read("비 오는 날 볼만한 잔잔한 영화")
    assert 18 in intent.moods[0].genres
    assert 27 in intent.excluded_genre_ids
    assert intent.terms == ()


def test_a_mood_never_excludes_a_genre_that_was_asked_for() -> None:
    intent = read("잔잔한 범죄 스릴러")
    assert intent.genre_ids == (80, 53) or set(intent.genre_ids) == {80, 53}
    assert not {80, 53} & set(intent.excluded_genre_ids)


@pytest.mark.parametrize("message", ["a warm award-winning cast", "애니멀 킹덤", "퓨처라마 톱니"])
def test_a_word_inside_another_word_is_not_read(message: str) -> None:
    intent = read(message)
    assert 10752 not in intent.genre_ids


def test_what_was_understood_is_told_in_korean_and_in_tmdbs_words() -> None:
    intent = read("2019년 한국 스릴러")
    assert intent.said == ("스릴러", "2019년", "한국")
    assert intent.parameters() == {
        "with_genres": "53",
        "primary_release_date.gte": "2019-01-01",
        "primary_release_date.lte": "2019-12-31",
        "with_origin_country": "KR",
    }


@pytest.mark.parametrize(
    ("word", "bare"), [("인셉션을", "인셉션"), ("부산행에서", "부산행"), ("나이", "나이"), ("기생충", "기생충"), ("inception", "inception")]
)
def test_a_particle_is_taken_off_a_noun(word: str, bare: str) -> None:
    assert without_particle(word) == bare


@given(st.text(max_size=300))
def test_no_text_whatever_breaks_the_reading(message: str) -> None:
    intent = read(message)
    assert len(intent.terms) <= 12
    assert intent.parameters() is not None


@given(st.lists(st.sampled_from("2019년 년대 90 's 이후 - ~ 한국 공포 말고 안 not 초반 넷플릭스 같은 0 2000".split()), max_size=12))
def test_no_mixture_of_known_words_breaks_the_reading(words: list[str]) -> None:
    intent = read(" ".join(words))
    assert intent.year_from is None or intent.year_to is None or intent.year_from <= intent.year_to
