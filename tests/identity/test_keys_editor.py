from __future__ import annotations

import fcntl
import os
import re
import resource
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from opuscine.identity import keys_editor
from opuscine.identity.keys_editor import list_keys, new_key, revoke_key
from opuscine.identity.keys_file import KEY, KeyEntry, KeysFileError, digest_of
from opuscine.identity.scopes import Scope


def test_a_new_key_is_given_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key_id, key = new_key(path, "backend", ["read", "act_as"])
    assert KEY.fullmatch(key)
    assert key.startswith(f"oc_{key_id}_")
    text = path.read_text()
    assert key not in text
    assert key[12:] not in text
    (entry,) = list_keys(path)
    assert entry == KeyEntry(key_id, digest_of(key), "backend", frozenset({Scope.READ, Scope.ACT_AS}))


def test_keys_are_never_alike(tmp_path: Path) -> None:
    keys = [new_key(tmp_path / "keys", "backend", ["read"]) for _ in range(20)]
    assert len({key.id for key in keys}) == len({key.key[12:] for key in keys}) == 20


def test_a_new_file_is_its_owners_only_and_explains_itself(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    new_key(path, "backend", ["read"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("# ")
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys"]


def test_bounds_are_kept_in_utc_to_the_second(tmp_path: Path) -> None:
    path, seoul = tmp_path / "keys", timezone(timedelta(hours=9))
    new_key(path, "a", ["read"], datetime(2026, 1, 1, 9, 0, 0, 999, tzinfo=seoul), datetime(2027, 1, 1, tzinfo=UTC))
    (entry,) = list_keys(path)
    assert (entry.not_before, entry.expires) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def test_revoking_takes_one_line_and_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    old, new = new_key(path, "backend", ["read"]), new_key(path, "backend", ["read"])
    path.write_text(f"# mine, not {old.id}\n\n" + path.read_text() + "  # the end", encoding="utf-8")
    before = path.read_text().split("\n")
    assert revoke_key(path, old.id).name == "backend"
    assert path.read_text().split("\n") == [line for line in before if not line.startswith(old.id)]
    assert [entry.id for entry in list_keys(path)] == [new.id]
    with pytest.raises(KeysFileError, match="no key with that id"):
        revoke_key(path, old.id)


def test_a_key_is_added_after_a_last_line_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first = new_key(path, "a", ["read"])
    path.write_text(path.read_text().rstrip("\n"))
    second = new_key(path, "b", ["read"])
    assert [entry.id for entry in list_keys(path)] == [first.id, second.id]


def test_an_existing_file_keeps_its_mode_and_its_links(tmp_path: Path) -> None:
    """A service that reads the file through its group still does after a change."""
    path, link = tmp_path / "keys", tmp_path / "link"
    new_key(path, "a", ["read"])
    path.chmod(0o640)
    link.symlink_to(path)
    new_key(link, "b", ["read"])
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert len(list_keys(path)) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_roots_change_leaves_the_file_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    new_key(path, "a", ["read"])
    os.chown(path, 0, 12345)
    new_key(path, "b", ["read"])
    assert path.stat().st_gid == 12345


@pytest.mark.parametrize(
    ("name", "scopes", "bounds", "says"),
    [
        ("", ["read"], (), "name of a key"),
        ("a b", ["read"], (), "name of a key"),
        ("a\n# b", ["read"], (), "name of a key"),
        ("a", [], (), "at least one of read, recommend, metrics, admin, act_as"),
        ("a", ["raed"], (), "at least one of"),
        ("a", ["read"], (datetime(2026, 1, 1),), "needs its offset"),  # noqa: DTZ001  that is the point
        ("a", ["read"], (datetime(2026, 1, 1, tzinfo=UTC),) * 2, "before it becomes valid"),
        ("a", ["read"], (datetime.min.replace(tzinfo=timezone(timedelta(hours=9))),), "years 1 to 9999"),
    ],
)
def test_wrong_wishes_are_refused_and_nothing_is_written(
    tmp_path: Path, name: str, scopes: list[str], bounds: tuple[datetime, ...], says: str
) -> None:
    with pytest.raises(KeysFileError, match=says):
        new_key(tmp_path / "keys", name, scopes, *bounds)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_broken_or_not_to_be_trusted_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    key_id = new_key(path, "a", ["read"]).id
    path.chmod(0o666)
    for change in (lambda: new_key(path, "b", ["read"]), lambda: revoke_key(path, key_id)):
        with pytest.raises(KeysFileError, match="chmod 0600"):
            change()
    path.chmod(0o600)
    path.write_text("nonsense\n")
    with pytest.raises(KeysFileError, match="line 1"):
        new_key(path, "b", ["read"])
    assert path.read_text() == "nonsense\n"


def test_no_file_is_made_in_a_folder_that_everybody_may_write_or_that_is_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(KeysFileError, match="may be written by everybody"):
        new_key(folder / "keys", "a", ["read"])
    with pytest.raises(KeysFileError, match="folder can't be opened"):
        new_key(tmp_path / "absent" / "keys", "a", ["read"])


def test_a_file_that_cannot_be_replaced_is_an_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / ("k" * 250)  # the temporary file's name would be too long
    with pytest.raises(KeysFileError, match="can't be written"):
        new_key(path, "a", ["read"])
    (tmp_path / "folder").mkdir()
    with pytest.raises(KeysFileError, match="Is a directory"):
        new_key(tmp_path / "folder", "a", ["read"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    new_key(path, "a", ["read"])
    before, limits = path.read_text(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limits[1]))
    try:
        with pytest.raises(KeysFileError, match="can't be written"):
            new_key(path, "b", ["read"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys"]


def test_writers_at_the_same_time_lose_no_key(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: new_key(path, f"n{number}", ["read"]).id, range(24)))
    assert {entry.id for entry in list_keys(path)} == set(made)
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    kept = new_key(path, "kept", ["read"]).id
    done = threading.Event()

    def rewrite() -> None:
        for _ in range(30):
            revoke_key(path, new_key(path, "other", ["read"]).id)
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(rewrite)
        reads = 0
        while not done.is_set():
            assert kept in {entry.id for entry in list_keys(path)}
            reads += 1
        writing.result()
    assert reads > 0


def test_waiting_for_another_writer_has_an_end(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(KeysFileError, match=re.escape("another `opuscine keys`")):
            new_key(tmp_path / "keys", "a", ["read"], lock_wait_s=0.05)
    finally:
        os.close(folder)
    assert keys_editor.LOCK_WAIT_S <= 10
