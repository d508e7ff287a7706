"""The title that a message names is told from the words around it, which alone state something."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.catalogue.titles import TitleEntry, title_key
from opuscine.model import Film, Kind, TitleRef
from opuscine.providers.table import ProviderTable
from opuscine.recommend.sentence import SentenceReader

TITLES = {1: "범죄도시", 2: "인셉션", 3: "전쟁과 평화", 4: "신데렐라", 5: "신데렐라", 6: "스릴러", 7: "밤", 8: "Like Father, Like Son"}


class Titles:
    """A catalogue of these titles."""

    def get(self, ref: TitleRef) -> Film | None:
        """Return a title."""
        return Film(ref, TITLES[ref.id])

    def titles_by_key(self, key: str) -> Sequence[TitleEntry]:
        """Return the works of a title."""
        return [TitleEntry(TitleRef(Kind.MOVIE, n), 2000, "title", 1.0) for n, title in TITLES.items() if title_key(title) == key]


READER = SentenceReader(Titles(), ProviderTable.load(), today=lambda: date(2026, 1, 1))


@pytest.mark.parametrize(
    ("message", "named", "genres", "similar"),
    [
        ("범죄도시", 1, (), False),
        ("범죄도시를 보고 싶어", 1, (), False),
        ("범죄도시 같은 코미디 영화", 1, (35,), True),
        ("인셉션처럼 반전 있는 영화", 2, (), True),
        ("전쟁과 평화 같은 영화", 3, (), True),
        ("like father, like son", 8, (), False),
        ("신데렐라 보여줘", None, (), False),
        ("스릴러 추천", None, (53,), False),
        ("밤", None, (), False),
        ("범죄 영화", None, (80,), False),
    ],
)
def test_a_message_is_read(message: str, named: int | None, genres: tuple[int, ...], similar: bool) -> None:
    sentence = READER.read(message)
    assert (sentence.named.ref.id if sentence.named else None) == named
    assert sentence.intent.genre_ids == genres
    assert sentence.intent.similar == similar


@given(st.text(max_size=200))
def test_no_message_whatever_breaks_the_reading(message: str) -> None:
    assert READER.read(message).intent.terms is not None
