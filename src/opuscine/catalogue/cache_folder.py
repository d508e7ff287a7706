"""The folder of compiled catalogues: which generation is the current one, who may compile, and what may go.

Beside the compiled files (`catalogue-SET-GENERATION.db`, of large catalogues also `.index`) lie, per set of sources, a lock or two and,
per version of the code, a small JSON file that names the current generation. It is replaced atomically, so that a worker which sees it
change finds all of it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opuscine.catalogue.sources import SourceFile, Stamp, fingerprint, new_hash
from opuscine.codec import dumps, loads
from opuscine.errors import CatalogueError

_INDEX_SUFFIX = ".index"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of one compiled generation without opening it."""

    generation: str
    file: str
    file_size: int
    file_mtime_ns: int
    stamps: tuple[Stamp, ...]
    sources: tuple[str, ...]  # names only
    movie_count: int
    tv_count: int
    skipped: int
    as_of: datetime  # newest change of a source
    compiled_at: datetime
    index: str = ""  # the file with the index: `file` where that holds all, "" while there is none
    index_size: int = 0
    index_mtime_ns: int = 0

    @property
    def identity(self) -> tuple[str, int]:
        """Tell two states of a generation apart: a damaged file that was compiled again, an index that was added."""
        return self.generation, max(self.file_mtime_ns, self.index_mtime_ns)

    @property
    def indexed(self) -> bool:
        """Say whether there is an index to search by."""
        return bool(self.index)

    @property
    def has_own_index(self) -> bool:
        """Say whether the index lies in a file of its own."""
        return self.index not in ("", self.file)

    def with_index(self, name: str, found: os.stat_result) -> Manifest:
        """Return the same with the index in a file of its own."""
        return replace(self, index=name, index_size=found.st_size, index_mtime_ns=found.st_mtime_ns)

    def without_index(self) -> Manifest:
        """Return the same as it was before the index was made."""
        return replace(self, index="", index_size=0, index_mtime_ns=0)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"as_of": self.as_of.timestamp(), "compiled_at": self.compiled_at.timestamp()}

    @classmethod
    def from_json(cls, values: Any) -> Manifest:
        """Read what `to_json` returned.

        Raises:
            ValueError: the values are not a manifest's.
        """
        try:
            return cls(
                generation=str(values["generation"]),
                file=Path(values["file"]).name,
                file_size=int(values["file_size"]),
                file_mtime_ns=int(values["file_mtime_ns"]),
                stamps=tuple(Stamp(str(path), int(size), int(mtime)) for path, size, mtime in values["stamps"]),
                sources=tuple(map(str, values["sources"])),
                movie_count=int(values["movie_count"]),
                tv_count=int(values["tv_count"]),
                skipped=int(values["skipped"]),
                as_of=datetime.fromtimestamp(values["as_of"], UTC),
                compiled_at=datetime.fromtimestamp(values["compiled_at"], UTC),
                index=Path(values["index"]).name,
                index_size=int(values["index_size"]),
                index_mtime_ns=int(values["index_mtime_ns"]),
            )
        except (KeyError, TypeError, OverflowError, OSError) as error:
            raise ValueError(f"not a manifest: {error!r}") from error


class CacheFolder:
    """The part of the cache folder that belongs to one set of sources."""

    def __init__(self, path: Path, sources: Sequence[SourceFile], region: str) -> None:
        """Name the files of a set of sources; nothing is touched yet."""
        digest = new_hash()
        digest.update("\n".join([region, *(f"{source.kind} {source.path}" for source in sources)]).encode("utf-8", "surrogateescape"))
        self.path = path
        self._stem = f"catalogue-{digest.hexdigest()[:10]}"
        self.pointer = path / f"{self._stem}-{fingerprint()[:10]}.json"
        self._lock = path / f"{self._stem}.lock"
        self._index_lock = path / f"{self._stem}-index.lock"

    def prepare(self) -> None:
        """Make the folder, readable by this user only.

        Raises:
            CatalogueError: it cannot be made or written, or everyone may write it (and could plant a catalogue).
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self.path.stat().st_mode
        except OSError as error:
            raise CatalogueError(f"CACHE_DIR: {self.path} cannot be made ({error.strerror}); name a folder that may be written") from None
        if mode & stat.S_IWOTH:
            raise CatalogueError(f"CACHE_DIR: everyone may write {self.path}; name a folder of your own, such as {self.path / 'opuscine'}")
        try:
            os.close(_open_lock(self._lock))
        except OSError as error:
            raise CatalogueError(
                f"CACHE_DIR: {self.path} may not be written ({error.strerror}); name a folder that may be written"
            ) from None

    def compiled_file(self, generation: str) -> Path:
        """Return where a generation's compiled file belongs."""
        return self.path / f"{self._stem}-{generation}.db"

    def partial_file(self, name: str) -> Path:
        """Return a place for work in progress; what a crash leaves there goes with the next compile."""
        return self.path / f"{self._stem}-{os.getpid()}.{name}.partial"

    def partial_index(self) -> Path:
        """Return a place for an index in progress; what a crash leaves there goes with the next one."""
        return self.path / f"{self._stem}-{os.getpid()}.index.unfinished"

    def index_file(self, manifest: Manifest) -> Path:
        """Return where a generation's index belongs when it is a file of its own."""
        return self.file_of(manifest).with_suffix(_INDEX_SUFFIX)

    def file_of(self, manifest: Manifest) -> Path:
        """Return where a manifest's compiled file lies."""
        return self.path / manifest.file

    def current(self) -> Manifest | None:
        """Return the current generation's manifest; None where there is none, or its file is not as it was left.

        An index in a file of its own that is not as it was left counts as not made yet.
        """
        try:
            manifest = Manifest.from_json(loads(self.pointer.read_bytes()))
        except (OSError, ValueError):
            return None
        if not _is_intact(self.file_of(manifest), manifest.file_size, manifest.file_mtime_ns):
            return None
        if manifest.has_own_index and not _is_intact(self.path / manifest.index, manifest.index_size, manifest.index_mtime_ns):
            return manifest.without_index()
        return manifest

    def pointer_state(self) -> tuple[int, int] | None:
        """Return what changes whenever a generation is published; None while there is none."""
        try:
            found = self.pointer.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the right to compile; waits for another process. The kernel frees it when its holder dies, so it is never stale.

        Raises:
            OSError: the lock file cannot be made.
        """
        with _locked(self._lock):
            yield

    @contextmanager
    def index_locked(self) -> Iterator[None]:
        """Hold the right to make an index; waits for another process. Apart from the right to compile, which need not wait for it.

        Raises:
            OSError: the lock file cannot be made.
        """
        with _locked(self._index_lock):
            yield

    def is_being_indexed(self) -> bool:
        """Say whether a process makes an index right now.

        Raises:
            OSError: the lock file cannot be made.
        """
        handle = _open_lock(self._index_lock)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def publish(self, manifest: Manifest) -> None:
        """Make a generation the current one, and remove what nobody will open again. Only under the lock.

        Raises:
            OSError: the folder cannot be written.
        """
        partial = self.partial_file("json")
        with partial.open("wb") as file:
            file.write(dumps(manifest.to_json()))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.pointer)
        self._sync()
        self._clean(manifest.file)

    def drop_partial(self) -> None:
        """Remove work in progress of compiles that died. Only under the lock."""
        for partial in self.path.glob(f"{self._stem}-*.partial*"):
            partial.unlink(missing_ok=True)

    def drop_partial_index(self) -> None:
        """Remove indexes in progress of processes that died. Only under the lock for indexes."""
        for partial in self.path.glob(f"{self._stem}-*.unfinished*"):
            partial.unlink(missing_ok=True)

    def _clean(self, current: str) -> None:
        """Keep the current generation and the newest before it; workers that still map an older one keep it until they close it."""
        others = [path for path in self.path.glob(f"{self._stem}-*.db") if path.name != current]
        others.sort(key=_age_key, reverse=True)
        for path in others[1:]:
            path.unlink(missing_ok=True)
        for index in self.path.glob(f"{self._stem}-*{_INDEX_SUFFIX}"):
            if not index.with_suffix(".db").exists():
                index.unlink(missing_ok=True)
        for pointer in self.path.glob(f"{self._stem}-*.json"):
            with suppress(OSError, ValueError):
                if not (self.path / Manifest.from_json(loads(pointer.read_bytes())).file).exists():
                    pointer.unlink(missing_ok=True)

    def _sync(self) -> None:
        handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = _open_lock(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _is_intact(path: Path, size: int, mtime_ns: int) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (size, mtime_ns)


def _age_key(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
