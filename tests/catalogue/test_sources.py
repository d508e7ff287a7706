"""The files that the catalogue is made from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opuscine.catalogue.sources import SourceFile, content_digest, digest_of, fingerprint, stamps
from opuscine.errors import CatalogueError
from opuscine.model import Kind
from support.catalogues import sources_of, write_sources


def test_a_missing_packaged_file_asks_for_a_new_installation(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"gone\.json does not exist; install the package again"):
        SourceFile(Kind.MOVIE, tmp_path / "gone.json").stamp()


def test_errors_are_one_line() -> None:
    assert str(SourceFile(Kind.TV, Path("/x.json")).error("is\nbad\r\n and\tworse")) == "/x.json is bad and worse"


def test_a_change_of_a_file_changes_its_stamp(tmp_path: Path) -> None:
    sources = sources_of(write_sources(tmp_path))
    before = stamps(sources)
    os.utime(sources[0].path, ns=(1, 1))
    assert stamps(sources) != before


def test_the_generation_follows_the_content_and_the_region_not_the_time(tmp_path: Path) -> None:
    film, _ = sources_of(write_sources(tmp_path))
    digest, stamp = content_digest(film)
    assert stamp == film.stamp()
    os.utime(film.path, ns=(1, 1))
    assert content_digest(film)[0] == digest
    film.path.write_bytes(film.path.read_bytes() + b" ")
    assert content_digest(film)[0] != digest
    assert len({digest_of([digest], "KR"), digest_of([digest], "US"), digest_of([digest, digest], "KR")}) == 3


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"TV_DATA_FILE: .* cannot be read \(Is a directory\)"):
        content_digest(SourceFile(Kind.TV, tmp_path, "TV_DATA_FILE"))


def test_the_fingerprint_is_the_same_every_time() -> None:
    assert fingerprint() == fingerprint()
    assert len(fingerprint()) == 20
