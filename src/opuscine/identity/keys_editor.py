"""Making, listing and revoking API keys: what `opuscine keys` does to the file while services read it."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import string
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from opuscine.identity.keys_file import (
    FIELDS,
    NAME,
    KeyEntry,
    KeysFileError,
    cause_of,
    check_folders,
    digest_of,
    format_entry,
    key_lines,
    parse_keys,
    read_keys_file,
    read_text,
)
from opuscine.identity.scopes import Scope, known_scopes

LOCK_WAIT_S = 10.0
_ID_ALPHABET = string.ascii_lowercase + string.digits
_HEADING = f"# API keys of OpusCine, hashed; change them with `opuscine keys`. One key a line:\n# {FIELDS}\n"


class NewKey(NamedTuple):
    """A key just made. The key itself is kept nowhere: this is the only time that it can be shown."""

    id: str
    key: str


def new_key(
    path: Path,
    name: str,
    scopes: Iterable[str],
    not_before: datetime | None = None,
    expires: datetime | None = None,
    *,
    lock_wait_s: float = LOCK_WAIT_S,
) -> NewKey:
    """Add a key to the file, which is made if there is none.

    Instants are aware; their fractions of a second are dropped. A key of the same name may exist: both are valid until one is
    revoked, which is how a key is rotated.

    Raises:
        KeysFileError: a value is not valid, or the file can't be read, trusted or written.
    """
    words = list(scopes)
    if not NAME.fullmatch(name):
        raise KeysFileError("the name of a key must be 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen")
    if not words or not set(words) <= known_scopes(words):
        raise KeysFileError(f"the scopes of a key must be at least one of {', '.join(Scope)}")
    starts, ends = _whole_seconds(not_before), _whole_seconds(expires)
    if starts and ends and ends <= starts:
        raise KeysFileError("the key would expire before it becomes valid")

    with _locked(path, lock_wait_s):
        check_folders(path)
        text = (read_text(path) if path.exists() else "") or _HEADING
        taken = {entry.id for entry in parse_keys(text, source=f"keys file {path}")}
        key_id = next(candidate for candidate in iter(_random_id, "") if candidate not in taken)
        key = f"oc_{key_id}_{secrets.token_urlsafe(32)}"
        line = format_entry(KeyEntry(key_id, digest_of(key), name, known_scopes(words), starts, ends))
        separator = "" if text.endswith("\n") else "\n"
        _replace(path, f"{text}{separator}{line}\n")
    return NewKey(key_id, key)


def list_keys(path: Path) -> tuple[KeyEntry, ...]:
    """Return every key of the file, in its order.

    Raises:
        KeysFileError: the file can't be read, or not trusted, or a line is wrong.
    """
    return read_keys_file(path)


def revoke_key(path: Path, key_id: str, *, lock_wait_s: float = LOCK_WAIT_S) -> KeyEntry:
    """Take a key out of the file and return what it was; comments and other lines stay as they are.

    Raises:
        KeysFileError: there is no such key, or the file can't be read, trusted or written.
    """
    with _locked(path, lock_wait_s):
        text = read_text(path)
        found = next((entry for entry in parse_keys(text, source=f"keys file {path}") if entry.id == key_id), None)
        if found is None:
            raise KeysFileError(f"keys file {path} has no key with that id; `opuscine keys list` shows the ids")
        number = next(number for number, line in key_lines(text) if line.startswith(key_id))
        lines = text.split("\n")
        del lines[number - 1]
        # Never a file of no bytes: that one is taken for half written, and the revoked key would stay.
        _replace(path, "\n".join(lines) or _HEADING)
    return found


def _random_id() -> str:
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))


def _whole_seconds(instant: datetime | None) -> datetime | None:
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise KeysFileError("an instant needs its offset from UTC, as in 2026-01-31T00:00:00Z")
    try:
        return instant.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise KeysFileError("an instant lies outside the years 1 to 9999 in UTC") from None


@contextmanager
def _locked(path: Path, wait_s: float) -> Iterator[None]:
    """Keep other writers out. The folder is locked, since the file itself is replaced and a lock file would stay behind."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, RuntimeError, ValueError) as error:
        raise KeysFileError(f"keys file {path}: its folder can't be opened: {cause_of(error)}") from None
    try:
        give_up = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise KeysFileError(f"keys file {path}: another `opuscine keys` has been writing it for {wait_s:g} s") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(folder)


def _replace(path: Path, text: str) -> None:
    """Write the file anew beside the old one and put it in its place in one step, so that a reader sees the one or the other.

    A new file is for its owner only. An old one keeps owner, group and mode, so that a service still reads what root changed.
    """
    real = path.resolve()
    try:
        handle, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                if real.exists():
                    old = real.stat()
                    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                        os.fchown(handle, old.st_uid, old.st_gid)
                    os.fchmod(handle, stat.S_IMODE(old.st_mode))
                file.write(text)
                file.flush()
                os.fsync(handle)
            Path(name).replace(real)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(real.parent)
    except OSError as error:
        raise KeysFileError(f"keys file {path} can't be written: {cause_of(error)}; run this as its owner or root") from None


def _sync_folder(folder: Path) -> None:
    """Make the replacement outlast a power failure: a revoked key must not come back."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
