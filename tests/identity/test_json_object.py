from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.identity.json_object import read_object


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'"text"',
        b"{",
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": 1} x',
        '{"a": 1}'.encode("utf-16"),
    ],
)
def test_anything_but_one_plain_object_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_object(data)


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)))
def test_an_object_is_read_as_it_is(value: dict[str, Any]) -> None:
    assert read_object(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_whatever_the_bytes_it_is_read_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(read_object(data), dict)
