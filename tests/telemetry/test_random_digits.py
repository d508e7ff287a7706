"""Ids are random, of the length asked for, and never given twice."""

from __future__ import annotations

import re

from opuscine.telemetry.random_digits import BLOCK_BYTES, RandomDigits


def test_digits_are_hexadecimal_and_as_many_as_asked_for() -> None:
    digits = RandomDigits()
    for count in (1, 16, 32, 2 * BLOCK_BYTES):
        given = digits.take(count)
        assert len(given) == count
        assert re.fullmatch(r"[0-9a-f]+", given)


def test_no_digits_are_given_twice_beyond_a_block_too() -> None:
    digits = RandomDigits()
    ids = [digits.take(32) for _ in range(4 * BLOCK_BYTES // 32)]
    assert len(set(ids)) == len(ids)


def test_two_sources_give_different_digits() -> None:
    assert RandomDigits().take(32) != RandomDigits().take(32)
