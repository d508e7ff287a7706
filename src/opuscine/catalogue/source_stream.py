"""Read the records of a source file one by one, at bounded memory, however large it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

import ijson

from opuscine.catalogue.json_list import Unclear, elements
from opuscine.catalogue.sources import SourceFile, Stamp, new_hash, stamp_of

_BOM = b"\xef\xbb\xbf"
_SHOWN_KEYS = 8


class SourceStream:
    """The records of one source; once they are exhausted, `stamp` and `digest` tell what was read."""

    def __init__(self, source: SourceFile) -> None:
        """Name the file; it is opened when the records are asked for."""
        self.source = source
        self.stamp: Stamp | None = None
        self.digest = ""

    def records(self) -> Iterator[Any]:
        """Yield each record as plain values; numbers with a point are floats, or `Decimal`s.

        Raises:
            CatalogueError: the file cannot be read, is not JSON, or has no list of titles.
        """
        try:
            with self.source.path.open("rb") as file:
                yield from self._records(file)
        except ijson.JSONError as error:
            raise self.source.error(_json_problem(error)) from None
        except OSError as error:
            raise self.source.error(f"cannot be read ({error.strerror}); give this process the right to read it") from None

    def _records(self, file: BinaryIO) -> Iterator[Any]:
        """Read the quick way as far as that goes; what is odd about a file, and what is wrong with it, is for `ijson` to say."""
        self.stamp = stamp_of(self.source.path, os.fstat(file.fileno()))
        hashed, count = _HashedFile(file), 0
        try:
            for record in elements(hashed, self.source.list_names):
                yield record
                count += 1
        except Unclear:
            file.seek(0)
            name = self._list_name(file)
            file.seek(0)
            hashed = _HashedFile(file)
            # Not `use_float`: with it one number beyond 64 bits is an error of the whole file instead of one record's.
            yield from islice(ijson.items(hashed, f"{name}.item"), count, None)
        self.digest = hashed.digest()

    def _list_name(self, file: BinaryIO) -> str:
        """Find the list of titles at the top level, reading no further than its beginning."""
        wanted = " or ".join(f'{{"{name}": [...]}}' for name in self.source.list_names)
        events = ijson.parse(_HashedFile(file))
        _, event, _ = next(events)
        if event != "start_map":
            raise self.source.error(f"holds {_sort_of(event)} at its top level; valid: {wanted}")
        keys: list[str] = []
        for prefix, event, value in events:
            if prefix in self.source.list_names:
                if event == "start_array":
                    return str(prefix)
                raise self.source.error(f'has {_sort_of(event)} as its "{prefix}"; valid: {wanted}')
            if prefix == "" and event == "map_key" and len(keys) < _SHOWN_KEYS:
                keys.append(value[:40])
        raise self.source.error(f"has no list of titles (found at its top level: {', '.join(keys) or 'nothing'}); valid: {wanted}")


class _HashedFile:
    """A binary file that hashes what is read from it and hides a byte order mark, which some editors write and JSON forbids."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = new_hash()
        self._at_start = True

    def read(self, size: int) -> bytes:
        """Read as a file does."""
        data = self._file.read(size)
        self._hash.update(data)
        if self._at_start and data:
            self._at_start = False
            return data.removeprefix(_BOM)
        return data

    def digest(self) -> str:
        """Return the digest of all bytes so far, in hexadecimal."""
        return self._hash.hexdigest()


def _sort_of(event: str) -> str:
    return {"start_array": "a list", "start_map": "an object", "string": "a string", "null": "null", "boolean": "true or false"}.get(
        event, "a number"
    )


def _json_problem(error: Exception) -> str:
    text = str(error)
    if "premature EOF" in text:
        return "ends before its JSON is complete (half written or cut off?); write it whole, best by renaming it into place"
    first = next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
    return f"is not valid JSON ({first}); mend it or name another file"
