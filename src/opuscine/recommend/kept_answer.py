"""An answer that is kept as the bytes it is sent as, and the row in which it lies in Redis. Pure."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from opuscine.codec import dumps, loads
from opuscine.model import Kind, TitleRef
from opuscine.recommend.wish import Wish

FORMAT = b"opuscine-answer-1\n"  # another number for every change of rows or bodies: rows of other versions are misses
KEY_BYTES = 32
MAX_ROW_BYTES = 320 * 1024  # a body stays under 256 KiB; the rest is for the titles beside it
LONGEST_S = 2 * 86_400.0  # the longest that the settings let an answer be kept
CLOCKS_APART_S = 60.0  # by which a row may come from the future: machines' clocks differ
FILM_BYTES = 200  # about what a title held in memory costs beside the body
_CHECKSUM_BYTES = 16
_TIMES = struct.Struct(">dddI")  # made, fresh until, stale until, length of the list of films


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A body, the films in it, and until when it may be given. Times are seconds since 1970, since machines share them."""

    body: bytes = field(repr=False)
    given: Mapping[TitleRef, str] = field(repr=False)
    made_at: float
    fresh_until: float
    stale_until: float  # until then it is given only when the model fails

    def age_s(self, now: float) -> int:
        """Return its age in whole seconds, never below 0."""
        return max(0, int(now - self.made_at))

    @property
    def size(self) -> int:
        """Return about how many bytes it takes in memory."""
        return len(self.body) + FILM_BYTES * (len(self.given) + 1)


def answer_key(wish: Wish, generation: str) -> bytes:
    """Return the digest of all that an answer depends on. Nothing of a message or a user can be read from it."""
    parts = [wish.caller, wish.user, wish.message, wish.limit, wish.region, wish.page, generation]
    return hashlib.blake2b(dumps(parts), digest_size=KEY_BYTES, person=FORMAT[-12:-1]).digest()


def row_key(key: bytes) -> str:
    """Return the name of an answer's row."""
    return f"opuscine:answer:{key.hex()}"


def write_row(key: bytes, answer: KeptAnswer) -> bytes:
    """Write an answer with its key, its times and a checksum."""
    given = dumps([[ref.kind.value, ref.id, title] for ref, title in answer.given.items()])
    times = _TIMES.pack(answer.made_at, answer.fresh_until, answer.stale_until, len(given))
    rest = b"".join((key, times, given, answer.body))
    return FORMAT + _checksum(rest) + rest


def read_row(row: bytes, key: bytes, *, now: float) -> KeptAnswer:
    """Read the row of a key.

    Raises:
        ValueError: it is of another version, cut short, changed, another key's, too large, or of an impossible time.
    """
    if len(row) > MAX_ROW_BYTES:
        raise ValueError(f"it has {len(row)} bytes, more than {MAX_ROW_BYTES}")
    head = len(FORMAT) + _CHECKSUM_BYTES
    if not row.startswith(FORMAT) or len(row) < head + KEY_BYTES + _TIMES.size:
        raise ValueError("it is of another version, or cut short")
    if row[len(FORMAT) : head] != _checksum(row[head:]):
        raise ValueError("its checksum does not fit")
    if row[head : head + KEY_BYTES] != key:
        raise ValueError("it belongs to another key")
    made_at, fresh_until, stale_until, given_bytes = _TIMES.unpack_from(row, head + KEY_BYTES)
    if not (made_at <= fresh_until <= stale_until <= made_at + LONGEST_S and made_at <= now + CLOCKS_APART_S):
        raise ValueError("its times can't be")
    films = head + KEY_BYTES + _TIMES.size
    try:
        given = {TitleRef(Kind(kind), int(id_)): str(title) for kind, id_, title in loads(row[films : films + given_bytes])}
    except TypeError as error:
        raise ValueError("its films can't be read") from error
    return KeptAnswer(row[films + given_bytes :], given, made_at, fresh_until, stale_until)


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECKSUM_BYTES).digest()
