"""A film that contradicts what the sentence states is dropped; what is not known of it, and what is not certain, drops nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.model import Film, Kind, Match, MatchMethod, OfferType, OttLink, RecommendedFilm, TitleRef
from opuscine.providers.table import ProviderTable
from opuscine.recommend.constraints import broken_constraint, constrain, streams_at
from opuscine.recommend.intent import Facts, Intent, read_intent

ACTION, COMEDY, DRAMA, HORROR, ROMANCE, THRILLER, WESTERN = 28, 35, 18, 27, 10749, 53, 37
TV_ACTION, CRIME, REALITY, TALK = 10759, 80, 10764, 10767
TABLE = ProviderTable.load()


def film(kind: Kind = Kind.MOVIE, **facts: Any) -> Film:
    """Make a film of which everything is known, but for what is said."""
    known: dict[str, Any] = {"release_date": "2019-05-30", "countries": ("KR",), "genre_ids": (ACTION, DRAMA)}
    return Film(TitleRef(kind, 1), "제목", **(known | facts))


def recommended(*films: Film) -> list[RecommendedFilm]:
    """Make films of a model's reply."""
    return [RecommendedFilm(one, Match(MatchMethod.ID, 1.0)) for one in films]


@pytest.mark.parametrize(
    ("facts", "broken"),
    [
        (Facts(), ""),
        (Facts(kind=Kind.MOVIE, years=((2019, 2019),), countries=("KR", "JP"), genre_groups=((ACTION,), (DRAMA,))), ""),
        (Facts(kind=Kind.TV), "kind"),
        (Facts(years=((2020, None),)), "year"),
        (Facts(years=((None, 2018),)), "year"),
        (Facts(years=((1970, 1979), (1990, 1999))), "year"),
        (Facts(years=((1970, 1979), (2010, 2019))), ""),
        (Facts(countries=("US",)), "country"),
        (Facts(unwanted_countries=("KR",)), "country"),
        (Facts(unwanted_countries=("US",)), ""),
        (Facts(genre_groups=((ACTION,), (HORROR,))), "genre"),
        (Facts(genre_groups=((ACTION, HORROR),)), ""),
        (Facts(unwanted_genres=(DRAMA,)), "genre"),
        (Facts(unwanted_genres=(HORROR,)), ""),
    ],
)
def test_a_film_is_held_to_what_is_stated(facts: Facts, broken: str) -> None:
    assert broken_constraint(film(), facts) == broken


def test_what_is_not_known_speaks_against_nothing() -> None:
    stated = Facts(years=((1990, 1999),), countries=("US",), unwanted_countries=("KR",), genre_groups=((HORROR,),))
    assert broken_constraint(film(release_date="", countries=(), genre_ids=()), stated) == ""


def test_a_work_of_several_countries_is_from_the_first() -> None:
    assert broken_constraint(film(countries=("GB", "US")), Facts(unwanted_countries=("US",))) == ""


def test_a_series_genre_that_means_the_same_counts() -> None:
    assert broken_constraint(film(Kind.TV, genre_ids=(TV_ACTION,)), Facts(genre_groups=((ACTION,),))) == ""


@pytest.mark.parametrize("wished", [THRILLER, HORROR, ROMANCE])
def test_a_series_is_not_held_to_a_genre_that_no_series_has(wished: int) -> None:
    assert broken_constraint(film(Kind.TV, genre_ids=(CRIME, DRAMA)), Facts(genre_groups=((wished,),))) == ""
    assert broken_constraint(film(genre_ids=(CRIME, DRAMA)), Facts(genre_groups=((wished,),))) == "genre"


def test_what_was_dropped_is_counted_by_constraint() -> None:
    items = recommended(*(film(**facts) for facts in ({}, {"release_date": "1999"}, {"countries": ("US",)})))
    constrained = constrain(items, Intent(certain=Facts(years=((2019, None),), countries=("KR",))))
    assert constrained.films == (items[0],)
    assert constrained.dropped == {"year": 1, "country": 1}


def test_only_what_is_certain_drops_films() -> None:
    items = recommended(film())
    assert constrain(items, Intent(facts=Facts(kind=Kind.TV, countries=("US",)))).films == tuple(items)


def test_a_film_that_the_message_names_stays_and_one_that_it_does_not_want_goes() -> None:
    items = recommended(film())
    against = Facts(kind=Kind.TV, years=((1990, 1999),), countries=("US",), genre_groups=((WESTERN,),))
    assert constrain(items, Intent(certain=against, named=frozenset({items[0].film.ref}))).films == tuple(items)
    assert constrain(items, Intent(unwanted=frozenset({items[0].film.ref}))).dropped == {"title": 1}


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("I hate horror", {"genre_ids": (COMEDY,)}),
        ("I don't want horror", {"genre_ids": (DRAMA,)}),
        ("영화 1917", {"release_date": "2019-12-25"}),
        ("2001 스페이스 오디세이", {"release_date": "1968-04-02"}),
        ("old boy", {"release_date": "2003-11-21"}),
        ("서부전선 이상없다", {"genre_ids": (DRAMA,)}),
        ("인도네시아 영화", {"countries": ("ID",)}),
        ("스릴러나 공포 영화", {"genre_ids": (HORROR,)}),
        ("코미디 또는 로맨스", {"genre_ids": (ROMANCE,)}),
        ("액션과 코미디", {"genre_ids": (COMEDY,)}),
        ("70년대 80년대 영화", {"release_date": "1985-07-03"}),
        ("70년대 80년대 영화", {"release_date": "1975-07-03"}),
        ("드라마 추천", {"genre_ids": (DRAMA,)}),
        ("고전 영화", {"release_date": "1994-09-10"}),
        ("클래식 음악 영화", {"genre_ids": (DRAMA,)}),
        ("뮤지컬 영화", {"genre_ids": (ROMANCE,)}),
        ("덜 무서운 공포 영화", {"genre_ids": (HORROR,)}),
        ("해리 포터 시리즈", {}),
        ("avengers infinity war", {"genre_ids": (ACTION,)}),
        ("american horror story", {"genre_ids": (DRAMA,), "countries": ("GB",)}),
        ("80년대 배경 영화", {"release_date": "2011-05-04"}),
        ("movies set in Japan", {"countries": ("US",)}),
        ("미국에서 인기 있는 한국 영화", {"countries": ("KR",)}),
        ("로맨틱 코미디 말고 로맨스", {"genre_ids": (ROMANCE,)}),
        ("한국 공포영화 말고 일본 공포영화", {"genre_ids": (HORROR,), "countries": ("JP",)}),
        ("무섭지 않은 좀비 영화", {"genre_ids": (HORROR, COMEDY)}),
        ("전쟁의 신", {"genre_ids": (DRAMA,)}),
    ],
)
def test_a_film_that_fits_is_never_dropped(message: str, kept: dict[str, Any]) -> None:
    intent = read_intent(message, providers=TABLE, this_year=2026)
    assert constrain(recommended(film(**kept)), intent).dropped == {}


@pytest.mark.parametrize(
    ("message", "dropped", "why"),
    [
        ("I hate horror", {"genre_ids": (HORROR,)}, "genre"),
        ("no horror or thriller please", {"genre_ids": (THRILLER,)}, "genre"),
        ("공포나 스릴러 빼고 추천해줘", {"genre_ids": (HORROR,)}, "genre"),
        ("공포영화는 싫어요", {"genre_ids": (HORROR,)}, "genre"),
        ("스릴러나 공포 영화", {"genre_ids": (COMEDY,)}, "genre"),
        ("로맨틱 코미디", {"genre_ids": (COMEDY,)}, "genre"),
        ("액션 코미디", {"genre_ids": (ACTION,)}, "genre"),
        ("한국 말고 일본", {"countries": ("KR",)}, "country"),
        ("한국 영화 말고", {"countries": ("KR",)}, "country"),
        ("외국 영화", {"countries": ("KR",)}, "country"),
        ("한국이나 일본 영화", {"countries": ("US",)}, "country"),
        ("70년대 80년대 영화", {"release_date": "1990-01-01"}, "year"),
        ("70년대와 90년대 영화", {"release_date": "1985-01-01"}, "year"),
        ("2019년 한국 스릴러", {"release_date": "2018-01-01"}, "year"),
        ("movies from 1994", {"release_date": "1995-01-01"}, "year"),
        ("film noir from 1940s to 1950s", {"release_date": "1961-01-01"}, "year"),
    ],
)
def test_a_film_that_contradicts_the_sentence_is_dropped(message: str, dropped: dict[str, Any], why: str) -> None:
    intent = read_intent(message, providers=TABLE, this_year=2026)
    assert constrain(recommended(film(**({"genre_ids": ()} | dropped))), intent).dropped == {why: 1}


@pytest.mark.parametrize(
    ("message", "dropped"),
    [("시리즈 말고 영화", Kind.TV), ("영화 말고 드라마", Kind.MOVIE), ("movies, no series", Kind.TV), ("미드", Kind.MOVIE)],
)
def test_films_and_series_are_told_apart(message: str, dropped: Kind) -> None:
    intent = read_intent(message, providers=TABLE, this_year=2026)
    other = Kind.TV if dropped is Kind.MOVIE else Kind.MOVIE
    assert constrain(recommended(film(dropped, countries=("US",))), intent).dropped == {"kind": 1}
    assert constrain(recommended(film(other, countries=("US",))), intent).dropped == {}


def test_either_sort_of_show_is_a_show() -> None:
    intent = read_intent("티빙 예능", providers=TABLE, this_year=2026)
    for genre in (REALITY, TALK):
        assert constrain(recommended(film(Kind.TV, genre_ids=(genre,))), intent).dropped == {}


def test_a_film_streams_at_a_provider_that_its_links_name() -> None:
    link = OttLink("Netflix", 8, "", 1, "https://example.org", OfferType.FLATRATE, "KR")
    item = RecommendedFilm(film(), Match(MatchMethod.ID, 1.0), links=(link,))
    assert streams_at(item, (8, 97))
    assert not streams_at(item, (97,))
    assert streams_at(item, ())


GENRES = st.sampled_from([(), (ACTION,), (COMEDY, THRILLER), (TV_ACTION,), (-1,)])
COUNTRIES = st.sampled_from([(), ("KR",), ("US", "KR")])
REFS = st.sampled_from([TitleRef(kind, number) for kind in Kind for number in (1, 2)])
FILMS = st.builds(
    Film, REFS, st.just("제목"), release_date=st.sampled_from(["", "x", "1999-01-01", "2019"]), countries=COUNTRIES, genre_ids=GENRES
)
STATED = st.builds(
    Facts,
    genre_groups=st.sampled_from([(), ((ACTION,),), ((COMEDY, ACTION), (THRILLER,)), ((-1,),)]),
    unwanted_genres=GENRES,
    years=st.sampled_from([(), ((None, 2000),), ((1999, 1999), (2000, None))]),
    countries=COUNTRIES,
    unwanted_countries=COUNTRIES,
    kind=st.none() | st.sampled_from(Kind),
)


@given(
    st.lists(FILMS, max_size=5),
    st.builds(Intent, certain=STATED | st.just(Facts()), named=st.frozensets(REFS), unwanted=st.frozensets(REFS)),
)
def test_each_film_is_judged_by_itself(films: list[Film], intent: Intent) -> None:
    items = recommended(*films)
    why = [
        "title" if one.ref in intent.unwanted else "" if one.ref in intent.named else broken_constraint(one, intent.certain)
        for one in films
    ]
    constrained = constrain(items, intent)
    assert constrained.films == tuple(item for item, broken in zip(items, why, strict=True) if not broken)
    assert constrained.dropped == {broken: why.count(broken) for broken in why if broken}
