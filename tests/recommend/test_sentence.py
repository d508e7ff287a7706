"""The titles that a message names are told from the words around them, which alone state something."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.catalogue.titles import TitleEntry, title_key
from opuscine.model import Film, Kind, Match, MatchMethod, RecommendedFilm, TitleRef
from opuscine.providers.table import ProviderTable
from opuscine.recommend.constraints import constrain
from opuscine.recommend.lexicon import TITLES
from opuscine.recommend.sentence import LOOKUPS, SentenceReader

ROMANCE, ANIMATION, SF, FANTASY, CRIME, DRAMA = 10749, 16, 878, 14, 80, 18
WORKS = {
    1: Film(TitleRef(Kind.MOVIE, 1), "범죄도시", release_date="2017-10-03", genre_ids=(CRIME,), countries=("KR",)),
    2: Film(TitleRef(Kind.MOVIE, 2), "인셉션", "Inception", release_date="2010-07-15", genre_ids=(SF,), countries=("US",)),
    3: Film(TitleRef(Kind.MOVIE, 3), "전쟁과 평화", release_date="1956-08-21", genre_ids=(DRAMA,), countries=("US",)),
    4: Film(TitleRef(Kind.MOVIE, 4), "신데렐라", release_date="1950-02-22", genre_ids=(ANIMATION, FANTASY), popularity=1.0),
    5: Film(TitleRef(Kind.MOVIE, 5), "신데렐라", release_date="2015-03-06", genre_ids=(ROMANCE, FANTASY), popularity=2.0),
    6: Film(TitleRef(Kind.MOVIE, 6), "스릴러"),
    7: Film(TitleRef(Kind.MOVIE, 7), "밤"),
    8: Film(TitleRef(Kind.MOVIE, 8), "Like Father, Like Son"),
    9: Film(TitleRef(Kind.MOVIE, 9), "클래식", release_date="2003-01-30", genre_ids=(ROMANCE,), countries=("KR",)),
    10: Film(TitleRef(Kind.MOVIE, 10), "듄", release_date="2021-09-15", popularity=9.0),
    11: Film(TitleRef(Kind.MOVIE, 11), "듄", release_date="1984-12-14", popularity=3.0),
    12: Film(TitleRef(Kind.MOVIE, 12), "1917", release_date="2019-12-25"),
    13: Film(TitleRef(Kind.MOVIE, 13), "소원", release_date="2013-10-02", genre_ids=(DRAMA,)),
    14: Film(TitleRef(Kind.TV, 14), "도깨비", release_date="2016-12-02", genre_ids=(DRAMA,), countries=("KR",)),
    15: Film(TitleRef(Kind.MOVIE, 15), "2001 스페이스 오디세이", release_date="1968-04-02", genre_ids=(SF,)),
    16: Film(TitleRef(Kind.MOVIE, 16), "서부전선 이상없다", release_date="2022-10-07", genre_ids=(DRAMA,)),
}


class Titles:
    """A catalogue of these works, which counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.generation = "one"

    def get(self, ref: TitleRef) -> Film | None:
        """Return a work."""
        return WORKS[ref.id]

    def titles_by_key(self, key: str) -> Sequence[TitleEntry]:
        """Return the works of a title."""
        self.asked += 1
        return [
            TitleEntry(film.ref, film.year, "title", film.popularity)
            for film in WORKS.values()
            if key in {title_key(film.title), title_key(film.original_title)}
        ]


def reader(titles: Titles | None = None) -> SentenceReader:
    """Make a reader of the works."""
    return SentenceReader(titles or Titles(), ProviderTable.load(), today=lambda: date(2026, 1, 1))


@pytest.mark.parametrize(
    ("message", "named", "groups", "similar"),
    [
        ("범죄도시", [1], (), False),
        ("범죄도시를 보고 싶어", [1], (), False),
        ("범죄도시 시리즈", [1], (), False),
        ("범죄도시 같은 코미디 영화", [1], ((35,),), True),
        ("인셉션처럼 반전 있는 영화", [2], (), True),
        ("인셉션같은 영화", [2], (), True),
        ("인셉션이랑 비슷한 거", [2], (), True),
        ("인셉션 봤는데 비슷한 거 추천해줘", [2], (), True),
        ("movies like inception", [2], (), True),
        ("I want to watch Inception tonight", [2], (), False),
        ("『인셉션』 느낌의 영화", [2], (), True),
        ("인셉션이나 범죄도시 같은 영화", [1, 2], (), True),
        ("어제 인셉션을 본 뒤 볼 영화", [2], (), False),
        ("전쟁과 평화 같은 영화", [3], (), True),
        ("like father, like son", [8], (), False),
        ("신데렐라 보여줘", [5, 4], (), False),
        ("신데렐라 애니메이션", [4], ((ANIMATION,),), False),
        ("1950년 신데렐라", [4], (), False),
        ("듄", [10, 11], (), False),
        ("듄 보여줘", [10, 11], (), False),
        ("듄 같은 영화", [10, 11], (), True),
        ("밤", [7], (), False),
        ("클래식", [9], (), False),
        ("영화 1917", [12], (), False),
        ("2001 스페이스 오디세이", [15], (), False),
        ("서부전선 이상없다", [16], (), False),
        ("도깨비 같은 드라마", [14], (), True),
        ("드라마 도깨비", [14], (), False),
        # words that only state something, or whose film is not what the message wishes for, name nothing
        ("스릴러 추천", [], ((53,),), False),
        ("클래식 영화", [], (), False),
        ("클래식 음악 영화", [], ((10402,),), False),
        ("classic westerns", [], ((37,),), False),
        ("범죄 영화", [], ((CRIME,),), False),
        ("소원을 들어주는 판타지", [], ((FANTASY,),), False),
        ("오늘 밤에 볼 만한 것", [], (), False),
        ("2003년 인셉션 뮤지컬", [], ((10402,),), False),
        ("something like a comedy", [], ((35,),), False),
    ],
)
def test_a_message_is_read(message: str, named: list[int], groups: tuple[tuple[int, ...], ...], similar: bool) -> None:
    sentence = reader().read(message)
    assert sorted(film.ref.id for film in sentence.namesakes) == sorted(named)
    assert {film.ref for film in sentence.namesakes} == sentence.intent.named
    assert sentence.named == next(iter(sentence.namesakes), None)
    assert sentence.intent.facts.genre_groups == groups
    assert sentence.intent.similar == similar


@pytest.mark.parametrize(("message", "first"), [("듄", 10), ("신데렐라", 5)])
def test_the_more_popular_work_of_a_title_comes_first(message: str, first: int) -> None:
    named = reader().read(message).named
    assert named is not None
    assert named.ref.id == first


def test_one_title_may_be_wished_for_and_another_not() -> None:
    sentence = reader().read("인셉션 말고 범죄도시 같은 영화")
    assert sentence.intent.unwanted == {TitleRef(Kind.MOVIE, 2)}
    assert sentence.intent.named == {TitleRef(Kind.MOVIE, 1)}
    assert sentence.intent.similar


@pytest.mark.parametrize("message", ["인셉션 말고 SF", "인셉션말고 다른 SF 추천", "SF but not Inception", "인셉션 빼고 SF"])
def test_a_title_may_be_named_as_not_wished_for(message: str) -> None:
    sentence = reader().read(message)
    assert sentence.named is None
    assert sentence.intent.unwanted == {TitleRef(Kind.MOVIE, 2)}
    assert sentence.intent.unwanted_words == ()
    assert sentence.intent.facts.genre_groups == ((SF,),)


def test_the_works_that_a_message_names_are_not_dropped_for_what_it_states() -> None:
    intent = reader().read("80년대 한국 드라마 말고 신데렐라 같은 서부극").intent
    named = [RecommendedFilm(WORKS[number], Match(MatchMethod.ID, 1.0)) for number in (4, 5)]
    assert constrain(named, intent).films == tuple(named)


@pytest.mark.parametrize(
    "message",
    [
        "몰라 " * 400,
        "별들이 흐르는 강가에서 만난 사람 " * 90,
        "x" * 2000,
        "인셉션 " * 400,
        '"' * 2000,
        "2019년~" * 330,
        "공포 말고 " * 330,
        "영화" * 1000,
    ],
)
def test_a_long_message_is_read_in_few_milliseconds_and_with_few_look_ups(message: str) -> None:
    titles = Titles()
    read = reader(titles)
    took = []
    for _ in range(5):
        titles.asked = 0
        begun = time.thread_time()
        read.read(message[:2000])
        took.append(time.thread_time() - begun)
        assert titles.asked <= LOOKUPS
    assert min(took) < 0.05  # some 5 ms; a slow machine is no reason to fail


@given(st.text(max_size=200))
def test_no_message_whatever_breaks_the_reading(message: str) -> None:
    assert reader().read(message).intent.terms is not None


@given(st.lists(st.sampled_from("듄 신데렐라 인셉션 같은 말고 비슷한 not like 영화 1950년 『 』 \ue000 클래식 밤 를".split()), max_size=10))
def test_no_mixture_of_titles_breaks_the_reading(words: list[str]) -> None:
    sentence = reader().read(" ".join(words))
    shown = "".join((*sentence.intent.said, *sentence.intent.terms, *sentence.intent.unwanted_words))
    assert not set(shown) & set(TITLES)


def test_a_message_is_read_once_for_each_generation() -> None:
    titles = Titles()
    sentences = reader(titles)
    first = sentences.read("인셉션 같은 영화")
    asked = titles.asked
    assert sentences.read("인셉션 같은 영화") is first
    assert titles.asked == asked
    titles.generation = "two"
    assert sentences.read("인셉션 같은 영화") == first
    assert titles.asked == 2 * asked
