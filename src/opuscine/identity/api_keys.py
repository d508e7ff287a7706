"""The API keys that are valid now, kept in step with their file."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from opuscine.identity.caller import Caller, CallerKind
from opuscine.identity.keys_file import ID, KEY, KeyEntry, KeysFileError, digest_of, read_keys_file
from opuscine.identity.refusal import AuthenticationError, Reason

log = structlog.get_logger(__name__)

_Stamp = tuple[int, ...]
_NEVER, _ALWAYS = float("inf"), float("-inf")


@dataclass(frozen=True, slots=True)
class _ReadyKey:
    digest: bytes = field(repr=False)
    caller: Caller
    not_before_s: float  # seconds since the epoch
    expires_s: float


class ApiKeys:
    """Recognise callers by their API keys.

    The file is looked at once a second (one `stat`) and read again when it has changed. A changed file that is broken or
    unsafe is logged once, and the keys known before stay valid: a slip in an editor must not lock everybody out. So does a file
    that vanished; to take keys away, revoke them.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time, poll_s: float = 1.0) -> None:
        """Read the file for the first time. `now` gives seconds since the epoch.

        Raises:
            KeysFileError: it can't be read, or not trusted, or a line is wrong.
        """
        self._path = path
        self._now = now
        self._poll_s = poll_s
        self._stamp = _stamp_of(path)
        self._keys = _ready(read_keys_file(path))
        self._reading = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        # Unknown ids are compared too, with a hash that no key has, so that they take as long as known ones.
        self._decoy = secrets.token_bytes(32)

    @property
    def count(self) -> int:
        """Return how many keys the file holds, valid at present or not."""
        return len(self._keys)

    def authenticate(self, key: str) -> Caller:
        """Return the caller that a key belongs to. No I/O.

        Raises:
            AuthenticationError: the key is none of ours, or not valid at this time.
        """
        if not key.isascii():
            raise AuthenticationError(Reason.MALFORMED)
        known = self._keys.get(key[ID])
        same = hmac.compare_digest(digest_of(key), self._decoy if known is None else known.digest)
        if known is None or not same:  # what has the right hash has the right form too
            if KEY.fullmatch(key) is None:
                raise AuthenticationError(Reason.MALFORMED)
            raise AuthenticationError(Reason.UNKNOWN_KEY if known is None else Reason.WRONG_SECRET)
        now = self._now()
        if now < known.not_before_s:
            raise AuthenticationError(Reason.NOT_YET_VALID)
        if now >= known.expires_s:
            raise AuthenticationError(Reason.EXPIRED)
        return known.caller

    def start(self) -> None:
        """Begin to watch the file, on the running loop."""
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), name="api-keys-watcher")

    async def close(self) -> None:
        """Stop watching; the keys known last stay valid."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait({self._watcher})
            self._watcher = None

    async def reload(self) -> bool:
        """Read the file now, changed or not (SIGHUP); return whether its keys are the ones in force."""
        async with self._reading:
            return await self._read(await asyncio.to_thread(_stamp_of, self._path))

    async def reload_if_changed(self) -> bool:
        """Read the file if it is not the one read last; return whether new keys came into force."""
        async with self._reading:
            stamp = await asyncio.to_thread(_stamp_of, self._path)
            return stamp != self._stamp and await self._read(stamp)

    async def _read(self, stamp: _Stamp) -> bool:
        # The stamp is older than what is read now: a change in between shows as one at the next look.
        self._stamp = stamp
        try:
            entries = await asyncio.to_thread(read_keys_file, self._path)
        except KeysFileError as error:
            log.error("api_keys_refused", cause=str(error), kept=len(self._keys))
            return False
        self._keys = _ready(entries)
        log.info("api_keys_read", keys=len(entries))
        return True

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.reload_if_changed()
            except Exception:  # whatever it was, the next look may succeed, and a revoked key must not outlive a fault here
                log.exception("api_keys_watch_failed")


def _ready(entries: Iterable[KeyEntry]) -> dict[str, _ReadyKey]:
    return {
        entry.id: _ReadyKey(
            entry.digest,
            Caller(entry.name, entry.scopes, None, CallerKind.KEY),
            _ALWAYS if entry.not_before is None else entry.not_before.timestamp(),
            _NEVER if entry.expires is None else entry.expires.timestamp(),
        )
        for entry in entries
    }


def _stamp_of(path: Path) -> _Stamp:
    """Return what changes whenever a file does; `()` if it can't be seen."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
