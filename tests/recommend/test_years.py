"""Years are read as they are written in Korean and English, with their bounds and lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.recommend.lexicon import fold
from opuscine.recommend.years import YearSpan, find_years, spell_out_decades

YEAR = 2026


def spans(text: str) -> list[YearSpan]:
    """Read the spans of a sentence as of 2026."""
    return [mark.span for mark in find_years(spell_out_decades(fold(text)), YEAR)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019년", [(2019, 2019)]),
        ("2019년도 영화", [(2019, 2019)]),
        ("90년대", [(1990, 1999)]),
        ("10년대", [(2010, 2019)]),
        ("2000년대 초반의", [(2000, 2003)]),
        ("90년대 중반", [(1993, 1996)]),
        ("90년대 말 영화", [(1996, 1999)]),
        ("90년대 말고", [(1990, 1999)]),
        ("the early 2000s", [(2000, 2003)]),
        ("late 90s", [(1996, 1999)]),
        ("the '80s", [(1980, 1989)]),
        ("1990’s", [(1990, 1999)]),
        ("70년대 80년대", [(1970, 1979), (1980, 1989)]),
        ("70년대~80년대", [(1970, 1989)]),
        ("70~80년대", [(1970, 1989)]),
        ("7,80년대", [(1970, 1979), (1980, 1989)]),
        ("1990-2000년대", [(1990, 2009)]),
        ("from 1940s to 1950s", [(1940, 1959)]),
        ("80s and 90s", [(1980, 1989), (1990, 1999)]),
        ("2010~2015년", [(2010, 2015)]),
        ("2015년부터 2020년까지", [(2015, 2020)]),
        ("between 1990 and 1999", [(1990, 1999)]),
        ("2015년 이후", [(2015, None)]),
        ("2015년부터", [(2015, None)]),
        ("2000년대 이후", [(2000, None)]),
        ("since 2015", [(2015, None)]),
        ("after 2015", [(2016, None)]),
        ("from 2015 onwards", [(2015, None)]),
        ("from 2015 on", [(2015, None)]),
        ("from 2015 on netflix", [(2015, 2015)]),
        ("movies from 1994", [(1994, 1994)]),
        ("Korean thriller from 2019", [(2019, 2019)]),
        ("1990년 이전", [(None, 1990)]),
        ("2000년 전 영화", [(None, 2000)]),
        ("before 1990", [(None, 1989)]),
        ("until 1990", [(None, 1990)]),
        ("최근 5년", [(2021, None)]),
        ("지난 10년간", [(2016, None)]),
        ("last 10 years", [(2016, None)]),
        ("the last decade", [(2016, None)]),
        ("past few years", [(2023, None)]),
        ("올해", [(2026, 2026)]),
        ("작년", [(2025, 2025)]),
        ("재작년", [(2024, 2024)]),
        ("last year", [(2025, 2025)]),
        ("10년 전 영화", [(2015, 2017)]),
        ("21세기", [(2001, None)]),
        ("20세기", [(1901, 2000)]),
        ("블레이드 러너 2049", []),
        ("영화 1917", []),
        ("in my 30s", []),
        ("90년생", []),
        ("12019년", []),
        ("지난 년", []),
    ],
)
def test_years_are_read(text: str, expected: list[YearSpan]) -> None:
    assert spans(text) == expected


@pytest.mark.parametrize(
    ("text", "certain"),
    [
        ("2019년 영화", True),
        ("movies of 2019", True),
        ("80s", True),
        ("2019 영화", False),
        ("2001 스페이스 오디세이", False),
        ("10년 전", False),
    ],
)
def test_a_bare_number_is_not_certain_to_be_a_year(text: str, certain: bool) -> None:
    assert [mark.certain for mark in find_years(text, YEAR)] == [certain]


@given(
    st.lists(
        st.sampled_from("2019년 70 80년대 90s ~ - , 이후 이전 since before from to and between 초반 late 최근 5년".split()), max_size=15
    )
)
def test_no_mixture_of_years_breaks_the_reading(words: list[str]) -> None:
    text = spell_out_decades(" ".join(words))
    marks = find_years(text, YEAR)
    assert all(0 <= mark.start < mark.end <= len(text) for mark in marks)
    assert [mark.start for mark in marks] == sorted(mark.start for mark in marks)
