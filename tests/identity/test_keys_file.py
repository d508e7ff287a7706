from __future__ import annotations

import os
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.identity.keys_file import (
    MAX_BYTES,
    KeyEntry,
    KeysFileError,
    digest_of,
    file_fault,
    folder_fault,
    format_entry,
    parse_keys,
    read_keys_file,
)
from opuscine.identity.scopes import Scope

MIDDLE = datetime(2500, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # hypothesis adds the zone itself
HEX = "0123456789abcdef" * 4
LINE = f"abcd1234 sha256:{HEX} backend read,recommend 2026-01-01T00:00:00Z 2027-01-01T00:00:00+09:00"


def write(path: Path, text: str = LINE + "\n") -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_a_line_says_whose_key_it_is_what_it_may_and_when() -> None:
    (entry,) = parse_keys(LINE, source="f")
    assert entry == KeyEntry(
        "abcd1234",
        bytes.fromhex(HEX),
        "backend",
        frozenset({Scope.READ, Scope.RECOMMEND}),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 12, 31, 15, tzinfo=UTC),
    )


def test_comments_blank_lines_tabs_and_windows_line_ends_are_accepted() -> None:
    text = f"# {LINE}\r\n\r\n  # 키 목록\r\n\tabcd1234\tsha256:{HEX}  backend read -\t2026-01-31 \r\n"
    (entry,) = parse_keys(text, source="f")
    assert entry.not_before is None
    assert entry.expires == datetime(2026, 1, 31, tzinfo=UTC)


def test_an_entry_shows_no_hash() -> None:
    (entry,) = parse_keys(LINE, source="f")
    assert HEX[:8] not in repr(entry)
    assert repr(entry.digest) not in repr(entry)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "0 keys"),
        ("abcd1234 sha256:" + HEX, "2 fields"),
        (LINE + " more", "7 fields"),
        (LINE.replace("abcd1234", "abcd123"), "the id"),
        (LINE.replace("abcd1234", "ABCD1234"), "the id"),
        (LINE.replace("sha256:", "md5:"), "the hash"),
        (LINE.replace(HEX, HEX[:-1]), "the hash"),
        (LINE.replace(HEX, HEX.upper()), "the hash"),
        (LINE.replace("backend", "back:end"), "the name"),
        (LINE.replace("backend", "b" * 65), "the name"),
        (LINE.replace("backend", "서버"), "the name"),
        (LINE.replace("read,recommend", "raed"), "the scopes"),
        (LINE.replace("read,recommend", "read,"), "the scopes"),
        (LINE.replace("read,recommend", "-"), "the scopes"),
        (LINE.replace("2026-01-01T00:00:00Z", "2026-01-01T00:00:00"), "not-before"),
        (LINE.replace("2026-01-01T00:00:00Z", "2026-13-01"), "not-before"),
        (LINE.replace("2026-01-01T00:00:00Z", "0001-01-01T00:00:00+09:00"), "not-before"),
        (LINE.replace("2027-01-01T00:00:00+09:00", "never"), "expires"),
        (LINE.replace("2027-01-01T00:00:00+09:00", "2026-01-01"), "expires before"),
    ],
)
def test_a_malformed_line_is_named_by_its_number_without_what_stands_there(line: str, says: str) -> None:
    if not line:
        assert parse_keys("# nothing\n\n", source="f") == ()
        return
    with pytest.raises(KeysFileError) as caught:
        parse_keys(f"# first\n\n{line}\n", source="keys.txt")
    assert "keys.txt, line 3: " in str(caught.value)
    assert says in str(caught.value)
    assert HEX[:16] not in str(caught.value)


def test_a_key_in_plain_text_is_refused_and_not_repeated() -> None:
    key = "oc_abcd1234_" + "S" * 43
    for line in (key, f"abcd1234 {key} backend read - -", f"abcd1234 sha256:{HEX} {key} read - -"):
        with pytest.raises(KeysFileError, match="holds a key itself") as caught:
            parse_keys(line, source="f")
        assert "SSSS" not in str(caught.value)


def test_an_id_may_stand_once_and_a_name_twice() -> None:
    other = LINE.replace("abcd1234", "abcd1235")
    assert [entry.name for entry in parse_keys(f"{LINE}\n{other}\n", source="f")] == ["backend", "backend"]
    with pytest.raises(KeysFileError, match="line 3: the id abcd1234"):
        parse_keys(f"{LINE}\n{other}\n{LINE.replace('backend', 'other')}\n", source="f")


@given(st.text(max_size=300) | st.lists(st.sampled_from([*LINE.split(), "\n", " ", "\t", "#", "-", ",", "\x00", "\u2028"])).map(" ".join))
def test_whatever_the_text_it_is_read_or_refused(text: str) -> None:
    entries: tuple[KeyEntry, ...] = ()
    with suppress(KeysFileError):
        entries = parse_keys(text, source="f")
    if entries:
        assert parse_keys("\n".join(map(format_entry, entries)), source="f") == entries


@given(
    st.builds(
        KeyEntry,
        id=st.from_regex(r"[a-z0-9]{8}", fullmatch=True).filter(str.isascii),
        digest=st.binary(min_size=32, max_size=32),
        name=st.text("ABCxyz019._-", min_size=1, max_size=64),
        scopes=st.frozensets(st.sampled_from(Scope), min_size=1),
        not_before=st.none() | st.datetimes(max_value=MIDDLE, timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)),
        expires=st.none()
        | st.datetimes(min_value=MIDDLE + timedelta(seconds=1), timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)),
    )
)
def test_what_is_written_is_read_again(entry: KeyEntry) -> None:
    assert parse_keys(format_entry(entry), source="f") == (entry,)


def test_a_file_of_its_owner_is_read(tmp_path: Path) -> None:
    assert [entry.id for entry in read_keys_file(write(tmp_path / "keys"))] == ["abcd1234"]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o660])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "keys")
    path.chmod(mode)
    with pytest.raises(KeysFileError, match=f"mode {mode:04o}.*chmod 0600"):
        read_keys_file(path)


def test_a_file_that_others_may_read_is_accepted(tmp_path: Path) -> None:
    """Hashes of 256 random bits betray nothing; a service in the file's group needs them."""
    path = write(tmp_path / "keys")
    path.chmod(0o644)
    assert len(read_keys_file(path)) == 1


def test_a_file_in_a_folder_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    path = write(folder / "keys")
    folder.chmod(0o777)
    with pytest.raises(KeysFileError, match=r"folder .*open may be written by everybody \(mode 0777\)"):
        read_keys_file(path)


def test_a_link_into_such_a_folder_and_one_out_of_it_are_refused(tmp_path: Path) -> None:
    opened, closed = tmp_path / "open", tmp_path / "closed"
    opened.mkdir()
    closed.mkdir()
    (closed / "link").symlink_to(write(opened / "keys"))
    (opened / "link").symlink_to(write(closed / "keys"))
    opened.chmod(0o777)
    for link in (closed / "link", opened / "link"):
        with pytest.raises(KeysFileError, match="its folder"):
            read_keys_file(link)


def test_a_sticky_folder_is_accepted() -> None:
    """Kubernetes mounts secrets in folders of mode 1777, where only a file's owner can replace it."""
    assert folder_fault(status_of(stat.S_IFDIR | 0o1777)) is None
    assert folder_fault(status_of(stat.S_IFDIR | 0o0777)) is not None
    assert folder_fault(status_of(stat.S_IFDIR | 0o0770)) is None


def status_of(mode: int, uid: int = 0) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, uid, 0, 10, 0, 0, 0))


def test_a_file_of_another_user_is_refused_and_one_of_root_or_ours_accepted() -> None:
    assert "another user" in (file_fault(status_of(stat.S_IFREG | 0o600, uid=1234), trusted_uids={0, 1000}) or "")
    assert file_fault(status_of(stat.S_IFREG | 0o600, uid=1000), trusted_uids={0, 1000}) is None
    assert file_fault(status_of(stat.S_IFREG | 0o600, uid=0), trusted_uids={0, 1000}) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_given_to_another_user_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "keys")
    os.chown(path, 12345, 12345)
    with pytest.raises(KeysFileError, match="belongs to another user"):
        read_keys_file(path)


def test_what_is_no_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(KeysFileError, match=r"not a plain file|Is a directory"):
            read_keys_file(path)


@pytest.mark.parametrize("name", ["absent", "absent/keys", "loop", "null\0byte"])
def test_an_unreachable_file_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(KeysFileError, match="AUTH_KEYS_FILE must name a readable file"):
        read_keys_file(tmp_path / name)


def test_empty_binary_and_boundless_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", "")
    with pytest.raises(KeysFileError, match="is empty"):
        read_keys_file(path)
    path.write_bytes(LINE.encode() + b"\n\xff\xfe\n")
    with pytest.raises(KeysFileError, match="line 2: not UTF-8"):
        read_keys_file(path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(KeysFileError, match="longer than"):
        read_keys_file(path)


def test_the_hash_covers_the_id() -> None:
    """A hash moved to another line verifies no key."""
    assert digest_of("oc_abcd1234_" + "S" * 43) != digest_of("oc_abcd1235_" + "S" * 43)
