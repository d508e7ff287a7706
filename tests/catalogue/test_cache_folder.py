"""The folder of compiled catalogues."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opuscine.catalogue.cache_folder import CacheFolder, Manifest
from opuscine.catalogue.sources import stamps
from opuscine.errors import CatalogueError
from support.catalogues import sources_of, write_sources


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    settings = write_sources(tmp_path)
    found = CacheFolder(settings.cache_dir, sources_of(settings), settings.region)
    found.prepare()
    return found


def publish(folder: CacheFolder, tmp_path: Path, generation: str, age: int = 0) -> Manifest:
    path = folder.compiled_file(generation)
    path.write_bytes(b"compiled")
    os.utime(path, ns=(age, age))
    found = path.stat()
    manifest = Manifest(
        generation=generation,
        file=path.name,
        file_size=found.st_size,
        file_mtime_ns=found.st_mtime_ns,
        stamps=stamps(sources_of(write_sources(tmp_path))),
        sources=("films.json", "series.json"),
        movie_count=1,
        tv_count=2,
        skipped=3,
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
        compiled_at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    with folder.locked():
        folder.publish(manifest)
    return manifest


def test_the_folder_is_made_for_this_user_only(folder: CacheFolder) -> None:
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_folder_that_everyone_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(CatalogueError, match="CACHE_DIR: everyone may write"):
        CacheFolder(tmp_path, (), "KR").prepare()


@pytest.mark.parametrize("below", ["file", "file/cache"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CatalogueError, match=rf"CACHE_DIR: .*{below} cannot be made \(.+\); name a folder that may be written"):
        CacheFolder(tmp_path / below, (), "KR").prepare()


def test_a_folder_that_may_not_be_written_is_named(folder: CacheFolder) -> None:
    (lock,) = folder.path.glob("*.lock")
    lock.unlink()
    lock.symlink_to("elsewhere")  # is not followed, for root neither
    with pytest.raises(CatalogueError, match=r"CACHE_DIR: .* may not be written \(.+\); name a folder that may be written"):
        folder.prepare()


def test_what_is_published_is_current(folder: CacheFolder, tmp_path: Path) -> None:
    assert folder.current() is None
    assert folder.pointer_state() is None
    manifest = publish(folder, tmp_path, "one")
    assert folder.current() == manifest
    assert folder.file_of(manifest) == folder.compiled_file("one")


def test_each_publication_is_noticed(folder: CacheFolder, tmp_path: Path) -> None:
    publish(folder, tmp_path, "one")
    before = folder.pointer_state()
    publish(folder, tmp_path, "one")
    assert folder.pointer_state() != before


def test_a_compiled_file_that_was_touched_is_not_current(folder: CacheFolder, tmp_path: Path) -> None:
    manifest = publish(folder, tmp_path, "one")
    folder.file_of(manifest).write_bytes(b"compile?")
    assert folder.current() is None


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b"{}", b'{"generation": "x"}', b"\xff"])
def test_a_broken_pointer_is_no_pointer(folder: CacheFolder, tmp_path: Path, content: bytes) -> None:
    publish(folder, tmp_path, "one")
    folder.pointer.write_bytes(content)
    assert folder.current() is None


def test_a_pointer_leads_nowhere_outside_the_folder(folder: CacheFolder, tmp_path: Path) -> None:
    values = publish(folder, tmp_path, "one").to_json()
    assert Manifest.from_json(values | {"file": "../../etc/passwd"}).file == "passwd"


def test_the_current_generation_and_the_one_before_are_kept(folder: CacheFolder, tmp_path: Path) -> None:
    for age, generation in enumerate(["one", "two", "three", "four"]):
        publish(folder, tmp_path, generation, age)
    assert [folder.compiled_file(name).exists() for name in ("one", "two", "three", "four")] == [False, False, True, True]


def test_pointers_whose_generation_is_gone_go_too(folder: CacheFolder, tmp_path: Path) -> None:
    manifest = publish(folder, tmp_path, "one")
    other_code = folder.pointer.with_name(folder.pointer.name.replace(folder.pointer.stem[-10:], "other-code"))
    folder.pointer.replace(other_code)
    for age, generation in enumerate(["two", "three"], start=1):
        publish(folder, tmp_path, generation, age)
    assert not other_code.exists()
    assert not folder.file_of(manifest).exists()


def test_other_sets_of_sources_are_left_alone(folder: CacheFolder, tmp_path: Path) -> None:
    settings = write_sources(tmp_path)
    other = CacheFolder(folder.path, sources_of(settings), "US")
    kept = publish(other, tmp_path, "other")
    for generation in ("one", "two", "three"):
        publish(folder, tmp_path, generation)
    assert other.current() == kept


def test_what_a_crash_left_is_removed(folder: CacheFolder) -> None:
    left = folder.partial_file("db")
    journal = left.with_name(left.name + "-journal")
    left.write_bytes(b"half")
    journal.write_bytes(b"half")
    with folder.locked():
        folder.drop_partial()
    assert not left.exists()
    assert not journal.exists()


def test_a_damaged_file_and_its_replacement_differ(folder: CacheFolder, tmp_path: Path) -> None:
    manifest = publish(folder, tmp_path, "one")
    assert manifest.identity != replace(manifest, file_mtime_ns=5).identity
