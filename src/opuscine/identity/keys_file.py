"""The file of API keys: its format, and reading it only where nobody else could have written it.

One key a line, fields separated by blanks or tabs; lines that begin with `#` and empty lines are kept and mean nothing::

    # id      hash            name     scopes                  not before            expires
    k3x9q0ab  sha256:9f86...  backend  read,recommend,act_as   2026-01-01T00:00:00Z  -

`id`         the public part of the key, 8 of `a-z0-9`, once in the file
`hash`       `sha256:` and 64 hex digits: SHA-256 of the whole key
`name`       1 to 64 of `A-Za-z0-9._-`; several keys may share one, and are then one caller (rotation)
`scopes`     words of `read,recommend,metrics,admin,act_as`, separated by commas
`not before`, `expires`   an instant with its offset (`2026-01-31T00:00:00Z`), a date (its first moment in UTC), or `-`

A plain SHA-256 is right here: the secret has 256 random bits, so there is nothing to guess that a slow hash (bcrypt, Argon2) would
make dearer, while one would cost every request its 50 ms and every caller a way to exhaust the processor.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from opuscine.errors import OpusCineError
from opuscine.identity.scopes import Scope, known_scopes

MAX_BYTES = 1_048_576
FIELDS = "id hash name scopes not-before expires"

KEY = re.compile(r"oc_[a-z0-9]{8}_[A-Za-z0-9_-]{43}")
ID = slice(3, 11)  # of a key: its id
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ID = re.compile(r"[a-z0-9]{8}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})")


class KeysFileError(OpusCineError):
    """Say that a keys file cannot be used or changed; the text names the file, the line and what to do, never a key or a hash."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One line of the file. Instants are aware; None means no bound."""

    id: str
    digest: bytes = field(repr=False)
    name: str
    scopes: frozenset[Scope]
    not_before: datetime | None = None
    expires: datetime | None = None


def digest_of(key: str) -> bytes:
    """Hash a whole key, id included, so that a hash cannot be moved to another line."""
    return hashlib.sha256(key.encode()).digest()


def format_entry(entry: KeyEntry) -> str:
    """Write an entry as a line, without its end."""
    scopes = ",".join(scope for scope in Scope if scope in entry.scopes)
    bounds = (_format_instant(entry.not_before), _format_instant(entry.expires))
    return "  ".join((entry.id, f"sha256:{entry.digest.hex()}", entry.name, scopes, *bounds))


def parse_keys(text: str, *, source: str) -> tuple[KeyEntry, ...]:
    """Read every line of a keys file; `source` names the file in errors.

    Raises:
        KeysFileError: a line is malformed or its id stands there twice.
    """
    entries: dict[str, KeyEntry] = {}
    for number, line in key_lines(text):
        try:
            entry = _parse_line(line)
        except ValueError as error:
            raise KeysFileError(f"{source}, line {number}: {error}") from None
        if entry.id in entries:
            raise KeysFileError(f"{source}, line {number}: the id {entry.id} stands in an earlier line too; make a new key instead")
        entries[entry.id] = entry
    return tuple(entries.values())


def key_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give the lines that hold keys, with their numbers from 1."""
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(" \t\r")
        if line and not line.startswith("#"):
            yield number, line


def parse_instant(text: str, what: str) -> datetime | None:
    """Read an instant with its offset, a date (its first moment in UTC), or `-`, which is None; `what` names it in the error.

    Raises:
        ValueError: it is none of these; the text says what is valid.
    """
    if text == "-":
        return None
    try:
        if _INSTANT.fullmatch(text):
            # In UTC at once: an instant at the edge of year 1 or 9999 cannot be converted and fails here, not in a comparison later.
            return datetime.fromisoformat(text).astimezone(UTC)
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{what} must be like 2026-01-31T00:00:00Z, a date, or - for none")


def read_keys_file(path: Path) -> tuple[KeyEntry, ...]:
    """Read a keys file that only its owner can have written.

    A file of no bytes at all is refused: it is one that is being written just now. One that holds only comments is valid.

    Raises:
        KeysFileError: it can't be read, somebody else may write it or put another in its place, it is empty, or a line is wrong.
    """
    text = read_text(path)
    if not text:
        raise KeysFileError(f"keys file {path}: it is empty; `opuscine keys new` writes the first key")
    return parse_keys(text, source=f"keys file {path}")


def read_text(path: Path) -> str:
    """Return the file's text after the checks that make it trustworthy.

    Raises:
        KeysFileError: it can't be read, or somebody else may write it or put another in its place.
    """
    try:
        real = path.resolve(strict=True)
        check_folders(path)
        with open(real, "rb", opener=_open_at_once) as file:
            if fault := file_fault(os.fstat(file.fileno()), trusted_uids={0, os.geteuid()}):
                raise KeysFileError(f"keys file {path}: it {fault}")
            data = file.read(MAX_BYTES + 1)
    except (OSError, RuntimeError, ValueError) as error:
        raise KeysFileError(
            f"keys file {path}: {cause_of(error)}; AUTH_KEYS_FILE must name a readable file, `opuscine keys new` makes one"
        ) from None
    if len(data) > MAX_BYTES:
        raise KeysFileError(f"keys file {path}: it is longer than {MAX_BYTES} bytes; remove keys that have expired")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise KeysFileError(f"keys file {path}, line {line}: not UTF-8 text") from None


def check_folders(path: Path) -> None:
    """Refuse a file that everybody could put another in the place of, be it where a link to it stands or where it is itself.

    Raises:
        KeysFileError: a folder may be written by everybody.
        OSError: a folder can't be seen.
    """
    for place in (path, path.resolve()):
        if fault := folder_fault(place.parent.stat()):
            raise KeysFileError(f"keys file {path}: its folder {place.parent} {fault}")


def cause_of(error: Exception) -> str:
    """Say why a path is of no use. pathlib raises RuntimeError for a loop of links, ValueError for a null byte."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a usable path"


def file_fault(status: os.stat_result, *, trusted_uids: set[int]) -> str | None:
    """Say what makes a file unfit to be believed, if anything does."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a plain file"
    if status.st_uid not in trusted_uids:
        return "belongs to another user; let the service's user or root own it"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"may be written by others (mode {stat.S_IMODE(status.st_mode):04o}); `chmod 0600` it"
    return None


def folder_fault(status: os.stat_result) -> str | None:
    """Say whether everybody could put another file in the place of one in this folder.

    With the sticky bit they can't, since the file's owner is checked; Kubernetes mounts its secrets in such folders.
    """
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        return f"may be written by everybody (mode {stat.S_IMODE(status.st_mode):04o}); `chmod o-w` it"
    return None


def _open_at_once(name: str, flags: int) -> int:
    # A named pipe would block the opening for ever; for a plain file the further flag means nothing.
    return os.open(name, flags | os.O_NONBLOCK)


def _parse_line(line: str) -> KeyEntry:
    if KEY.search(line):
        raise ValueError("it holds a key itself, where only its hash belongs; revoke that key and make a new one with `opuscine keys new`")
    fields = re.split(r"[ \t]+", line)
    if len(fields) != 6:
        raise ValueError(f"{len(fields)} fields; a line has 6: {FIELDS}")
    key_id, digest_text, name, scope_text, not_before_text, expires_text = fields
    if not _ID.fullmatch(key_id):
        raise ValueError("the id (field 1) must be 8 of a-z and 0-9")
    digest = _DIGEST.fullmatch(digest_text)
    if not digest:
        raise ValueError("the hash (field 2) must be `sha256:` and 64 hex digits")
    if not NAME.fullmatch(name):
        raise ValueError("the name (field 3) must be 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen")
    not_before = parse_instant(not_before_text, "not-before (field 5)")
    expires = parse_instant(expires_text, "expires (field 6)")
    if not_before and expires and expires <= not_before:
        raise ValueError("it expires before it becomes valid (fields 5 and 6)")
    return KeyEntry(key_id, bytes.fromhex(digest[1]), name, _parse_scopes(scope_text), not_before, expires)


def _parse_scopes(text: str) -> frozenset[Scope]:
    words = text.split(",")
    scopes = known_scopes(words)
    if not set(words) <= scopes:
        # The words themselves are not shown: a secret may have slipped into this field.
        raise ValueError(f"the scopes (field 4) must be among {', '.join(Scope)}, separated by commas without blanks")
    return scopes


def _format_instant(instant: datetime | None) -> str:
    return "-" if instant is None else instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
