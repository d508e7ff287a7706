"""The quick way through a list: what `ijson` makes of a file, or `Unclear`."""

from __future__ import annotations

import io
import json
from typing import Any

import ijson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.catalogue.json_list import Unclear, elements

NAMES = ("movies", "films")
LONG = "가" * 300_000  # longer than what is read at a time
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**63, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


class Dripping(io.BytesIO):
    """A file that gives its first eleven bytes at once, the beginning of the list, and then one at a time."""

    def read(self, _: int | None = -1, /) -> bytes:
        """Read no more than that."""
        return super().read(1 if self.tell() else 11)


def read(text: str, file: type[io.BytesIO] = io.BytesIO) -> list[Any]:
    return list(elements(file(text.encode()), NAMES))


@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 1, 4]), st.booleans())
def test_elements_are_those_that_ijson_reads(values: list[Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps({"total": len(values), "movies": values, "more": {"movies": [1]}}, indent=indent, ensure_ascii=ascii_only)
    assert read(text) == [json.loads(json.dumps(value)) for value in values]
    assert read(text) == list(ijson.items(text.encode(), "movies.item", use_float=True))


@given(st.lists(VALUES, max_size=3))
def test_where_pieces_end_makes_no_difference(values: list[Any]) -> None:
    text = '{"movies":[' + json.dumps(values, ensure_ascii=False, indent=1)[1:] + "}"
    assert read(text, Dripping) == json.loads(json.dumps(values))


def test_long_elements_are_read() -> None:
    assert read(json.dumps({"movies": [LONG, [LONG], 5]}, ensure_ascii=False)) == [LONG, [LONG], 5]


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("", []),
        ("[1]", []),
        ("nope", []),
        ('{"movies": 5}', []),
        ('{"movies": {"1": 2}}', []),
        ('{"other": [1]}', []),
        ("{1: 2}", []),
        ('{"mov', []),
        ('{"movies": [1, 2', [1]),
        ('{"movies": [1, 2,', [1, 2]),
        ('{"movies": [1, 2, ]}', [1, 2]),
        ('{"movies": [1 2]}', []),
        ('{"movies": [1, 02]}', [1]),
        ('{"movies": [1, NaN]}', [1]),
        ('{"movies": [1, -Infinity]}', [1]),
        ('{"movies": [1, "\t"]}', [1]),
        ("{\"movies\": [1, 'a']}", [1]),
        ('{"movies": [1]', [1]),
        ('{"movies": [1]} x', [1]),
        ('{"movies": [1], "a": NaN}', [1]),
        ('{"movies": [1], "films": [2]}', [1]),
        ('{"movies": [1], "movies": [2]}', [1]),
        ('{"movies": [1, ' + "[" * 100_000 + "]" * 100_000 + "]}", [1]),
        ('{"movies": [1, ' + "9" * 5_000 + "]}", [1]),
        ('{"movies": [1, "' + "x" * 5_000_000 + '"]}', [1]),
        ('{"movies": [1], "a": "' + "x" * 5_000_000 + '"}', [1]),
        ('{"a": "' + "x" * 300_000 + '", "movies": [1]}', []),
    ],
)
def test_what_is_not_plain_is_left_to_others(text: str, before: list[Any]) -> None:
    found: list[Any] = []
    with pytest.raises(Unclear):
        found.extend(elements(io.BytesIO(text.encode()), NAMES))
    assert found == before


def test_bytes_that_are_no_text_are_left_to_others() -> None:
    with pytest.raises(Unclear):
        list(elements(io.BytesIO(b'{"movies": ["\xff"]}'), NAMES))
    with pytest.raises(Unclear):
        list(elements(io.BytesIO(b'{"movies": ["\xed\x95'), NAMES))
