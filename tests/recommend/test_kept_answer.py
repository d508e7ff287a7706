"""A row gives back the answer of its key and nothing else, and the key says all that an answer depends on."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.model import Kind, TitleRef
from opuscine.recommend.kept_answer import FORMAT, MAX_ROW_BYTES, KeptAnswer, answer_key, read_row, row_key, write_row
from opuscine.recommend.wish import Wish

NOW = 1_800_000_000.0
WISH = Wish("비 오는 날 볼만한 영화", page=1, limit=20, region="KR", caller="key:spring", user="u-1")
KEY = answer_key(WISH, "generation")
ANSWER = KeptAnswer(
    b'{"success": true}', {TitleRef(Kind.MOVIE, 496243): "기생충", TitleRef(Kind.TV, 615): "Futurama"}, NOW, NOW + 300.0, NOW + 3900.0
)
ROW = write_row(KEY, ANSWER)


def test_a_row_gives_back_what_was_written() -> None:
    assert read_row(ROW, KEY, now=NOW) == ANSWER
    assert list(read_row(ROW, KEY, now=NOW).given) == list(ANSWER.given)


@pytest.mark.parametrize(
    "change",
    [
        {"message": "비 오는 날 볼만한 영화 "},
        {"page": 2},
        {"limit": 21},
        {"region": "US"},
        {"caller": "key:other"},
        {"caller": "key:spring\x00u-1", "user": None},
        {"user": "u-2"},
        {"user": None},
        {"user": ""},
    ],
)
def test_every_part_of_a_wish_makes_another_key(change: dict[str, Any]) -> None:
    other = answer_key(replace(WISH, **change), "generation")
    assert other != KEY
    with pytest.raises(ValueError, match="another key"):
        read_row(ROW, other, now=NOW)


def test_another_catalogue_makes_another_key_and_how_it_is_asked_does_not() -> None:
    assert answer_key(WISH, "next") != KEY
    assert answer_key(replace(WISH, fresh=True), "generation") == KEY


def test_no_part_of_a_wish_can_be_read_from_the_name_of_its_row() -> None:
    assert row_key(KEY) == f"opuscine:answer:{KEY.hex()}"
    assert len(KEY) == 32


@given(st.data())
def test_a_row_that_was_changed_or_cut_anywhere_is_refused(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(ROW) - 1))
    if data.draw(st.booleans()):
        broken = ROW[:place]
    else:
        broken = ROW[:place] + bytes([ROW[place] ^ data.draw(st.integers(1, 255))]) + ROW[place + 1 :]
    with pytest.raises(ValueError, match=r"version|checksum|cut"):
        read_row(broken, KEY, now=NOW)


@given(st.binary(max_size=300))
def test_rubbish_is_refused(rubbish: bytes) -> None:
    for row in (rubbish, FORMAT + rubbish):
        with pytest.raises(ValueError, match=r"version|checksum"):
            read_row(row, KEY, now=NOW)


@pytest.mark.parametrize(
    "times",
    [
        (NOW + 120.0, NOW + 300.0, NOW + 300.0),  # of the future
        (NOW, NOW - 1.0, NOW),
        (NOW, NOW + 300.0, NOW + 200.0),
        (NOW, NOW + 300.0, NOW + 10**9),  # would live for ever
        (NOW, float("nan"), NOW + 300.0),
        (NOW, NOW + 300.0, float("inf")),
    ],
)
def test_times_that_cannot_be_are_refused(times: tuple[float, float, float]) -> None:
    made_at, fresh_until, stale_until = times
    row = write_row(KEY, replace(ANSWER, made_at=made_at, fresh_until=fresh_until, stale_until=stale_until))
    with pytest.raises(ValueError, match="times"):
        read_row(row, KEY, now=NOW)


@pytest.mark.parametrize("given", [b"[[1]]", b"[1]", b"null", b'[["film", 1, "x"]]', b"{", b'[["movie", "x", "y"]]'])
def test_films_that_cannot_be_read_are_refused(given: bytes) -> None:
    rest = KEY + struct.pack(">dddI", NOW, NOW + 1, NOW + 1, len(given)) + given + b"{}"
    row = FORMAT + hashlib.blake2b(rest, digest_size=16).digest() + rest
    with pytest.raises(ValueError):  # noqa: PT011  of several libraries
        read_row(row, KEY, now=NOW)


def test_a_row_of_another_version_or_size_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        read_row(ROW.replace(b"answer-1", b"answer-2"), KEY, now=NOW)
    with pytest.raises(ValueError, match="bytes, more than"):
        read_row(write_row(KEY, replace(ANSWER, body=b"x" * MAX_ROW_BYTES)), KEY, now=NOW)


def test_age_is_in_whole_seconds_and_never_negative() -> None:
    assert [ANSWER.age_s(NOW + later) for later in (-5.0, 0.9, 61.2)] == [0, 0, 61]
