"""Directives are read as RFC 9111 writes them: a word inside another word or a quoted string is none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.handlers.cache_control import read_cache_control


@pytest.mark.parametrize(
    ("values", "fresh", "unkept"),
    [
        ([], False, False),
        ([""], False, False),
        (["no-cache"], True, False),
        (["No-Cache"], True, False),
        (["no-store"], False, True),
        (["no-cache, no-store"], True, True),
        (["max-age=60 , no-cache"], True, False),
        (["no-transform", "no-store"], False, True),
        (["max-age=0"], True, False),
        (['max-age="0"'], True, False),
        (["max-age=00"], True, False),
        (["max-age=10"], False, False),
        (["max-age=0.5"], False, False),
        (["max-age=" + "9" * 5000], False, False),
        (["max-stale=0"], False, False),
        (["x-no-cache"], False, False),
        (["no-cache-please"], False, False),
        (['extension="a, no-cache, b"'], False, False),
        (['extension="\\", no-store"'], False, False),
        (['extension="open, no-store'], False, False),
        (["extension=no-cache"], False, False),
        ([",, ,no-cache,"], True, False),
        (["no-cache;no-store"], True, False),
        (["no cache"], False, False),
    ],
)
def test_directives(values: list[str], fresh: bool, unkept: bool) -> None:
    assert read_cache_control(values) == (fresh, unkept)


@pytest.mark.parametrize("piece", [" ", ",", ", ", '"', "=", 'a="', "\\", "a", "a,", 'a="\\'])
def test_a_long_field_is_read_in_no_time(piece: str) -> None:
    begun = time.process_time()
    read_cache_control([piece * 8_000])
    assert time.process_time() - begun < 0.5


@given(st.lists(st.text(max_size=60), max_size=3))
def test_no_text_breaks_it(values: list[str]) -> None:
    read_cache_control(values)
