"""Looking up and searching in a compiled file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opuscine.catalogue.search import Order, SearchQuery
from opuscine.catalogue.store import CatalogueReader, is_damage
from opuscine.catalogue.titles import plain_title, title_key
from opuscine.catalogue.variants import Form, variants_said
from opuscine.errors import CatalogueError
from opuscine.model import Film, Kind, OfferType, TitleRef
from support.catalogues import compile_here, opened, write_sources

TODAY = date(2026, 1, 1)
LIGHTHOUSE = TitleRef(Kind.MOVIE, 615)
DELIVERY = TitleRef(Kind.TV, 615)


@pytest.fixture(scope="module", params=[None, 2], ids=["compiled at once", "compiled in two steps"])
def reader(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[CatalogueReader]:
    with opened(write_sources(tmp_path_factory.mktemp("store")), steps=request.param) as found:
        yield found


def ids(reader: CatalogueReader, **query: Any) -> list[int]:
    return [film.ref.id for film in reader.search(SearchQuery(**query), today=TODAY).films]


def test_a_film_comes_back_as_it_was_read(reader: CatalogueReader) -> None:
    assert reader.get(LIGHTHOUSE) == Film(
        ref=LIGHTHOUSE,
        title="등대지기의 밤",
        original_title="The Lighthouse Keeper",
        aliases=("등대",),
        overview="비가 그치지 않는 외딴섬에서 등대를 지키는 사람의 잔잔한 이야기.",
        release_date="2004-02-25",
        poster_path="/lighthouse.jpg",
        vote_average=7.5,
        vote_count=900,
        popularity=50.0,
        genre_ids=(18,),
        countries=("US",),
        original_language="en",
    )


def test_a_bare_film_comes_back_with_nothing_else(tmp_path: Path) -> None:
    with opened(write_sources(tmp_path, films=[{"id": 1, "title": "a"}], series=[])) as bare:
        assert bare.get(TitleRef(Kind.MOVIE, 1)) == Film(TitleRef(Kind.MOVIE, 1), "a")


def test_films_and_series_of_one_id_are_told_apart(reader: CatalogueReader) -> None:
    found = reader.get_many([LIGHTHOUSE, DELIVERY, TitleRef(Kind.MOVIE, 9)])
    assert {ref: film.title for ref, film in found.items()} == {LIGHTHOUSE: "등대지기의 밤", DELIVERY: "천년 뒤의 배달부"}


@pytest.mark.parametrize("number", [0, -5, 404, 2**63 - 1, 2**63, -(2**70)])
def test_an_id_that_nobody_has_is_nobody(reader: CatalogueReader, number: int) -> None:
    ref = TitleRef(Kind.MOVIE, number)
    assert reader.get(ref) is None
    assert reader.links(ref) is None
    assert not reader.get_many([ref])
    assert not reader.links_many([ref])


def test_links_of_a_film_are_not_those_of_the_series_with_its_id(reader: CatalogueReader) -> None:
    links = reader.links_many([LIGHTHOUSE, DELIVERY])
    assert [(link.provider_name, link.link) for link in links[LIGHTHOUSE]] == [("Netflix", "https://www.netflix.com/kr/title/615")]
    assert [(link.provider_id, link.type, link.region) for link in links[DELIVERY]] == [(337, OfferType.FLATRATE, "KR")]


def test_a_known_title_without_links_is_told_from_an_unknown_one(reader: CatalogueReader) -> None:
    assert reader.links_many([TitleRef(Kind.MOVIE, 7), TitleRef(Kind.MOVIE, 8)]) == {TitleRef(Kind.MOVIE, 7): ()}


def test_links_that_cannot_be_decoded_are_no_links(tmp_path: Path) -> None:
    settings = write_sources(tmp_path)
    manifest = compile_here(settings).manifest
    with closing(sqlite3.connect(settings.cache_dir / manifest.file)) as database:
        database.execute("UPDATE links SET body = x'00'")
        database.commit()
    broken = CatalogueReader(settings.cache_dir / manifest.file, manifest.generation)
    assert broken.links(LIGHTHOUSE) == ()
    broken.retire()


@pytest.mark.parametrize(("text", "role"), [("등대지기의 밤", "title"), ("the LIGHTHOUSE keeper", "original"), ("등대", "alias")])
def test_a_title_is_found_by_each_of_its_names(reader: CatalogueReader, text: str, role: str) -> None:
    (entry,) = reader.titles_by_key(title_key(text))
    assert entry == (LIGHTHOUSE, 2004, role, 50.0)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("등대", [(LIGHTHOUSE, 2004, Form.WHOLE)]),
        ("해리 포터 & 좀비의 성", [(TitleRef(Kind.MOVIE, 3), 2011, Form.WHOLE)]),
        ("좀비 특급열차 (감독판)", [(TitleRef(Kind.MOVIE, 2), 2016, Form.WHOLE)]),
        ("등대지기", []),
    ],
)
def test_a_title_is_found_by_its_variants(reader: CatalogueReader, said: str, found: list[object]) -> None:
    assert [entry for variant in variants_said(plain_title(said)) for entry in reader.titles_by_variant(variant.key)] == found


def test_parts_of_titles_are_found_as_parts(tmp_path: Path) -> None:
    films = [
        {"tmdb_id": 1, "title": "록키 2: 귀환", "original_title": "Rocky II", "aliases": ["록키 2"], "release_date": "1979"},
        {"tmdb_id": 2, "title": "빛과 그림자: 긴 여름의 끝"},
    ]
    with opened(write_sources(tmp_path, films, [])) as bare:
        assert bare.titles_by_variant("록키2") == ((TitleRef(Kind.MOVIE, 1), 1979, Form.WHOLE),)
        assert bare.titles_by_variant("rocky2") == ((TitleRef(Kind.MOVIE, 1), 1979, Form.WHOLE),)
        assert bare.titles_by_variant("빛그림자") == ((TitleRef(Kind.MOVIE, 2), None, Form.SHORT),)
        assert bare.titles_by_variant("긴여름의끝") == ((TitleRef(Kind.MOVIE, 2), None, Form.SHORT),)
        assert bare.titles_spelt_like("rokcy2", 1979) == ((TitleRef(Kind.MOVIE, 1), 1979, "rocky2"),)


@pytest.mark.parametrize(
    ("spelling", "year", "found"),
    [
        ("등대지귀의밤", 2004, ["등대지기의밤"]),
        ("등대지귀의밤", 2005, []),
        ("덩대지기의밤", 2004, ["등대지기의밤"]),
        ("thelighthuosekeeper", 2004, ["thelighthousekeeper"]),
        ("lighthousekeeper", 2004, []),
        ("등", 2004, []),
        ("", 2004, []),
    ],
)
def test_titles_of_a_year_are_found_by_their_beginning_or_end(reader: CatalogueReader, spelling: str, year: int, found: list[str]) -> None:
    assert [entry.spelling for entry in reader.titles_spelt_like(spelling, year)] == found


def test_an_unknown_year_is_none(reader: CatalogueReader) -> None:
    (entry,) = reader.titles_by_key(title_key("무엇도 모르는 영화"))
    assert entry.year is None


@given(st.text(st.characters(exclude_categories=())))
def test_no_key_breaks_the_look_up(reader: CatalogueReader, key: str) -> None:
    assert isinstance(reader.titles_by_key(key), tuple)
    assert isinstance(reader.titles_by_variant(key), tuple)
    assert isinstance(reader.titles_spelt_like(key, 2004), tuple)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("좀비", [5, 3, 2]),  # the one that is called so, then those that hold the word
        ("zombi", [5]),
        ("포터", [3]),
        ("해리포터", [3]),
        ("해리 포터", [3]),
        ("잔잔한", [615]),
        ("등대를", [615]),
        ("열차에서는", [2]),  # as written nowhere: without the particle
        ("비", [615]),  # rain, not 비밀 or 좀비
        ("화", [4]),
        ("SPIDER", [7]),
        ("spiders", []),
        ("lighthouse", [615]),
        ("없는말", []),
    ],
)
def test_words_are_found(reader: CatalogueReader, text: str, found: list[int]) -> None:
    assert [number for number in ids(reader, text=text, kind=Kind.MOVIE) if number in found] == found
    assert ids(reader, text=text, kind=Kind.MOVIE)[: len(found)] == found
    if not found:
        assert ids(reader, text=text) == []


def test_one_syllable_is_found_as_the_beginning_of_a_word(reader: CatalogueReader) -> None:
    assert ids(reader, text="특", kind=Kind.MOVIE) == [2]


def test_a_year_in_brackets_chooses_among_titles_of_that_name(tmp_path: Path) -> None:
    same = [{"id": number, "title": "듄", "release_date": f"{year}-01-01", "popularity": number} for number, year in ((1, 1984), (2, 2021))]
    with opened(write_sources(tmp_path, films=same, series=[])) as found:
        assert ids(found, text="듄") == [2, 1]
        assert ids(found, text="듄 (1984)") == [1, 2]


def test_words_that_occur_together_come_before_those_that_occur_alone(reader: CatalogueReader) -> None:
    assert ids(reader, text="좀비 열차")[0] == 2


def test_common_words_that_occur_together_are_found_among_the_many_with_one_of_them(tmp_path: Path) -> None:
    films = [{"id": number, "title": f"{word} {number}", "popularity": 9.0} for number, word in enumerate(["사랑", "전쟁"] * 400, start=1)]
    films.append({"id": 5000, "title": "전쟁과 사랑", "popularity": 0.1})
    with opened(write_sources(tmp_path, films=films, series=[])) as found:
        assert ids(found, text="없는말 사랑 그 전쟁", limit=1) == [5000]


def test_a_text_of_signs_counts_as_no_text(reader: CatalogueReader) -> None:
    assert reader.search(SearchQuery(text="?!"), today=TODAY).total == 9


def test_a_title_of_signs_is_found(tmp_path: Path) -> None:
    films = [{"id": 1, "title": "???", "popularity": 1}, {"id": 2, "title": "a", "popularity": 2}]
    with opened(write_sources(tmp_path, films=films, series=[])) as found:
        assert ids(found, text="???") == [1]


def test_a_genre_is_found_in_films_and_series(reader: CatalogueReader) -> None:
    assert ids(reader, genre_ids=(28,))[:2] == [2, 9]
    assert ids(reader, genre_ids=(878,))[:1] == [615]


def test_any_or_all_genres_can_be_wished_for(reader: CatalogueReader) -> None:
    assert {2, 5} <= set(ids(reader, genre_ids=(28, 27), kind=Kind.MOVIE))
    assert ids(reader, genre_ids=(28, 27), all_genres=True)[0] == 2
    assert 5 not in ids(reader, genre_ids=(28, 27), all_genres=True)


def test_genres_can_be_excluded_with_what_means_the_same(reader: CatalogueReader) -> None:
    assert not {2, 9} & set(ids(reader, exclude_genre_ids=(28,)))


def test_years_bound_and_titles_of_unknown_year_come_last(reader: CatalogueReader) -> None:
    found = reader.search(SearchQuery(year_from=2010, year_to=2019), today=TODAY)
    assert [film.ref.id for film in found.films] == [3, 2, 9, 7]
    assert (found.total, found.unjudged) == (4, 1)


def test_a_country_that_is_known_to_differ_is_dropped_an_unknown_one_kept_last(reader: CatalogueReader) -> None:
    found = reader.search(SearchQuery(countries=("kr",)), today=TODAY)
    assert [film.ref.id for film in found.films] == [2, 9, 615, 4, 6, 7]
    assert (found.total, found.unjudged) == (6, 4)


def test_any_of_several_countries_fits(reader: CatalogueReader) -> None:
    assert set(ids(reader, countries=("IT", "GB"), kind=Kind.MOVIE)[:2]) == {3, 5}


@pytest.mark.parametrize("country", ["", "K", "KOR", "R,", "\ud800\ud800", "한국"])
def test_what_is_no_country_fits_no_known_one(reader: CatalogueReader, country: str) -> None:
    found = reader.search(SearchQuery(countries=(country,)), today=TODAY)
    assert found.total == found.unjudged == 4


def test_what_is_unjudged_comes_last_among_words_too(reader: CatalogueReader) -> None:
    found = reader.search(SearchQuery(text="영화", countries=("KR",)), today=TODAY)
    assert ([film.ref.id for film in found.films], found.unjudged) == ([6, 7], 2)


def test_films_or_series_alone_can_be_wished_for(reader: CatalogueReader) -> None:
    assert ids(reader, kind=Kind.TV) == [615, 9]


def test_what_a_provider_streams_in_the_region_is_found(reader: CatalogueReader) -> None:
    assert ids(reader, provider_ids=(8,)) == [3, 615]  # 3 by its tier with ads
    assert ids(reader, provider_ids=(8,), region="US") == [2]
    assert ids(reader, provider_ids=(97, 337)) == [2, 615]
    assert ids(reader, provider_ids=(8,), region="\ud800") == ids(reader, provider_ids=(-1, 2**80)) == []


def test_titles_can_be_excluded(reader: CatalogueReader) -> None:
    found = reader.search(SearchQuery(exclude=(LIGHTHOUSE, TitleRef(Kind.MOVIE, 404))), today=TODAY)
    assert (found.total, [film.ref for film in found.films].count(LIGHTHOUSE), [film.ref for film in found.films].count(DELIVERY)) == (
        8,
        0,
        1,
    )


def test_the_best_are_those_that_many_rate_highly(reader: CatalogueReader) -> None:
    best = ids(reader, order="best")
    assert best[0] == 615  # the series: 8.3 of 3000
    assert best.index(3) < best.index(5)  # 8.1 of 20000 before 9.9 of 3
    assert set(best[-2:]) == {6, 7}  # never rated


def test_the_newest_are_out_already(reader: CatalogueReader) -> None:
    newest = ids(reader, order="newest")
    assert newest[:3] == [2, 9, 3]
    assert 6 not in newest
    assert newest[-1] == 7


def test_the_most_popular_come_first_unless_asked_otherwise(reader: CatalogueReader) -> None:
    assert ids(reader, order="popular") == ids(reader) == [3, 2, 615, 615, 9, 4, 6, 7, 5]


@pytest.mark.parametrize(
    "query", [SearchQuery(), SearchQuery(countries=("KR",)), SearchQuery(text="영화 이야기 좀비"), SearchQuery(order="best")]
)
def test_pages_are_slices_of_one_order(reader: CatalogueReader, query: SearchQuery) -> None:
    whole = reader.search(replace(query, limit=100), today=TODAY)
    for limit in (1, 2, 4):
        pages = [reader.search(replace(query, limit=limit, offset=offset), today=TODAY) for offset in range(0, whole.total, limit)]
        assert [film for page in pages for film in page.films] == list(whole.films)
        assert {(page.total, page.unjudged) for page in pages} == {(whole.total, whole.unjudged)}
    assert len(whole.films) == whole.total


def test_a_page_beyond_the_end_is_empty(reader: CatalogueReader) -> None:
    assert ids(reader, offset=10**30) == ids(reader, text="좀비", offset=99) == ids(reader, limit=-1) == []


@given(st.text(st.characters(exclude_categories=()), max_size=200))
@example('"')
@example('" OR NEAR(names : overview *) AND NOT ^ {names} : + -')
@example("좀비* (")
@example("\x00좀비")
@example("\ud800")
@example("'; DROP TABLE titles; --")
@example("가" * 3000)
@example(" ".join(f"{number}단어" for number in range(500)))
def test_no_text_whatsoever_breaks_the_search(reader: CatalogueReader, text: str) -> None:
    for query in (SearchQuery(text=text), SearchQuery(text=text, order="best", countries=("KR",), provider_ids=(8,))):
        assert reader.search(query, today=TODAY).total <= 9


ANY_NUMBER = st.integers(-(2**70), 2**70)


@given(
    st.builds(
        SearchQuery,
        text=st.sampled_from(["", "좀비", "영화"]),
        genre_ids=st.lists(ANY_NUMBER | st.sampled_from([28, 18, 10759]), max_size=3).map(tuple),
        all_genres=st.booleans(),
        exclude_genre_ids=st.lists(ANY_NUMBER | st.just(18), max_size=2).map(tuple),
        year_from=st.none() | ANY_NUMBER | st.integers(1990, 2020),
        year_to=st.none() | ANY_NUMBER | st.integers(1990, 2020),
        countries=st.lists(st.text(max_size=3) | st.just("KR"), max_size=3).map(tuple),
        kind=st.none() | st.sampled_from(Kind),
        provider_ids=st.lists(ANY_NUMBER | st.just(8), max_size=3).map(tuple),
        region=st.text(max_size=2) | st.just("KR"),
        order=st.sampled_from(["relevance", "best", "newest", "popular"]),
        limit=ANY_NUMBER,
        offset=ANY_NUMBER,
    )
)
def test_no_wish_breaks_the_search(reader: CatalogueReader, query: SearchQuery) -> None:
    found = reader.search(query, today=TODAY)
    assert 0 <= found.unjudged <= found.total <= 9
    assert len(found.films) <= found.total


def test_broad_words_stop_early_and_find_the_most_popular(tmp_path: Path) -> None:
    films = [{"id": number, "title": f"사랑 {number}", "overview": "사랑 이야기", "popularity": number} for number in range(1, 1001)]
    films.append({"id": 2000, "title": "고래", "overview": "사랑", "popularity": 0.5})
    with opened(write_sources(tmp_path, films=films, series=[])) as found:
        assert ids(found, text="사랑", limit=3) == [1000, 999, 998]
        assert ids(found, text="사랑 고래", limit=1) == [2000]


def test_searches_may_run_in_several_threads(reader: CatalogueReader) -> None:
    orders: list[Order] = ["relevance", "best", "newest", "popular"]
    with ThreadPoolExecutor(4) as threads:
        queries = [SearchQuery(text=text, order=order) for text in ("좀비", "") for order in orders] * 5
        found = list(threads.map(lambda query: reader.search(query, today=TODAY), queries))
    assert found == [reader.search(query, today=TODAY) for query in queries]


def test_many_different_counts_are_not_all_remembered(reader: CatalogueReader) -> None:
    for year in range(1000, 1500):
        assert reader.search(SearchQuery(year_to=year), today=TODAY).unjudged == 1


def test_a_retired_reader_closes_once_nobody_holds_it(tmp_path: Path) -> None:
    settings = write_sources(tmp_path)
    manifest = compile_here(settings).manifest
    found = CatalogueReader(settings.cache_dir / manifest.file, manifest.generation)
    found.hold()
    found.retire()
    assert found.search(SearchQuery(), today=TODAY).total == 9
    found.release()
    with pytest.raises(sqlite3.ProgrammingError):
        found.get(LIGHTHOUSE)


def test_a_path_with_signs_in_it_can_be_opened(tmp_path: Path) -> None:
    with opened(write_sources(tmp_path / "a?b#c %20 한글")) as found:
        assert found.get(DELIVERY) is not None


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\x00" + b"\x00" * 4096])
def test_what_is_no_catalogue_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.db"
    path.write_bytes(content)
    with pytest.raises(CatalogueError, match=r"file\.db is no compiled catalogue"):
        CatalogueReader(path, "generation")


def test_another_generation_or_another_programs_file_is_refused(tmp_path: Path) -> None:
    settings = write_sources(tmp_path)
    path = settings.cache_dir / compile_here(settings).manifest.file
    with pytest.raises(CatalogueError, match="does not hold the generation other"):
        CatalogueReader(path, "other")
    with closing(sqlite3.connect(path)) as database:
        (generation,) = database.execute("SELECT value FROM meta WHERE name = 'generation'").fetchone()
        database.execute("PRAGMA application_id = 5")
    with pytest.raises(CatalogueError, match="does not hold"):
        CatalogueReader(path, generation)


def test_damage_is_told_from_other_errors() -> None:
    corrupt, other = sqlite3.DatabaseError("malformed"), sqlite3.OperationalError("no such table")
    corrupt.sqlite_errorcode = sqlite3.SQLITE_CORRUPT_VTAB
    other.sqlite_errorcode = sqlite3.SQLITE_ERROR
    assert is_damage(corrupt)
    assert not is_damage(other)
    assert not is_damage(sqlite3.ProgrammingError("closed"))
