"""The elements of a long list in a JSON file, one after the other: twice as quick as `ijson` (measured), for files without oddities.

What is not as expected is not judged here: `Unclear` is raised, and who asked leaves the file to `ijson`.
"""

from __future__ import annotations

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol

_CHUNK_BYTES = 1 << 18
_LONGEST = 1 << 22  # characters of an element; beyond, `ijson` reads it piece by piece

_SPACE = re.compile(r"[ \t\n\r]*")
_OPENING = re.compile(r"[ \t\n\r]*\{[ \t\n\r]*")
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_CLOSING = re.compile(r"[ \t\n\r]*\]")


class Unclear(Exception):  # noqa: N818  no fault
    """Say that the file is not as simple as it must be here, or no JSON at all."""


class Readable(Protocol):
    """A binary file, as far as it is needed here."""

    def read(self, size: int, /) -> bytes:
        """Read at most so many bytes; none at the end."""
        ...


def elements(file: Readable, names: Collection[str]) -> Iterator[Any]:
    """Yield the elements of the first list of one of these names in the object that a file holds; reads the file to its end.

    Raises:
        Unclear: the list does not begin within the first 256 KiB, an element is longer than four million characters, as much follows
            the list, or the JSON is broken. The elements before have been yielded.
    """
    try:
        yield from _elements(_Text(file), names)
    except (ValueError, RecursionError) as error:  # of either decoder
        raise Unclear from error


class _Text:
    """The text of a file in pieces: `buffer` holds what has been read and not been dropped."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._decoder = getincrementaldecoder("utf-8")()
        self.buffer = ""
        self.at_end = False
        self.read_on(0)

    def read_on(self, position: int) -> None:
        """Drop what lies before a position and read a piece more. Raises Unclear if the rest is long already or there is no more."""
        if self.at_end or len(self.buffer) - position > _LONGEST:
            raise Unclear
        data = self._file.read(_CHUNK_BYTES)
        self.at_end = not data
        self.buffer = self.buffer[position:] + self._decoder.decode(data, final=self.at_end)


def _elements(text: _Text, names: Collection[str]) -> Iterator[Any]:
    decode = json.JSONDecoder(parse_constant=_refuse).raw_decode
    position = _beginning(text.buffer, names, decode)
    while position == len(text.buffer):
        text.read_on(position)
        position = _end(_SPACE, text.buffer, 0)
    if closing := _CLOSING.match(text.buffer, position):
        _check_rest(text, closing.end(), names)
        return
    while True:
        try:
            element, end = decode(text.buffer, position)
        except json.JSONDecodeError:  # cut off, or broken
            element, end = None, len(text.buffer)
        # A number may go on behind the end of the buffer: an element is whole only where something follows it.
        if following := _COMMA.match(text.buffer, end):
            yield element
            position = following.end()
        elif closing := _CLOSING.match(text.buffer, end):
            yield element
            _check_rest(text, closing.end(), names)
            return
        else:
            text.read_on(position)
            position = _end(_SPACE, text.buffer, 0)


def _beginning(buffer: str, names: Collection[str], decode: Callable[[str, int], tuple[Any, int]]) -> int:
    """Return where the list's first element begins, after the bracket that opens it."""
    position = _end(_OPENING, buffer, 0)
    while True:
        name, position = decode(buffer, position)
        position = _end(_COLON, buffer, position)
        if not isinstance(name, str):
            raise Unclear
        if name in names:
            if buffer[position : position + 1] != "[":
                raise Unclear
            return _end(_SPACE, buffer, position + 1)
        _, position = decode(buffer, position)
        position = _end(_COMMA, buffer, position)


def _check_rest(text: _Text, position: int, names: Collection[str]) -> None:
    """Make sure that what follows the list closes the object, and that no such list is in it. Raises ValueError."""
    while not text.at_end:
        text.read_on(position)
        position = 0
    rest = json.loads('{"": []' + text.buffer[position:], parse_constant=_refuse)
    if not rest.keys().isdisjoint(names):
        raise Unclear


def _end(pattern: re.Pattern[str], buffer: str, position: int) -> int:
    found = pattern.match(buffer, position)
    if found is None:
        raise Unclear
    return found.end()


def _refuse(constant: str) -> None:
    """Refuse NaN and the infinities, which are Python's and not JSON's."""
    raise ValueError(constant)
