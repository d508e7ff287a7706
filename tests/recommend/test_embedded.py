"""What the catalogue alone answers to a sentence, judged as a viewer would: on small catalogues, the packaged one and the real half."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from opuscine.catalogue.search import SearchQuery, SearchResult
from opuscine.catalogue.store import CatalogueReader
from opuscine.guard.deadline import Deadline
from opuscine.model import DegradedReason, Film, Kind, OttLink, Recommendation, Source, TitleRef
from opuscine.packaged import packaged_file
from opuscine.providers.table import ProviderTable
from opuscine.recommend.embedded import HURRY_S, SEARCHES, EmbeddedRecommender
from opuscine.recommend.favourites import Favourites
from opuscine.recommend.sentence import SentenceReader
from opuscine.recommend.wish import Wish
from opuscine.settings import CatalogueSettings
from support.catalogues import opened, write_sources
from support.manual_clock import ManualClock

TODAY = date(2026, 1, 15)
HORROR, ACTION, COMEDY, CRIME, WAR, THRILLER, FAMILY, KIDS = 27, 28, 35, 80, 10752, 53, 10751, 10762
ANIMATION, MUSIC, WESTERN, ROMANCE, DRAMA, SF, REALITY = 16, 10402, 37, 10749, 18, 878, 10764


class Shelf:
    """A catalogue, and the queries that were asked of it."""

    def __init__(self, reader: CatalogueReader) -> None:
        self._reader = reader
        self.queries: list[SearchQuery] = []
        self.searches = 0
        self.stuck = False

    @property
    def generation(self) -> str:
        """Return the name of what is served."""
        return self._reader.generation

    async def search(self, query: SearchQuery) -> SearchResult:
        """Search on the spot."""
        if self.stuck:
            await asyncio.Event().wait()
        self.queries.append(query)
        return self._reader.search(query, today=TODAY)

    def links_many(self, refs: Sequence[TitleRef]) -> Mapping[TitleRef, tuple[OttLink, ...]]:
        """Look up links."""
        return self._reader.links_many(refs)

    async def prepared(self, clock: Callable[[], float] = time.monotonic) -> EmbeddedRecommender:
        """Make a recommender that has its favourites at hand, and forget what that took."""
        sentences = SentenceReader(self._reader, ProviderTable.load(), today=lambda: TODAY)
        recommender = EmbeddedRecommender(self, sentences, clock=clock)
        await recommender.prepare()
        self.queries.clear()
        return recommender

    async def recommend(self, message: str, *, page: int = 1, limit: int = 10, **options: Any) -> Recommendation:
        """Ask for films."""
        return await (await self.prepared()).recommend(Wish(message, page, limit, "KR"), **options)

    async def films(self, message: str, *, limit: int = 10) -> list[Film]:
        """Ask for films and return nothing else."""
        return [item.film for item in (await self.recommend(message, limit=limit)).films]


def titles(films: Sequence[Film]) -> list[str]:
    """Return the titles of films."""
    return [film.title for film in films]


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CatalogueReader]:
    """Compile the packaged catalogue once."""
    folder = tmp_path_factory.mktemp("packaged")
    with opened(CatalogueSettings(packaged_file("default_movies.json"), packaged_file("default_series.json"), folder, 1.0, "KR")) as reader:
        yield reader


@pytest.fixture(scope="module")
def half(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CatalogueReader]:
    """Compile the real half-catalogue once."""
    films, series = (real_data / "catalogue" / name for name in ("tmdb_movies_hybrid_final.json", "tmdb_tv_series_final.json"))
    with opened(CatalogueSettings(films, series, tmp_path_factory.mktemp("half"), 1.0, "KR")) as reader:
        yield reader


@pytest.fixture
def shelf(packaged: CatalogueReader) -> Shelf:
    """Give the packaged catalogue."""
    return Shelf(packaged)


@pytest.fixture
def half_shelf(half: CatalogueReader) -> Shelf:
    """Give the real half-catalogue."""
    return Shelf(half)


@pytest.fixture(params=["packaged", "half"])
def either(request: pytest.FixtureRequest) -> Shelf:
    """Give the one catalogue, then the other."""
    return Shelf(request.getfixturevalue(request.param))


def small(folder: Path, films: Sequence[dict[str, Any]], series: Sequence[dict[str, Any]] = ()) -> CatalogueSettings:
    """Write a catalogue of films that are told apart by little."""
    filler = {"vote_average": 7.0, "vote_count": 1000, "overview": ""}
    return write_sources(
        folder,
        [filler | {"tmdb_id": number, "release_date": "2010-01-01"} | film for number, film in enumerate(films, start=1)],
        [filler | {"tmdb_id": number, "first_air_date": "2010-01-01"} | film for number, film in enumerate(series, start=1)]
        or [filler | {"tmdb_id": 1, "name": "어떤 시리즈", "genres": ["코미디"], "first_air_date": "2010-01-01"}],
    )


async def test_the_answer_says_where_it_comes_from(shelf: Shelf) -> None:
    plain = await shelf.recommend("2019년 한국 스릴러")
    assert (plain.source, plain.method, plain.degraded_reason, plain.confidence) == (Source.CATALOGUE, "embedded", None, 0.6)
    assert plain.explanation == "‘스릴러, 2019년, 한국’에 맞는 작품을 카탈로그에서 골랐습니다."
    assert plain.intent_analysis == "파악한 조건: 스릴러, 2019년, 한국"
    degraded = await shelf.recommend("2019년 한국 스릴러", reason=DegradedReason.LLM_TIMEOUT)
    assert degraded.degraded_reason is DegradedReason.LLM_TIMEOUT
    assert degraded.explanation.startswith("지금은 추천 모델의 답을 받을 수 없어 ")
    assert degraded.films == plain.films


@pytest.mark.parametrize(
    ("message", "holds"),
    [
        ("2019년 한국 스릴러", {"years": (2019, 2019), "country": "KR", "genre": THRILLER}),
        ("film noir from 1940s to 1950s", {"years": (1940, 1959)}),
        ("70년대 80년대 영화", {"years": (1970, 1989)}),
        ("70년대와 90년대 영화", {"years": (1970, 1999)}),
        ("movies from 1994", {"years": (1994, 1994)}),
        ("Korean thriller from 2019", {"years": (2019, 2019), "country": "KR"}),
        ("한국 말고 일본", {"country": "JP"}),
        ("외국 영화", {"not_country": "KR"}),
        ("시리즈 말고 영화", {"kind": Kind.MOVIE}),
        ("드라마 추천", {"kind": Kind.TV}),
        ("classic westerns", {"genre": WESTERN, "years": (1900, 1989)}),
        ("요즘 인기 있는 영화", {"years": (2024, 2026)}),
        ("애니멀 다큐", {"genre": 99}),
        ("animated movies not for kids", {"genre": ANIMATION, "not_genre": FAMILY}),
        ("공포영화 빼고 다", {"not_genre": HORROR}),
        ("I hate horror", {"not_genre": HORROR}),
        ("덜 무서운 공포 영화", {"genre": HORROR}),
        ("공포 코미디", {"genre": HORROR}),
        ("잔인하지 않은 스릴러", {"genre": THRILLER, "not_genre": CRIME}),
        ("아이와 함께 볼 애니메이션", {"genre": ANIMATION, "not_genre": WAR}),
    ],
)
async def test_what_is_stated_holds_for_every_film(shelf: Shelf, message: str, holds: dict[str, Any]) -> None:
    films = await shelf.films(message, limit=30)
    assert films
    first, last = holds.get("years", (0, 9999))
    for film in films:
        assert first <= (film.year or 0) <= last
        assert holds.get("country", "") in ("", *film.countries)
        assert film.countries[0] != holds.get("not_country")
        assert film.ref.kind is holds.get("kind", film.ref.kind)
        assert holds.get("genre") in (None, *film.genre_ids)
        assert holds.get("not_genre") not in film.genre_ids
    if message.startswith("70년대와"):
        assert not [film for film in films if 1980 <= (film.year or 0) <= 1989]


async def test_a_quiet_film_for_a_rainy_day_is_quiet(either: Shelf) -> None:
    films = await either.films("비 오는 날 볼만한 잔잔한 영화", limit=10)
    assert "소원" not in titles(films)
    for film in films:
        assert not {HORROR, ACTION, THRILLER, CRIME, WAR} & set(film.genre_ids)
        assert {DRAMA, ROMANCE, FAMILY} & set(film.genre_ids)


async def test_a_sad_film_is_a_drama_or_a_romance_and_no_western(either: Shelf) -> None:
    for film in await either.films("슬픈 영화", limit=10):
        assert {DRAMA, ROMANCE} & set(film.genre_ids)
        assert not {WESTERN, COMEDY, ACTION} & set(film.genre_ids)


async def test_a_scary_film_is_a_horror_film(either: Shelf) -> None:
    assert all(HORROR in film.genre_ids for film in await either.films("무서운 영화", limit=20))


async def test_an_animation_for_children_is_for_children(either: Shelf) -> None:
    for film in await either.films("아이와 함께 볼 애니메이션", limit=20):
        assert {FAMILY, KIDS} & set(film.genre_ids)
        assert ANIMATION in film.genre_ids


async def test_classical_music_is_no_film_called_so(either: Shelf) -> None:
    films = await either.films("클래식 음악 영화")
    assert all(MUSIC in film.genre_ids for film in films)
    assert "클래식" not in titles(films)


async def test_all_works_of_a_title_lead(either: Shelf) -> None:
    films = await either.films("듄")
    assert titles(films)[:2] == ["듄", "듄"]
    assert {film.year for film in films[:2]} == {1984, 2021}
    assert all(SF in film.genre_ids for film in films[2:])


async def test_what_continues_a_title_follows_it(either: Shelf) -> None:
    found = await either.recommend("범죄도시 시리즈", limit=5)
    assert titles([item.film for item in found.films])[0] == "범죄도시"
    assert {"범죄도시 3", "범죄도시 4"} <= set(titles([item.film for item in found.films]))
    assert found.explanation.startswith("‘범죄도시’를 먼저")


async def test_a_word_inside_another_is_no_hit(shelf: Shelf) -> None:
    """The Lord of the Rings (반지의 제왕) is not in the packaged catalogue, and 기생충, which plays in a 반지하, is not it."""
    found = await shelf.recommend("반지의 제왕")
    assert titles([item.film for item in found.films])[0] != "기생충"
    assert "‘반지의 제왕’에 대한 작품을 카탈로그에서 찾지 못해" in found.explanation
    assert found.confidence == 0.3


async def test_a_film_like_another_shares_its_genres_and_is_of_its_kind(either: Shelf) -> None:
    films = await either.films("인터스텔라 같은 영화")
    assert "인터스텔라" not in titles(films)
    assert all(film.ref.kind is Kind.MOVIE and ANIMATION not in film.genre_ids for film in films)
    assert {12, DRAMA, SF} <= set(films[0].genre_ids)
    shared = [len({12, DRAMA, SF} & set(film.genre_ids)) for film in films]
    assert min(shared) >= 1
    assert sum(shared[:5]) >= sum(shared[5:])


async def test_a_series_like_another_is_a_series(either: Shelf) -> None:
    found = await either.recommend("오징어 게임 같은 드라마", limit=20)
    assert len(found.films) >= 10
    assert all(item.film.ref.kind is Kind.TV for item in found.films)
    assert found.explanation == "‘오징어 게임’과 장르가 가까운 작품을 카탈로그에서 골랐습니다."


async def test_a_title_that_the_catalogue_does_not_know_is_said_to_be_missing(half_shelf: Shelf) -> None:
    found = await half_shelf.recommend("movies like Inception")
    assert "‘inception’(이)라는 작품을 카탈로그에서 찾지 못해" in found.explanation
    assert found.confidence == 0.3
    assert found.films


@pytest.mark.parametrize("message", ["지브리", "픽사", "asdfghjkl"])
async def test_words_without_a_hit_are_said_to_have_none(half_shelf: Shelf, message: str) -> None:
    found = await half_shelf.recommend(message)
    assert f"‘{message}’에 대한 작품을 카탈로그에서 찾지 못해 많은 사람이 좋아한 작품을 대신 보여 드립니다." in found.explanation
    assert found.confidence == 0.3
    assert found.films


async def test_words_without_a_hit_beside_what_is_stated(half_shelf: Shelf) -> None:
    found = await half_shelf.recommend("봉준호 감독 영화", reason=DegradedReason.LLM_ERROR)
    assert found.explanation == (
        "지금은 추천 모델의 답을 받을 수 없어 카탈로그에서 골랐습니다. "
        "‘봉준호’에 대한 작품 가운데 ‘영화’에 맞는 것을 카탈로그에서 찾지 못해 ‘영화’에 맞는 작품을 대신 보여 드립니다."
    )


@pytest.mark.parametrize("message", ["2019년 한국 스릴러", "한국 말고 일본 영화", "외국 영화"])
async def test_films_of_unknown_country_are_said_to_be_among_them(half_shelf: Shelf, message: str) -> None:
    found = await half_shelf.recommend(message)
    assert any(not item.film.countries for item in found.films)
    assert "국가 정보가 없는 작품이 포함되어 있습니다." in found.explanation
    assert 0.3 <= found.confidence <= 0.4


async def test_a_popularity_that_nobody_knows_is_not_claimed(half_shelf: Shelf) -> None:
    found = await half_shelf.recommend("인기 영화")
    assert "인기도 정보가 없는 작품이 포함되어 있습니다." in found.explanation


async def test_the_making_of_a_series_is_not_among_the_best_films(half_shelf: Shelf) -> None:
    for message in ("인기 영화", "명작 영화", "영화 추천해줘"):
        assert not [title for title in titles(await half_shelf.films(message, limit=30)) if "제작 이야기" in title]


async def test_a_show_at_a_provider_is_found_with_all_that_is_stated(half_shelf: Shelf) -> None:
    found = await half_shelf.recommend("티빙 예능")
    assert "놀라운 토요일" in titles([item.film for item in found.films])
    assert "조건에 모두 맞는 작품이 없어" not in found.explanation


async def test_series_of_a_genre_that_no_series_has_come_from_a_near_one(either: Shelf) -> None:
    found = await either.recommend("스릴러 드라마")
    assert all(item.film.ref.kind is Kind.TV for item in found.films)
    assert all({CRIME, 9648} & set(item.film.genre_ids) for item in found.films)
    assert "시리즈에는 이 장르가 따로 없어 가까운 장르에서 골랐습니다." in found.explanation


async def test_a_provider_that_is_not_wished_for_streams_none_of_the_films(packaged: CatalogueReader) -> None:
    everywhere = await Shelf(packaged).films("영화", limit=100)
    elsewhere = await Shelf(packaged).films("넷플릭스 빼고 영화", limit=100)
    at_netflix = {film.ref for film in await Shelf(packaged).films("넷플릭스 영화", limit=100)}
    assert at_netflix & {film.ref for film in everywhere}
    assert elsewhere
    assert not at_netflix & {film.ref for film in elsewhere}


@pytest.mark.parametrize(("message", "given_up"), [("2035년 몽골 서부 뮤지컬", "장르·연도·국가"), ("티빙 예능", "장르")])
async def test_what_no_film_meets_is_given_up_and_said(shelf: Shelf, message: str, given_up: str) -> None:
    found = await shelf.recommend(message)
    assert found.films
    assert f"모두 맞는 작품이 없어 {given_up} 조건을 빼고" in found.explanation
    assert found.confidence == 0.3


async def test_where_a_year_has_no_films_the_newest_come_nearest(shelf: Shelf) -> None:
    years = [film.year or 0 for film in await shelf.films("올해 개봉한 영화")]
    assert years == sorted(years, reverse=True)
    assert min(years) >= 2024


async def test_a_topic_in_the_title_comes_before_one_in_the_overview(tmp_path: Path) -> None:
    films: list[dict[str, Any]] = [
        {"title": "어느 밤", "genres": ["코미디"], "overview": "마을에 좀비가 나타난다."},
        {"title": "좀비 열차", "genres": ["공포"], "overview": "달리는 열차.", "vote_average": 6.0},
        {"title": "아침", "genres": ["드라마"], "overview": "조용한 마을."},
        {"title": "좀비고등학교", "genres": ["드라마"], "overview": "어떤 학교."},
    ]
    with opened(small(tmp_path, films)) as reader:
        shelf = Shelf(reader)
        assert titles(await shelf.films("좀비"))[:3] == ["좀비고등학교", "좀비 열차", "어느 밤"]
        assert titles(await shelf.films("zombie movies"))[:3] == ["좀비고등학교", "좀비 열차", "어느 밤"]
        assert set(titles(await shelf.films("not zombies"))) == {"아침", "어떤 시리즈"}
        assert titles(await shelf.films("좀비 없는 영화")) == ["아침"]


async def test_a_mood_only_reorders_films_of_its_genres(tmp_path: Path) -> None:
    films: list[dict[str, Any]] = [
        {"title": "복수의 비", "genres": ["스릴러"], "overview": "비 오는 밤의 잔잔한 공포.", "vote_average": 9.0},
        {"title": "비 오는 아침", "genres": ["드라마"], "overview": "비 오는 아침 아이가 납치된다.", "vote_average": 9.0},
        {"title": "조용한 집", "genres": ["드라마", "로맨스"], "overview": "잔잔한 이야기."},
        {"title": "큰 집", "genres": ["드라마"], "overview": "어떤 이야기.", "vote_average": 7.2},
    ]
    with opened(small(tmp_path, films)) as reader:
        assert titles(await Shelf(reader).films("비 오는 날 볼만한 잔잔한 영화")) == ["조용한 집", "큰 집"]


async def test_pages_follow_each_other_whatever_led_the_first(either: Shelf) -> None:
    for message in ("좀비", "듄", "인터스텔라 같은 영화", "비 오는 날 볼만한 잔잔한 영화", "지브리"):
        seen: list[TitleRef] = []
        totals = set()
        for page in (1, 2, 3):
            found = await either.recommend(message, page=page, limit=7)
            seen.extend(item.film.ref for item in found.films)
            totals.add(found.total)
        assert len(seen) == len(set(seen)) == 21
        assert len(totals) == 1
        beyond = await either.recommend(message, page=500, limit=7)
        assert beyond.films == ()
        assert beyond.total in totals
        assert "더 보여 드릴 작품을 찾지 못했습니다" in beyond.explanation


async def test_what_was_given_is_not_repeated(shelf: Shelf) -> None:
    given = tuple(item.film.ref for item in (await shelf.recommend("듄", limit=5)).films)
    again = await shelf.recommend("듄", page=2, limit=5, given=given)
    assert not {item.film.ref for item in again.films} & set(given)
    assert len(again.films) == 5


IN_A_HURRY = ["봉준호 영화", "좀비 영화", "기생충", "비 오는 날 볼만한 잔잔한 영화", "인셉션 같은 영화"]


@pytest.mark.parametrize("message", IN_A_HURRY)
async def test_with_little_time_left_nothing_is_searched_for(shelf: Shelf, message: str) -> None:
    clock = ManualClock()
    deadline = Deadline(0.5, clock)
    clock.advance(0.4)
    found = await shelf.recommend(message, deadline=deadline)
    assert len(found.films) == 10
    assert shelf.queries == []
    assert "too little time" in found.reasoning
    assert found.confidence <= 0.3


@pytest.mark.parametrize(("message", "fits"), [
    ("2019년 한국 스릴러", lambda film: film.year == 2019 and "KR" in film.countries),
    ("공포 영화 말고 코미디 영화", lambda film: HORROR not in film.genre_ids and COMEDY in film.genre_ids),
    ("한국 드라마 시리즈", lambda film: film.ref.kind is Kind.TV and "KR" in film.countries),
])  # fmt: skip
async def test_what_the_sentence_states_holds_in_a_hurry_too(shelf: Shelf, message: str, fits: Callable[[Film], bool]) -> None:
    found = await shelf.recommend(message, reason=DegradedReason.OVERLOADED, deadline=Deadline(0.1))
    assert found.films
    assert all(fits(item.film) for item in found.films)


async def test_what_nothing_fits_is_given_up_in_a_hurry_and_said(shelf: Shelf) -> None:
    found = await shelf.recommend("1950년대 아이슬란드 뮤지컬", deadline=Deadline(0.1))
    assert found.films
    assert "조건을 빼고" in found.explanation


async def test_in_a_hurry_films_stream_where_they_are_wished_for(shelf: Shelf, packaged: CatalogueReader) -> None:
    found = await shelf.recommend("넷플릭스에서 볼 수 있는 영화", deadline=Deadline(0.1))
    places = packaged.links_many([item.film.ref for item in found.films])
    assert found.films
    assert all(any(link.provider_id == 8 and link.region == "KR" for link in links) for links in places.values())


async def test_the_title_that_is_named_comes_first_in_a_hurry_and_pages_follow_each_other(shelf: Shelf) -> None:
    pages = [await shelf.recommend("기생충", page=page, limit=5, deadline=Deadline(0.1)) for page in (1, 2)]
    assert pages[0].films[0].film.title == "기생충"
    assert len({item.film.ref for page in pages for item in page.films}) == 10
    given = tuple(item.film.ref for item in pages[0].films)
    again = await shelf.recommend("기생충", page=2, limit=5, given=given, deadline=Deadline(0.1))
    assert not {item.film.ref for item in again.films} & set(given)


async def test_a_search_that_does_not_end_is_left_in_time(shelf: Shelf) -> None:
    recommender = await shelf.prepared()
    shelf.stuck = True
    deadline = Deadline(HURRY_S + 0.05)
    found = await recommender.recommend(Wish("좀비 영화", 1, 10, "KR"), deadline=deadline)
    assert found.films
    assert not deadline.expired


async def test_in_the_models_place_nobody_queues_for_a_search(shelf: Shelf) -> None:
    recommender = await shelf.prepared()
    shelf.searches = 1
    wish = Wish("좀비 영화", 1, 10, "KR")
    await recommender.recommend(wish, reason=DegradedReason.OVERLOADED, deadline=Deadline(5))
    assert (shelf.queries, recommender.hurried) == ([], 1)
    await recommender.recommend(wish, deadline=Deadline(5))
    assert shelf.queries
    assert recommender.hurried == 1


async def test_in_the_models_place_only_so_many_searches_are_made(shelf: Shelf) -> None:
    clock = ManualClock()
    recommender = await shelf.prepared(clock)
    wish = Wish("좀비 영화", 1, 10, "KR")
    for _ in range(SEARCHES.limit + 5):
        assert (await recommender.recommend(wish, reason=DegradedReason.LLM_ERROR)).films
    assert recommender.hurried == 5
    clock.advance(1.0)
    await recommender.recommend(wish, reason=DegradedReason.LLM_ERROR)
    assert recommender.hurried == 5


async def test_favourites_follow_a_new_generation(shelf: Shelf, packaged: CatalogueReader) -> None:
    favourites = Favourites(shelf)
    await favourites.stock()
    await favourites.stock()
    assert len(shelf.queries) == 2
    packaged_generation, packaged.generation = packaged.generation, "newer"
    try:
        assert not favourites.current
        await favourites.stock()
    finally:
        packaged.generation = packaged_generation
    assert len(shelf.queries) == 4


async def test_with_time_left_words_are_searched_for(shelf: Shelf) -> None:
    await shelf.recommend("봉준호 영화", deadline=Deadline(5.0, ManualClock()))
    assert [bool(query.text) for query in shelf.queries] == [True, False]


async def test_nothing_at_all_is_said_to_be_nothing(tmp_path: Path) -> None:
    with opened(small(tmp_path, [{"title": "하나", "genres": ["공포"]}])) as reader:
        found = await Shelf(reader).recommend("공포 말고", given=(TitleRef(Kind.TV, 1),))
        assert titles([item.film for item in found.films]) == ["하나"]  # the exclusion is the last to be given up
        assert "제외 조건을 빼고" in found.explanation
        everything = (TitleRef(Kind.TV, 1), TitleRef(Kind.MOVIE, 1))
        empty = await Shelf(reader).recommend("공포", given=everything)
        assert (empty.films, empty.total, empty.confidence) == ((), 0, 0.3)
