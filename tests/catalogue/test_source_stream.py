"""Reading the records of a source."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from opuscine.catalogue.source_stream import SourceStream
from opuscine.catalogue.sources import SourceFile, content_digest
from opuscine.errors import CatalogueError
from opuscine.model import Kind

Write = Callable[[bytes], SourceFile]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(content: bytes, kind: Kind = Kind.MOVIE) -> SourceFile:
        path = tmp_path / "source.json"
        path.write_bytes(content)
        return SourceFile(kind, path, "MOVIES_DATA_FILE")

    return written


def read(source: SourceFile) -> list[Any]:
    return list(SourceStream(source).records())


def test_the_records_come_with_what_was_read(write: Write) -> None:
    source = write(b'{"total": 2, "meta": {"movies": [9]}, "movies": [{"id": 1}, 2.5], "more": []}')
    stream = SourceStream(source)
    assert list(stream.records()) == [{"id": 1}, Decimal("2.5")]
    assert (stream.digest, stream.stamp) == content_digest(source)


@pytest.mark.parametrize("name", ["tv_series", "tv_shows"])
def test_series_lie_under_either_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "series.json"
    path.write_text(f'{{"{name}": [1]}}', encoding="utf-8")
    assert read(SourceFile(Kind.TV, path)) == [1]


def test_a_byte_order_mark_is_read_over(write: Write) -> None:
    assert read(write(b'\xef\xbb\xbf{"movies": [1]}')) == [1]


def test_an_empty_list_is_no_error(write: Write) -> None:
    assert read(write(b'{"movies": []}')) == []


def test_a_number_beyond_all_bounds_spoils_only_its_record(write: Write) -> None:
    assert len(read(write(b'{"movies": [' + b"9" * 400 + b", 1e999, 3]}"))) == 3


@pytest.mark.parametrize(
    "content",
    [
        b'{"movies": [1, "' + b"x" * 5_000_000 + b'", 3]}',
        b'{"about": "' + b"x" * 5_000_000 + b'", "movies": [1, 2, 3]}',
        b'{"movies": [1, 2, 3], "about": "' + b"x" * 5_000_000 + b'"}',
        b'{"movies": [1, 2], "movies": [3]}',
    ],
)
def test_what_the_quick_way_does_not_read_is_read_all_the_same_and_once(write: Write, content: bytes) -> None:
    source = write(content)
    stream = SourceStream(source)
    records = list(stream.records())
    assert (records[0], records[-1], len(records)) == (1, 3, 3)
    assert (stream.digest, stream.stamp) == content_digest(source)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "ends before its JSON is complete"),
        (b'{"movies": [{"id": 1}, {"id"', "ends before its JSON is complete"),
        (b'{"mov', "ends before its JSON is complete"),
        (b"not json", "is not valid JSON (lexical error"),
        (b'{"movies": [{"id": 1} {"id": 2}]}', "is not valid JSON (parse error"),
        (b'{"movies": [1]} {"movies": [2]}', "is not valid JSON (parse error: trailing garbage)"),
        (b'{"movies": ["\xff\xfe"]}', "is not valid JSON"),
        (b"PK\x03\x04 zipped", "is not valid JSON"),
        (b'[{"id": 1}]', 'holds a list at its top level; valid: {"movies": [...]}'),
        (b'"movies"', "holds a string at its top level"),
        (b"null", "holds null at its top level"),
        (b"5", "holds a number at its top level"),
        (b"true", "holds true or false at its top level"),
        (b'{"movies": {"1": {}}}', 'has an object as its "movies"'),
        (b'{"movies": null}', 'has null as its "movies"'),
        (b'{"films": [], "meta": {"movies": []}}', "has no list of titles (found at its top level: films, meta)"),
        (b"{}", "has no list of titles (found at its top level: nothing)"),
    ],
)
def test_a_broken_source_is_one_line_that_names_setting_file_and_fault(write: Write, content: bytes, what: str) -> None:
    source = write(content)
    with pytest.raises(CatalogueError) as caught:
        read(source)
    assert str(caught.value).startswith(f"MOVIES_DATA_FILE: {source.path} {what}")
    assert "\n" not in str(caught.value)


def test_a_file_that_fails_while_it_is_read_is_named() -> None:
    with pytest.raises(CatalogueError, match="/proc/self/mem cannot be read"):
        read(SourceFile(Kind.MOVIE, Path("/proc/self/mem")))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="cannot be read"):
        read(SourceFile(Kind.MOVIE, tmp_path / "gone.json"))
