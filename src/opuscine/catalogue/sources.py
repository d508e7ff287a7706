"""The JSON files that the catalogue is made from: whether they have changed, and which generation they make."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from opuscine.errors import CatalogueError
from opuscine.model import Kind
from opuscine.packaged import packaged_file

# What decides what a compiled file holds, beside the sources: a change of any of it makes another generation, so that nobody
# has to remember a version number.
_SHAPED_BY = (
    "opuscine.catalogue.compile",
    "opuscine.catalogue.genres",
    "opuscine.catalogue.indexing",
    "opuscine.catalogue.json_list",
    "opuscine.catalogue.offers",
    "opuscine.catalogue.records",
    "opuscine.catalogue.schema",
    "opuscine.catalogue.source_stream",
    "opuscine.catalogue.spelling",
    "opuscine.catalogue.titles",
    "opuscine.catalogue.tokens",
    "opuscine.catalogue.variants",
    "opuscine.providers.address",
    "opuscine.providers.links",
    "opuscine.providers.table",
)
_CHUNK_BYTES = 1 << 20


class Stamp(NamedTuple):
    """What tells cheaply that a file is the one we have read."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One JSON file of titles; `variable` is the setting that names it, "" where none does."""

    kind: Kind
    path: Path
    variable: str = ""

    @property
    def list_names(self) -> tuple[str, ...]:
        """Return the names that the file's list of titles may have."""
        return ("movies",) if self.kind is Kind.MOVIE else ("tv_series", "tv_shows")

    def error(self, what: str) -> CatalogueError:
        """Make the one-line error about this file: the setting if one named it, the file, and what is wrong."""
        return CatalogueError(" ".join(f"{self.variable}: {self.path} {what}".removeprefix(": ").split()))

    def stamp(self) -> Stamp:
        """Look at the file without reading it.

        Raises:
            CatalogueError: it is missing, no regular file, or out of reach.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            way_out = f"name an existing JSON file, or leave {self.variable} unset" if self.variable else "install the package again"
            raise self.error(f"does not exist; {way_out}") from None
        except OSError as error:
            raise self.error(f"cannot be reached ({error.strerror}); give this process the right to read it") from None
        if not stat.S_ISREG(found.st_mode):
            raise self.error("is not a regular file; name a JSON file")
        return stamp_of(self.path, found)


def stamp_of(path: Path, found: os.stat_result) -> Stamp:
    """Make the stamp of a file from what `stat` said of it."""
    return Stamp(str(path), found.st_size, found.st_mtime_ns)


def stamps(sources: Sequence[SourceFile]) -> tuple[Stamp, ...]:
    """Look at all sources without reading them.

    Raises:
        CatalogueError: one of them is missing, no regular file, or out of reach.
    """
    return tuple(source.stamp() for source in sources)


def digest_of(content_digests: Sequence[str], region: str) -> str:
    """Name a generation: by the contents of its sources, by what it is compiled with, and by the region assumed where none is said."""
    digest = new_hash()
    digest.update("\n".join((fingerprint(), region, *content_digests)).encode())
    return digest.hexdigest()


def generation_of(sources: Sequence[SourceFile], region: str) -> tuple[str, tuple[Stamp, ...]]:
    """Read all sources to their ends and name the generation that they make; also return the stamps of what was read.

    Raises:
        CatalogueError: one of them cannot be read.
    """
    read = [content_digest(source) for source in sources]
    return digest_of([digest for digest, _ in read], region), tuple(stamp for _, stamp in read)


def content_digest(source: SourceFile) -> tuple[str, Stamp]:
    """Read a source to its end for the digest of its content, and stamp the very file that was read.

    Raises:
        CatalogueError: it cannot be read.
    """
    try:
        with source.path.open("rb") as file:
            found = stamp_of(source.path, os.fstat(file.fileno()))
            digest = new_hash()
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise source.error(f"cannot be read ({error.strerror}); give this process the right to read it") from None
    return digest.hexdigest(), found


@cache
def fingerprint() -> str:
    """Name the code and the data, our sources apart, that decide what a compiled file holds."""
    digest = new_hash()
    digest.update(unicodedata.unidata_version.encode())
    for name in _SHAPED_BY:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            digest.update(Path(spec.origin).read_bytes())
    digest.update(packaged_file("providers.json").read_bytes())
    return digest.hexdigest()


def new_hash() -> hashlib.blake2b:
    """Start a digest of 20 hexadecimal digits."""
    return hashlib.blake2b(digest_size=10)
