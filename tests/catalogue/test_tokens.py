"""Words in the search index."""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.catalogue.tokens import Place, Term, fold, index_name_tokens, index_tokens, join_syllables, terms

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=60)


def test_hangul_becomes_bigrams_and_its_last_syllable() -> None:
    assert index_tokens("잔잔한 밤") == "잔잔 잔한 한 밤"


def test_other_words_stay_whole() -> None:
    assert index_tokens("Blade Runner 2049: SF영화") == "blade runner 2049 sf 영화 화"


def test_kana_and_han_are_cut_as_hangul_is() -> None:
    assert index_tokens("千と千尋の") == "千と と千 千尋 尋の の"


def test_case_width_and_accents_make_no_difference() -> None:
    assert fold("ＡＭÉLIE") == fold("amelie") == "amelie"
    assert fold("Ёлки") == fold("елки")


def test_decomposed_hangul_is_composed() -> None:
    assert fold(unicodedata.normalize("NFD", "한국")) == "한국"


def test_english_endings_are_left_out() -> None:
    assert index_tokens("Grey's Anatomy, don’t") == "grey anatomy don"


def test_a_title_is_found_without_its_spaces() -> None:
    assert "리포" in index_name_tokens("해리 포터와 돌").split()
    assert "리포" not in index_tokens("해리 포터와 돌").split()
    assert join_syllables("스파이더맨: 노 웨이 홈") == "스파이더맨노웨이홈"
    assert join_syllables("la la land") == "la la land"


def test_a_query_gives_each_word_once_and_not_too_many() -> None:
    assert [term.text for term in terms("좀비 좀비 영화!! ZOMBIE", 12)] == ["좀비", "영화", "zombie"]
    assert len(terms(" ".join(map(str, range(100))), 12)) == 12
    assert len(terms("가" * 1000, 12)[0].text) == 40


@pytest.mark.parametrize("text", ["", " ", "!?…", '"', "\x00", "\ud800", "👍", "_"])
def test_signs_are_no_words(text: str) -> None:
    assert terms(text, 12) == ()


def test_expressions_are_quoted() -> None:
    assert Term("잔잔한", syllabic=True).match() == '"잔잔 잔한"'
    assert Term("비", syllabic=True).match("names") == 'names : "비" *'
    assert Term("near", syllabic=False).match() == '"near"'
    assert Term('a"b', syllabic=False).match() == '"a""b"'


@pytest.mark.parametrize(
    ("word", "stem"),
    [("시간여행을", "시간여행"), ("서울에서는", "서울"), ("고양이", "고양"), ("나이", None), ("사람", None), ("is", None)],
)
def test_a_particle_can_be_taken_off_if_two_syllables_stay(word: str, stem: str | None) -> None:
    (term,) = terms(word, 1)
    assert (term.stem.text if term.stem else None) == stem


@pytest.mark.parametrize(
    ("word", "text", "place"),
    [
        ("비", "비가 오는 날", Place.WORD),
        ("비", "봄 비", Place.WORD),
        ("비", "비밀", Place.START),
        ("비", "준비", Place.INSIDE),
        ("비", "준비와 비", Place.WORD),
        ("비", "날", Place.ABSENT),
        ("여행", "시간여행", Place.INSIDE),
        ("여행", "여행자", Place.START),
        ("sf", "sf영화", Place.WORD),
        ("art", "start", Place.ABSENT),
        ("art", "party", Place.ABSENT),
        ("art", "smart_art!", Place.WORD),
        ("2", "22 2", Place.WORD),
        ("art", "art house", Place.WORD),
    ],
)
def test_how_a_word_stands_in_a_text_is_told(word: str, text: str, place: Place) -> None:
    (term,) = terms(word, 1)
    assert term.place_in(text) is place


@given(ANYTHING)
def test_tokens_are_plain_words_whatever_the_text(text: str) -> None:
    index_name_tokens(text).encode()
    for token in index_tokens(text).split(" "):
        assert token == "" or (token.isalnum() and not token.isspace())


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5(names, overview, content='', tokenize='unicode61 remove_diacritics 0')")
    yield connection
    connection.close()


@given(ANYTHING)
def test_no_text_whatsoever_is_a_syntax_error(index: sqlite3.Connection, text: str) -> None:
    for term in terms(text, 12):
        for expression in (term.match(), term.match("names")):
            index.execute("SELECT rowid FROM words WHERE words MATCH ?", (expression,)).fetchall()


@given(st.text(st.sampled_from("가나다비 A1"), max_size=12), st.text(st.sampled_from("가나다비"), min_size=1, max_size=4))
def test_korean_is_found_wherever_it_stands_and_nowhere_else(text: str, word: str) -> None:
    (term,) = terms(word, 1)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5(names, content='', tokenize='unicode61 remove_diacritics 0')")
    connection.execute("INSERT INTO words (rowid, names) VALUES (1, ?)", (index_tokens(text),))
    found = connection.execute("SELECT 1 FROM words WHERE words MATCH ?", (term.match(),)).fetchall()
    connection.close()
    assert bool(found) == (word in text)
    assert (term.place_in(fold(text)) is not Place.ABSENT) == (word in text)
