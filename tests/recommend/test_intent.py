"""Sentences are read for what they state, in Korean and English; what is not understood is left to be searched for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.model import Kind
from opuscine.providers.table import ProviderTable
from opuscine.recommend.intent import Facts, Intent, read_intent

TABLE = ProviderTable.load()
YEAR = 2026
FACTS = {"genre_groups", "unwanted_genres", "years", "countries", "unwanted_countries", "kind"}


def read(message: str) -> Intent:
    """Read a sentence as of 2026."""
    return read_intent(message, providers=TABLE, this_year=YEAR)


def read_parts(message: str, names: dict[str, Any]) -> dict[str, Any]:
    """Read a sentence and return the parts of these names."""
    intent = read(message)
    return {name: getattr(intent.facts if name in FACTS else intent, name) for name in names}


@pytest.mark.parametrize(
    ("message", "stated"),
    [
        ("2019년 한국 스릴러", {"genre_groups": ((53,),), "countries": ("KR",), "years": ((2019, 2019),), "terms": ()}),
        ("2010년대 액션", {"genre_groups": ((28,),), "years": ((2010, 2019),)}),
        ("90년대 홍콩 느와르 명작", {"genre_groups": ((80,),), "countries": ("HK",), "years": ((1990, 1999),), "order": "best"}),
        ("80s horror", {"genre_groups": ((27,),), "years": ((1980, 1989),), "terms": ()}),
        ("the best romantic comedies of the 1990s", {"genre_groups": ((10749,), (35,)), "years": ((1990, 1999),), "order": "best"}),
        ("2000년대 초반 한국영화", {"countries": ("KR",), "kind": Kind.MOVIE, "years": ((2000, 2003),)}),
        ("2015년 이후 SF 영화", {"genre_groups": ((878,),), "years": ((2015, None),), "kind": Kind.MOVIE}),
        ("2015년 이후 2020년 이전 SF", {"years": ((2015, 2020),)}),
        ("최근 5년 일본 애니", {"years": ((2021, None),), "countries": ("JP",), "genre_groups": ((16,),)}),
        ("올해 개봉한 영화", {"years": ((2026, 2026),), "terms": ()}),
        ("최신 미드 추천해줘", {"countries": ("US",), "kind": Kind.TV, "order": "newest", "terms": ()}),
        ("한국 드라마 추천", {"countries": ("KR",), "kind": Kind.TV, "genre_groups": ()}),
        ("감동적인 드라마 영화", {"kind": Kind.MOVIE, "genre_groups": ((18,),)}),
        ("영화나 드라마 아무거나", {"kind": None, "genre_groups": ()}),
        ("영화나 시리즈 아무거나", {"kind": None}),
        ("해리 포터 시리즈", {"kind": None}),
        ("시트콤", {"kind": Kind.TV, "genre_groups": ((35,),)}),
        ("넷플릭스에 있는 것만", {"provider_ids": (8,), "terms": ()}),
        ("action movies on Disney+", {"provider_ids": (337,), "genre_groups": ((28,),), "kind": Kind.MOVIE, "terms": ()}),
        ("넷플릭스 말고 왓챠에 있는 영화", {"provider_ids": (97,), "terms": ()}),
        ("넷플릭스나 디즈니플러스", {"provider_ids": (8, 337)}),
        ("고전 명작 영화", {"classic": True, "order": "best"}),
        ("요즘 인기 있는 영화", {"order": "popular", "recent": True}),
        ("요즘 영화", {"order": "newest", "recent": False}),
        ("인셉션 같은 영화", {"similar": True, "terms": ("인셉션",)}),
        ("movies like Inception", {"similar": True, "terms": ("inception",)}),
        ("I like horror", {"similar": False, "genre_groups": ((27,),)}),
        ("i would like inception", {"similar": False}),
        ("톰 행크스", {"terms": ("행크스",)}),
        ("봉준호 감독 영화", {"terms": ("봉준호",)}),
        ("007 시리즈", {"terms": ("007",)}),
        ("퇴근하고 시원하게 볼 영화", {"terms": ()}),
        ("애니멀 다큐", {"genre_groups": ((99,),), "terms": ("애니멀",)}),
        ("외국 영화", {"unwanted_countries": ("KR",)}),
        ("made in Korea", {"countries": ("KR",)}),
        ("한국에서 만든 영화", {"countries": ("KR",)}),
        ("old boy", {"classic": False, "years": (), "terms": ("old", "boy")}),
        ("2019 한국 스릴러", {"years": ((2019, 2019),)}),
        ("원더우먼 1984", {"years": (), "terms": ("원더우먼",)}),
        ("", {"terms": (), "said": ()}),
    ],
)
def test_a_sentence_is_read(message: str, stated: dict[str, Any]) -> None:
    assert read_parts(message, stated) == stated


@pytest.mark.parametrize(
    ("message", "groups"),
    [
        ("스릴러나 공포 영화", ((53, 27),)),
        ("코미디 또는 로맨스", ((35, 10749),)),
        ("코미디 영화나 로맨스 영화", ((35, 10749),)),
        ("스릴러, 미스터리", ((53, 9648),)),
        ("액션/스릴러", ((28, 53),)),
        ("horror or thriller", ((27, 53),)),
        ("티빙 예능", ((10764, 10767),)),
        ("로맨틱 코미디", ((10749,), (35,))),
        ("액션 코미디", ((28,), (35,))),
        ("action comedy", ((28,), (35,))),
        ("로코나 액션", ((10749, 28), (35, 28))),
        ("액션 코미디 또는 로맨틱 코미디 또는 공포 스릴러 또는 SF 전쟁", ((28, 35, 10749, 27, 53, 878, 10752),)),
        ("한국이나 일본 스릴러 중에 코미디", ((53,), (35,))),
    ],
)
def test_an_or_is_told_from_an_and(message: str, groups: tuple[tuple[int, ...], ...]) -> None:
    assert read(message).facts.genre_groups == groups


@pytest.mark.parametrize(
    ("message", "stated"),
    [
        ("공포 말고 코미디", {"genre_groups": ((35,),), "unwanted_genres": (27,)}),
        ("not horror please", {"genre_groups": (), "unwanted_genres": (27,)}),
        ("I hate horror", {"genre_groups": (), "unwanted_genres": (27,)}),
        ("don't want horror", {"genre_groups": (), "unwanted_genres": (27,)}),
        ("I’m not in the mood for drama", {"unwanted_genres": (18,)}),
        ("anything but romance", {"unwanted_genres": (10749,)}),
        ("no horror or thriller", {"unwanted_genres": (27, 53)}),
        ("not horror, comedy", {"unwanted_genres": (27,), "genre_groups": ((35,),)}),
        ("I don't mind horror", {"unwanted_genres": (), "genre_groups": ((27,),)}),
        ("no horror movies from korea", {"unwanted_genres": (27,), "countries": ("KR",), "kind": Kind.MOVIE}),
        ("공포나 스릴러 빼고", {"unwanted_genres": (27, 53)}),
        ("공포는 못 봐요", {"unwanted_genres": (27,)}),
        ("공포영화 빼고 다", {"unwanted_genres": (27,), "terms": ()}),
        ("공포만 아니면 돼", {"unwanted_genres": (27,)}),
        ("공포 아니면 스릴러", {"unwanted_genres": (), "genre_groups": ((27, 53),)}),
        ("한국 말고 일본", {"countries": ("JP",), "unwanted_countries": ("KR",)}),
        ("한국 영화 말고", {"countries": (), "unwanted_countries": ("KR",), "kind": Kind.MOVIE}),
        ("한국 드라마 말고 영화", {"countries": ("KR",), "kind": Kind.MOVIE}),
        ("한국 공포영화 말고 일본 공포영화", {"genre_groups": ((27,),), "countries": ("JP",), "unwanted_countries": ("KR",)}),
        ("한국 공포 빼고", {"countries": (), "unwanted_countries": (), "unwanted_genres": (27,)}),
        ("시리즈 말고 영화", {"kind": Kind.MOVIE}),
        ("영화 말고 드라마", {"kind": Kind.TV}),
        ("no series", {"kind": Kind.MOVIE}),
        ("덜 무서운 공포 영화", {"genre_groups": ((27,),), "excluded_genre_ids": ()}),
        ("not too scary horror movie", {"genre_groups": ((27,),), "excluded_genre_ids": ()}),
        ("무섭지 않은 스릴러", {"genre_groups": ((53,),), "excluded_genre_ids": (27,)}),
        ("안 무서운 영화", {"excluded_genre_ids": (27,)}),
        ("무섭지않은영화", {"excluded_genre_ids": (27,), "kind": Kind.MOVIE}),
        ("공포싫어", {"unwanted_genres": (27,)}),
        ("긴장감넘치는 스릴러", {"excluded_genre_ids": (10751, 35, 16), "terms": ()}),
        ("animated movies not for kids", {"genre_groups": ((16,),), "excluded_genre_ids": (10751, 10762)}),
        ("zombie-free horror", {"topics": (), "genre_groups": ((27,),)}),
        ("넷플릭스 빼고", {"provider_ids": (), "unwanted_provider_ids": (8,)}),
        ("넷플릭스 말고 왓챠", {"provider_ids": (97,), "unwanted_provider_ids": ()}),
        ("마블 영화 말고", {"unwanted_words": ("마블",), "terms": (), "kind": Kind.MOVIE}),
        ("non-english movies", {"unwanted_countries": ("US", "GB", "CA", "AU", "NZ", "IE")}),
    ],
)
def test_what_is_not_wished_for_is_told_from_what_is(message: str, stated: dict[str, Any]) -> None:
    assert read_parts(message, stated) == stated


@pytest.mark.parametrize("message", ["잔인하지 않은 영화", "폭력적이지 않은 영화", "nothing too violent", "슬프지 않은 로맨스", "not sad"])
def test_a_mood_that_is_not_wished_for_is_understood(message: str) -> None:
    intent = read(message)
    assert intent.moods == ()
    assert len(intent.unwanted_moods) == 1
    assert any("제외" in word for word in intent.said)


def test_what_a_mood_excludes_is_said() -> None:
    assert read("무섭지 않은 영화").said == ("공포 제외", "영화")
    assert read("슬프지 않은 로맨스").said == ("로맨스", "슬픈 작품 제외")


def test_a_mood_brings_genres_and_keeps_out_what_would_spoil_it() -> None:
    intent = read("비 오는 날 볼만한 잔잔한 영화")
    assert 18 in intent.moods[0].genres
    assert 27 in intent.excluded_genre_ids
    assert intent.terms == ()


def test_a_mood_never_excludes_a_genre_that_was_asked_for() -> None:
    intent = read("잔잔한 범죄 스릴러")
    assert intent.genre_ids == (80, 53)
    assert not {80, 53} & set(intent.excluded_genre_ids)


@pytest.mark.parametrize(
    ("message", "certain"),
    [
        ("2019년 한국 스릴러 영화", Facts(((53,),), (), ((2019, 2019),), ("KR",), (), Kind.MOVIE)),
        ("드라마 추천", Facts()),
        ("고전 영화", Facts(kind=Kind.MOVIE)),
        ("2019 스릴러", Facts(((53,),))),
        ("뮤지컬", Facts()),
        ("액션과 코미디", Facts()),
        ("스릴러나 누아르", Facts()),
        ("범죄 조직", Facts()),
        ("로맨틱 코미디 말고", Facts()),
        ("무섭지 않은 영화", Facts(kind=Kind.MOVIE)),
        ("popular in Korea", Facts()),
        ("영화나 드라마", Facts()),
    ],
)
def test_only_what_leaves_no_doubt_is_certain(message: str, certain: Facts) -> None:
    assert read(message).certain == certain


def test_what_was_understood_is_told_in_korean_and_in_tmdbs_words() -> None:
    intent = read("2019년 한국 스릴러")
    assert intent.said == ("스릴러", "2019년", "한국")
    assert intent.parameters() == {
        "with_genres": "53",
        "primary_release_date.gte": "2019-01-01",
        "primary_release_date.lte": "2019-12-31",
        "with_origin_country": "KR",
    }
    assert read("스릴러나 공포 말고 넷플릭스 영화").parameters() == {
        "without_genres": "53,27",
        "with_watch_providers": "8",
        "media_type": "movie",
    }


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("스릴러나 공포", ("스릴러 또는 공포",)),
        ("2015년 이후", ("2015년부터",)),
        ("1990년 이전", ("1990년까지",)),
        ("70년대 90년대", ("1970년대", "1990년대")),
        ("고전 서부극", ("서부", "고전")),
        ("요즘 인기 있는 영화", ("최근", "영화", "인기순")),
        ("미국 말고", ("미국 제외",)),
        ("좀비 없는 공포", ("공포", "좀비 제외")),
        ("not zombies", ("좀비 제외",)),
        ("tired of superheroes", ("히어로 제외",)),
        ("마블 말고", ("마블 제외",)),
        ("넷플릭스 빼고", ("넷플릭스 제외",)),
        ("긴장감 있고 반전 있는 스릴러", ("스릴러", "긴장감 있는 분위기")),
        ("넷플릭스 우주 영화", ("영화", "넷플릭스", "우주")),
        ("잔잔한 영화", ("영화", "잔잔하고 따뜻한 분위기")),
    ],
)
def test_all_that_narrows_the_choice_is_said(message: str, said: tuple[str, ...]) -> None:
    assert read(message).said == said


def test_the_years_of_what_is_classic_or_recent_give_way_to_those_that_are_stated() -> None:
    assert read("고전 영화").years == ((None, 1989),)
    assert read("90년대 고전 영화").years == ((1990, 1999),)
    assert read("요즘 인기 있는 영화").years == ((2024, None),)
    assert read("인기 있는 영화").years == ()


@given(st.text(max_size=300))
def test_no_text_whatever_breaks_the_reading(message: str) -> None:
    intent = read(message)
    assert len(intent.terms) <= 12
    assert intent.parameters() is not None


@given(
    st.lists(
        st.sampled_from(
            "2019년 년대 90 's 이후 - ~ , 한국 공포 코미디나 로코 영화 드라마 시리즈 좀비 말고 빼고 안 덜 않은 not no or and but 같은 like "
            "배경 in 무서운 슬픈 아이와 넷플릭스 초반 인셉션 0 2000 ? \ue000".split()
        ),
        max_size=16,
    )
)
def test_no_mixture_of_known_words_breaks_the_reading(words: list[str]) -> None:
    intent = read(" ".join(words))
    assert not set(intent.facts.unwanted_genres) & set(intent.genre_ids)
    assert not set(intent.facts.countries) & set(intent.facts.unwanted_countries)
    assert all(first is None or last is None or first <= last for first, last in intent.years)
    assert set(intent.certain.countries) <= set(intent.facts.countries)
    assert set(intent.certain.unwanted_genres) <= set(intent.facts.unwanted_genres)
