"""Titles that are the same words have one key, and only those."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opuscine.catalogue.titles import read_title, split_year, title_key


@pytest.mark.parametrize(
    "spellings",
    [
        ("The Godfather", "Godfather, The", "Godfather;The", "the GODFATHER", " “The Godfather” ", "<The Godfather>"),
        ("A Star Is Born", "Star Is Born, A", "star is born"),
        ("An Education", "Education, An"),
        ("Les Misérables", "Misérables, Les", "Les Miserables", "Les Mise\u0301rables"),
        ("L'Avventura", "L’Avventura", "Avventura, L'"),
        ("스타 워즈", "스타워즈", "《스타 워즈》", "스타\u200b워즈"),
        ("시카리오:  암살자의 도시", "시카리오 - 암살자의 도시"),
        ("릴로 & 스티치", "릴로&스티치", "릴로 · 스티치"),
        ("기생충", "기생충".encode().decode(), "\u1100\u1175\u1109\u1162\u11bc\u110e\u116e\u11bc"),
        ("ポケットモンスター", "ﾎﾟｹｯﾄﾓﾝｽﾀｰ"),
        ("WALL·E", "Wall-E", "WALL-E"),
        ("S.W.A.T.", "SWAT", "S. W. A. T."),
        ("A.I. Artificial Intelligence", "AI: Artificial Intelligence"),
        ("8½", "8 1/2", "８ ½"),
        ("Alien³", "Alien 3"),
        ("20,000 Leagues Under the Sea", "20000 Leagues Under the Sea"),
        ("9-1-1: Lone Star", "9 1 1 Lone Star"),
        ("Ocean's Eleven", "Oceans Eleven", "Ocean’s Eleven"),
        ("Lego™ Movie", "Lego Movie"),
        ("SPY×FAMILY", "Spy x Family"),
        ("İstanbul", "istanbul"),
        ("Straße", "STRASSE"),
        ("Smørgasbørd", "smorgasbord"),
        ("???", "？？？"),
    ],
)
def test_spellings_of_one_title_share_a_key(spellings: tuple[str, ...]) -> None:
    assert len({title_key(spelling) for spelling in spellings}) == 1
    assert title_key(spellings[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("9-1-1", "911"),
        ("1 12", "11 2"),
        ("???", "!!!"),
        ("ハハ", "パパ"),
        ("й", "и"),
        ("आज", "आजा"),
        ("Die Hard", "Hard"),
        ("La La Land", "La Land"),
        ("더 문", "문"),
        ("Coco", "Coco 2"),
        ("기생충", "기생층"),
    ],
)
def test_different_titles_have_different_keys(one: str, other: str) -> None:
    assert title_key(one) != title_key(other)


@pytest.mark.parametrize(
    ("title", "key"), [("The", "the"), ("A", "a"), ("The ???", "the"), ("The The", "the"), ("", ""), (" \n", ""), ("\ud800", "")]
)
def test_an_article_alone_stays_and_nothing_has_no_key(title: str, key: str) -> None:
    assert title_key(title) == key


@settings(deadline=None)
@given(st.text(max_size=600))
def test_a_key_is_its_own_key_and_can_be_stored(text: str) -> None:
    key = title_key(text)
    assert title_key(key) == key
    key.encode()


@pytest.mark.parametrize(
    "text",
    ["바다 가나 12345", "Film 12", "The Film", "a", "the", "An 1", "1 2", "1 a 2", "9 1 1", "Ａ 1", "K2", "x" * 501, " 밤", "밤  낮"],
)
def test_a_title_that_comes_once_has_the_same_key(text: str) -> None:
    assert read_title(text) == title_key(text)


@given(st.text(st.sampled_from("가힣aAthen 019,:éK"), max_size=30))
def test_any_title_that_comes_once_has_the_same_key(text: str) -> None:
    assert read_title(text) == title_key(text)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_case_and_width_do_not_matter(text: str) -> None:
    assert title_key(f"  {text}\u3000") == title_key(text)


@pytest.mark.parametrize("piece", ["\u0301\u0316", "a,", "the ", "((", "\ufdfa", ", the", "１,"])
def test_a_megabyte_is_no_title_and_costs_next_to_nothing(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    begun = time.process_time()
    title_key(text)
    split_year(text + ")")
    assert time.process_time() - begun < 0.1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("기생충 (2019)", ("기생충", 2019)),
        ("기생충(2019)", ("기생충", 2019)),
        ("기생충 (2019년)", ("기생충", 2019)),
        ("기생충（２０１９）", ("기생충", 2019)),
        ("기생충 [2019] ", ("기생충", 2019)),
        ("기생충【2019】", ("기생충", 2019)),
        ("Parasite (2019 film)", ("Parasite", 2019)),
        ("Parasite (film, 2019)", ("Parasite", 2019)),
        ("기생충 (영화 2019)", ("기생충", 2019)),
        ("Fargo (TV Series 2014–2024)", ("Fargo", 2014)),
        ("Fargo (2014-)", ("Fargo", 2014)),
        ("Fargo (2014 - present)", ("Fargo", 2014)),
        ("2012 (2009)", ("2012", 2009)),
        ("(500) Days of Summer (2009)", ("(500) Days of Summer", 2009)),
        ("(500) Days of Summer", ("(500) Days of Summer", None)),
        ("Blade Runner 2049", ("Blade Runner 2049", None)),
        ("1917", ("1917", None)),
        ("(2012)", ("(2012)", None)),
        ("어떤 방 (1408)", ("어떤 방 (1408)", None)),
        ("먼 미래 (9999)", ("먼 미래 (9999)", None)),
        ("제목 (12345)", ("제목 (12345)", None)),
        ("제목 (감독판)", ("제목 (감독판)", None)),
        ("제목 2019)", ("제목 2019)", None)),
        ("제목 (2019]", ("제목 (2019]", None)),
        ("  제목  ", ("제목", None)),
        ("", ("", None)),
    ],
)
def test_only_a_year_in_brackets_at_the_end_is_split_off(text: str, parts: tuple[str, int | None]) -> None:
    assert split_year(text) == parts


@settings(deadline=None)
@given(st.text(max_size=80))
def test_splitting_never_raises_and_only_shortens(text: str) -> None:
    title, year = split_year(text)
    assert text.strip().startswith(title)
    assert year is None or 1870 <= year <= 2100


def test_every_real_title_has_a_key_and_different_titles_rarely_share_one(real_data: Path) -> None:
    """Of the real titles none folds to nothing, and those that fold together are the same words in another spelling."""
    films = json.loads((real_data / "catalogue" / "tmdb_movies_hybrid_final.json").read_text())["movies"]
    by_key: dict[str, set[str]] = {}
    for film in films:
        by_key.setdefault(title_key(film["title"]), set()).add("".join(film["title"].split()).casefold())
    assert "" not in by_key
    assert [spellings for spellings in by_key.values() if len(spellings) > 1] == []
