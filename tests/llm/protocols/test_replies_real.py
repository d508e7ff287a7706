"""Real replies of two models, against labels made by hand (`reply_labels.json`, which names replies by file and index).

The labels say how many replies a file has; which of them hold no list of films; in which the list only comes in a later turn that the
model wrote itself; and the exact titles of a random sample of 50 and of the replies of odd shape. The repository holds none of their
sentences.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from opuscine.llm.protocols.replies import ReadReply, ReplyStream, read_films

LABELS: dict[str, Any] = json.loads(Path(__file__).with_name("reply_labels.json").read_text())


@pytest.fixture(scope="module")
def replies(real_data: Path) -> dict[tuple[str, int], str]:
    """Give the real replies by file and index."""
    folder = real_data / "llm_replies"
    if not folder.is_dir():
        pytest.skip("no real replies here: set OPUSCINE_REAL_DATA to a folder that holds llm_replies/")
    rows = [(file.stem, json.loads(line)) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]
    return {(name, row["index"]): row["content"] for name, row in rows}


def titles_of(reply: ReadReply) -> list[str]:
    """Return the films as the labels write them: `Title (Year)`."""
    return [f"{film.title} ({film.year})" if film.year else film.title for film in reply.suggestions]


def labelled(part: str) -> list[tuple[str, int, list[str]]]:
    return [(name, int(index), titles) for name, by_index in LABELS[part].items() for index, titles in by_index.items()]


def test_films_are_read_from_99_of_100_replies_with_a_list(replies: dict[tuple[str, int], str]) -> None:
    assert len(replies) == sum(LABELS["replies"].values())
    with_list = [key for key in replies if key[1] not in LABELS["without_list"][key[0]]]
    missed = [key for key in with_list if not read_films(replies[key]).suggestions]
    print(f"films read from {len(with_list) - len(missed)} of {len(with_list)} replies with a list; missed: {missed}")
    assert len(missed) <= len(with_list) // 100


def test_no_film_is_read_from_replies_without_a_list(replies: dict[tuple[str, int], str]) -> None:
    for name, indexes in LABELS["without_list"].items():
        for index in indexes:
            assert titles_of(read_films(replies[name, index])) == []


@pytest.mark.parametrize(("name", "index", "titles"), labelled("sample") + labelled("odd"))
def test_the_titles_are_exactly_those_labelled_by_hand(
    replies: dict[tuple[str, int], str], name: str, index: int, titles: list[str]
) -> None:
    assert titles_of(read_films(replies[name, index])) == titles


def test_the_sample_has_50_replies() -> None:
    assert len(labelled("sample")) == 50


def test_a_later_turn_is_read_only_where_the_first_has_no_list(replies: dict[tuple[str, int], str]) -> None:
    """One model goes on with other wishes after nearly every list; of those nothing is read."""
    counts = [len(read_films(text).suggestions) for (name, index), text in replies.items() if name == "baize"]
    assert max(counts) == 35  # a first turn that holds two lists
    assert sum(count == 20 for count in counts) >= 220


def test_cut_anywhere_they_are_read_the_same(replies: dict[tuple[str, int], str]) -> None:
    rng = random.Random(4)
    for text in replies.values():
        stream = ReplyStream()
        films, start = [], 0
        while start < len(text):
            length = rng.choice((1, 3, 7, 40, 300))
            films += stream.feed(text[start : start + length])
            start += length
        rest = stream.finish()
        assert ReadReply((*films, *rest.suggestions), rest.explanation, rest.question, rest.complete) == read_films(text)


def test_most_films_of_a_streamed_list_come_before_its_end(replies: dict[tuple[str, int], str]) -> None:
    early = total = 0
    for text in replies.values():
        stream = ReplyStream()
        early += len(stream.feed(text))
        total += len(read_films(text).suggestions)
    assert early > 0.95 * total
