"""Replies that come in pieces, and replies that mean harm."""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from opuscine.llm.protocols.replies import ReadReply, ReplyStream, read_films
from opuscine.model import Suggestion

OBJECTS = '{"explanation": "두 편", "movies": [{"title": "기생충", "year": 2019}, {"title": "It\'s \\"On\\"", "original_title": "x"}]}'
REPLIES = (
    OBJECTS,
    f"Sure!\n```json\n{OBJECTS}\n```\nEnjoy.\n[|Human|] more\n1. Cats",
    OBJECTS[:-30],
    "[{'title': 'It's a Wonderful Life', 'year': 1946}, {'title': 'Heat'}]",
    '["Heat", "Ronin"\nUser: I liked "Cats"',
    '[\n// best\n{title: "Heat"},\n]\n{"title": "Ronin"}\n{"title": "Ro',
    "물론이죠!\n\n1. **기생충** (2019) - 두 가족\n2. 〈괴물〉\n3. 반지의 제왕: 왕의 귀환 (2003)\n\n즐감하세요!\n사용자: 더\n4. 캣츠",
    "1. **Heat**\n   - Year: 1995\n2. **Ronin**\n   A case is wanted.\n3. **Spy**",
    "| Title | Year |\n|--|--|\n| Heat | 1995 |\n| Ronin | 1998 |\n\nDone.",
    "Heat\nRonin\nThe Insider",
    "How about Crazy, Stupid, Love, Heat, or Ronin? Or \nmaybe Spy.",
    'I recommend "Heat" (1995) and “Ronin”.',
    "<think>\n1. Cats\n</think>\n1. Heat\n2. Ronin<|im_end|>",
    "What genre?\nUser: crime\nSystem: [\n[|Human|] x\nSystem: 1. Heat",
    "```python\nx = ['Cats']\n```\n1. Heat\r\n2. Ronin\u2028\ud800",
    "['71 was a film.\n[ 'x' {  ",
    "Sure, what genre are you in the mood for?",
)
FRAGMENTS = (
    *"[]{}\"'“”‘’『』<>()|:,.#*`-–?!/\\ \n\r\t\x00\ud800",
    *(
        '"title"',
        "title",
        '"movies"',
        "movies",
        "Heat",
        "(1999)",
        "1.",
        "2.",
        "**",
        "```",
        "```json\n",
        "```python\n",
        "<|im_end|>",
        "[|Human|]",
    ),
    *(
        "[|",
        "User:",
        "System:",
        "<think>",
        "</think>",
        "//",
        "recommend ",
        "like ",
        "기생충",
        "추천",
        "그리고",
        "\\u00",
        "true",
        "1999",
        "...",
    ),
    *REPLIES[::3],
)

fragments = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["Heat", "Heat (1995)", "movie", "1995-12-15"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["title", "name", "year", "movies", "data", "type", "genres", "제목", "question", "id"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)


@st.composite
def mutilated(draw: st.DrawFn) -> str:
    """Draw JSON of nearly the right shape, with a few places cut out or overwritten."""
    text = json.dumps(draw(json_values), ensure_ascii=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(st.sampled_from(("", *FRAGMENTS))) + text[start + draw(st.integers(0, 6)) :]
    return text


def pieces_of(text: str, lengths: Iterable[int]) -> Iterable[str]:
    """Cut a text into pieces of these lengths, and what is left."""
    start = 0
    for length in lengths:
        yield text[start : start + length]
        start += length
    yield text[start:]


def read_streamed(pieces: Iterable[str]) -> ReadReply:
    """Read a reply piece by piece; return it as if it had come whole."""
    stream = ReplyStream()
    films = [film for piece in pieces for film in stream.feed(piece)]
    rest = stream.finish()
    return ReadReply((*films, *rest.suggestions), rest.explanation, rest.question, rest.complete)


# Pieces


@pytest.mark.parametrize("text", REPLIES)
def test_a_reply_is_the_same_letter_by_letter(text: str) -> None:
    assert read_streamed(text) == read_films(text)


@settings(deadline=None)
@given(st.sampled_from(REPLIES) | fragments | mutilated(), st.lists(st.integers(0, 12), max_size=60))
def test_a_reply_is_the_same_however_it_is_cut(text: str, lengths: list[int]) -> None:
    assume("</think>" not in text or text.lstrip().startswith("<think>"))
    assert read_streamed(pieces_of(text, lengths)) == read_films(text)


def fed(text: str) -> list[tuple[str, list[str]]]:
    """Feed a reply letter by letter; return the titles that came before its end, each with what had been read."""
    stream = ReplyStream()
    return [(text[: at + 1], titles) for at, letter in enumerate(text) if (titles := [film.title for film in stream.feed(letter)])]


def test_an_object_is_a_film_as_soon_as_it_is_closed() -> None:
    text = 'Here: {"movies": [{"title": "Heat", "year": 1995}, {"title": "Ronin"}'
    assert fed(text) == [
        ('Here: {"movies": [{"title": "Heat", "year": 1995}', ["Heat"]),
        ('Here: {"movies": [{"title": "Heat", "year": 1995}, {"title": "Ronin"}', ["Ronin"]),
    ]


def test_a_text_in_a_list_is_a_film_as_soon_as_it_is_closed() -> None:
    assert fed('["Heat", "Ro') == [('["Heat"', ["Heat"])]


def test_an_entry_is_a_film_as_soon_as_its_line_ends() -> None:
    assert fed("Two:\n1. Heat\n2. Ronin\n") == [("Two:\n1. Heat\n", ["Heat"]), ("Two:\n1. Heat\n2. Ronin\n", ["Ronin"])]


def test_a_card_without_a_year_waits_for_its_details() -> None:
    assert fed("1. **Heat**\n - Year: 1995\n2. **Ronin** (1998)\n") == [
        ("1. **Heat**\n - Year: 1995\n2. **Ronin** (1998)\n", ["Heat", "Ronin"])
    ]


def test_running_text_is_read_at_the_end_of_the_turn() -> None:
    assert fed('Try "Heat".\nOr "Ronin".\nUser: thanks\n') == [('Try "Heat".\nOr "Ronin".\nUser: thanks\n', ["Heat", "Ronin"])]


def test_a_thought_without_a_beginning_is_forgotten_where_the_reply_is_whole() -> None:
    text = "Maybe:\n1. Cats\n</think>\nHere:\n1. Heat\n"
    assert read_films(text).suggestions == (Suggestion("Heat"),)
    assert [titles for _, titles in fed(text)] == [["Cats"], ["Heat"]]


def test_after_the_films_nothing_is_read() -> None:
    stream = ReplyStream()
    assert [film.title for film in stream.feed("1. Heat\nUser: more\nSystem:\n1. Cats\n")] == ["Heat"]
    assert stream.feed('["Cats"]\n2. Jaws\n') == []
    assert stream.finish().suggestions == ()


def test_a_stream_stops_at_its_limit() -> None:
    stream = ReplyStream(limit=2)
    assert [film.title for film in stream.feed("1. Heat\n2. Ronin\n3. Cats\n")] == ["Heat", "Ronin"]
    assert stream.feed("4. Jaws\n") == []


# Harm


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(exclude_categories=()), max_size=400)
    | fragments
    | mutilated()
    | st.binary(max_size=300).map(lambda data: data.decode("utf-8", "replace"))
)
def test_no_text_raises_and_every_film_can_be_stored(text: str) -> None:
    reply = read_films(text, limit=20)
    assert len(reply.suggestions) <= 20
    assert len(reply.explanation) <= 1_000
    assert len(reply.question) <= 500
    (reply.explanation + reply.question).encode()
    for film in reply.suggestions:
        assert_fit(film)


def assert_fit(film: Suggestion) -> None:
    """A film has a title, no id, nothing too long, and nothing that no UTF-8 text can hold."""
    assert any(letter.isalnum() for letter in film.title)
    assert len(film.title) <= 250
    assert len(film.original_title) <= 250
    assert len(film.overview) <= 500
    assert film.year is None or 1870 <= film.year <= 2049
    assert film.id is None
    assert "\x00" not in (film.title + film.original_title + film.overview).encode().decode()


def repeated(unit: str) -> Callable[[int], str]:
    """Make texts of one unit again and again."""
    return lambda size: (unit * (size // len(unit) + 1))[:size]


def lines_of(start: str, unit: str, length: int) -> Callable[[int], str]:
    """Make texts of long lines."""
    return repeated(start + repeated(unit)(length) + "\n")


HOSTILE: dict[str, Callable[[int], str]] = {
    **{
        name: repeated(unit)
        for name, unit in {
            "brackets": "[",
            "lists in objects": '{"a":[',
            "texts that never close": '["',
            "single quotes": "['",
            "objects": "{}",
            "films that never close": '[{"title":',
            "quotes": '"',
            "backslashes": '["\\',
            "numbers": "1. ",
            "numbered lines": "1.\n",
            "commas": "A, ",
            "asterisks": "*",
            "bold": "**a ",
            "line ends": "\r\n",
            "lonely lines": "# A\n",
            "years": "A (1999 ",
            "colons": "A: ",
            "turns": "User:\nSystem:\n",
            "Korean commas": "추천: 가, ",
            "announcements": "like A and ",
        }.items()
    },
    "nested arrays": lambda size: ("[" * 100_000 + '"A"' + "]" * 100_000 + repeated("[]")(size))[:size],
    "long entries": lines_of("1. ", "A: b - c (d ", 590),
    "long refused entries": lines_of("- x is you ", "A - b. C! ", 1_980),
    "long inline numbers": lines_of("", "1. a 2. b ", 1_980),
    "long turns of commas": lines_of("User:\nSystem: ", "A, ", 19_000),
    "long turns of quotes": lines_of("User:\nSystem: ", '"A b" ', 19_000),
    "long turns of years": lines_of("User:\nSystem: ", "is (1999) ", 19_000),
    "anything": repeated("".join(random.Random(1).choices("[]{}\"'\\:,.*()#-<>|`1290aA가 \n", k=50_000))),
}


def seconds_for(text: str) -> float:
    """Return the CPU time that reading takes."""
    start = time.process_time()
    read_films(text)
    return time.process_time() - start


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_hostile_megabyte_is_read_in_linear_time(shape: str) -> None:
    quarter, whole = HOSTILE[shape](250_000), HOSTILE[shape](1_000_000)
    for _ in range(3):  # other work on the machine may disturb a measurement
        seconds = seconds_for(whole)
        if seconds < 1 or (seconds < 15 and seconds < 8 * seconds_for(quarter)):  # four times would be linear, sixteen quadratic
            return
    pytest.fail(f"a megabyte of {shape} takes more than 15 s, or more than eight times as long as a quarter of it")


@pytest.mark.parametrize("shape", ["nested arrays", "films that never close", "lonely lines", "commas"])
def test_a_hostile_stream_keeps_little_in_memory(shape: str) -> None:
    text = HOSTILE[shape](1_000_000)
    stream = ReplyStream()
    tracemalloc.start()
    try:
        for start in range(0, len(text), 1_000):
            stream.feed(text[start : start + 1_000])
        stream.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_small_pieces_of_one_endless_line_cost_no_more() -> None:
    stream = ReplyStream()
    start = time.process_time()
    for _ in range(100_000):
        stream.feed("A, Heat, ")
    stream.finish()
    assert time.process_time() - start < 5
