"""A sentence is taken apart where Korean words end, whether there is a space or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.recommend.lexicon import Role, fold, read_tokens, tail_cuts


def words(text: str) -> list[str]:
    """Return the words of a text that say something of films, `?` before those that nobody knows."""
    tokens = read_tokens(fold(text))
    return [("?" if token.role is Role.UNKNOWN else "") + token.text for token in tokens if token.states]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("공포영화추천해줘", ["공포", "영화"]),
        ("로맨틱코미디영화를", ["로맨틱코미디", "영화"]),
        ("스릴러나", ["스릴러"]),
        ("범죄물", ["범죄"]),
        ("심리스릴러", ["?심리", "스릴러"]),
        ("SF영화", ["sf", "영화"]),
        ("애니멀", ["?애니멀"]),
        ("서부전선", ["?서부전선"]),
        ("범죄도시", ["?범죄도시"]),
        ("인도네시아", ["인도네시아"]),
        ("미국인", ["?미국인"]),
        ("미드나잇", ["?미드나잇"]),
        ("아이언맨", ["?아이언맨"]),
        ("사랑니", ["?사랑니"]),
        ("무섭지않은", ["무섭"]),
        ("감동적인", ["감동"]),
        ("a warm award-winning cast", ["?warm", "?award-winning"]),
        ("infinity war", ["?infinity", "?war"]),
        ("war films", ["war", "films"]),
        ("rom-com", ["rom-com"]),
        ("comedies", ["comedies"]),
        ("", []),
    ],
)
def test_a_text_is_taken_apart(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("word", "cuts"),
    [
        ("인셉션을", ["인셉션"]),
        ("부산행에서", ["부산행"]),
        ("기생충같은", ["기생충같", "기생충"]),
        ("기생충", []),
        ("inception", []),
        ("가" * 40, []),
    ],
)
def test_particles_and_known_words_are_cut_off_a_word(word: str, cuts: list[str]) -> None:
    assert list(tail_cuts(word)) == cuts


@given(st.text(max_size=300))
def test_every_letter_is_read_once(text: str) -> None:
    folded = fold(text)
    read = "".join(token.text for token in read_tokens(folded))
    assert len(read) <= len(folded)
