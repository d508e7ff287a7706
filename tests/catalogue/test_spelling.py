"""A slip of the pen is forgiven where it makes no other title."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.catalogue.spelling import LENGTH_APART, can_be_compared, is_slip, letters_of, sure_end
from opuscine.catalogue.titles import key_of, plain_title
from opuscine.catalogue.variants import spelling_of


def spelling(title: str) -> str:
    plain = plain_title(title)
    return spelling_of(plain, key_of(plain))


@pytest.mark.parametrize(("spelling", "letters"), [("값", "ㄱㅏㅂㅅ"), ("Kㅋ가1", "Kㅋㄱㅏ1"), ("힣", "ㅎㅣㅎ"), ("ポ", "ポ"), ("", "")])
def test_hangul_is_taken_apart_into_letters(spelling: str, letters: str) -> None:
    assert letters_of(spelling) == letters


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("기생츙", "기생충"),
        ("기셍충", "기생충"),
        ("인셉선", "인셉션"),
        ("인세션", "인셉션"),
        ("메트릭스", "매트릭스"),
        ("쥐라기 공원", "쥬라기 공원"),
        ("타타이닉", "타이타닉"),
        ("어벤져: 엔드게임", "어벤져스: 엔드게임"),
        ("어벤져스스: 엔드게임", "어벤져스: 엔드게임"),
        ("Incepton", "Inception"),
        ("Incpetion", "Inception"),
        ("Inceptiion", "Inception"),
        ("Teh Social Network", "The Social Network"),
        ("The Shawshenk Redempton", "The Shawshank Redemption"),
        ("Toy Stroy 2", "Toy Story II"),
    ],
)
def test_a_slip_is_recognised(said: str, meant: str) -> None:
    assert can_be_compared(spelling(said))
    assert is_slip(spelling(said), spelling(meant))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Toy Story 2", "Toy Story 3"),
        ("Toy Story", "Toy Story 2"),
        ("Rocky II", "Rocky III"),
        ("Toy Story II I", "Toy Story III"),
        ("Deathly Hallows: Part 1", "Deathly Hallows: Part 2"),
        ("Mission: Impossible", "Mission: Impossible II"),
        ("22 Jump Street", "21 Jump Street"),
        ("2012", "2013"),
        ("Predator", "Predators"),
        ("The Boy", "The Boys"),
        ("엘프", "헬프"),
        ("트론", "트롤"),
        ("미스트", "비스트"),
        ("더 저지", "더 퍼지"),
        ("더 바다", "디 바다"),
        ("Coco", "Coca"),
        ("The Post", "The Past"),
        ("여자친구", "남자친구"),
        ("원더 우먼", "아더 우먼"),
        ("본 아이덴티티", "아이덴티티"),
        ("김전일의 사건", "김전일의 사건 R"),
        ("남자의 사랑", "여자의 사랑"),
        ("Invisible Guest", "Invisible Guests Galore"),
    ],
)
def test_two_titles_are_no_slips_of_each_other(one: str, other: str) -> None:
    assert not is_slip(spelling(one), spelling(other))
    assert not is_slip(spelling(other), spelling(one))


@pytest.mark.parametrize(
    ("title", "can"),
    [("대부", False), ("Coco", False), ("기생충", True), ("The Cat", False), ("더 문", False), ("가" * 60, True), ("가" * 61, False)],
)
def test_only_titles_of_some_length_are_compared(title: str, can: bool) -> None:
    assert can_be_compared(spelling(title)) is can


KEYS = st.text(st.sampled_from("abcehst가각갈나너소ㄱ12"), min_size=1, max_size=30)


@given(KEYS, st.integers(0, 30), st.sampled_from("abcdxyz"), st.sampled_from(["wrong", "missing", "too many", "swapped"]))
def test_one_slip_is_found_by_the_beginning_or_the_end(key: str, place: int, letter: str, how: str) -> None:
    place %= len(key)
    said = {
        "wrong": key[:place] + letter + key[place + 1 :],
        "missing": key[:place] + key[place + 1 :],
        "too many": key[:place] + letter + key[place:],
        "swapped": key[:place] + key[place + 1 : place + 2] + key[place] + key[place + 2 :],
    }[how]
    if can_be_compared(said) and is_slip(said, key):
        length = sure_end(said)
        assert key.startswith(said[:length]) or key.endswith(said[-length:])
        assert abs(len(said) - len(key)) <= LENGTH_APART


@given(st.text(max_size=70), st.text(max_size=70))
def test_a_slip_is_one_both_ways_and_nothing_raises(one: str, other: str) -> None:
    assert is_slip(one, other) == is_slip(other, one)
    assert sure_end(one) >= 1
