"""Tracebacks that can be kept: where something failed and as what, but not the texts of exceptions or the values of variables.

Both may repeat what a caller sent or a credential from an address (a search term in SQLite's error, the key in a KeyError).
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import TextIO

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]
MAX_CHAINED = 20


def describe(error: BaseException) -> str:
    """Name an exception by its type, and by the system's own words where it has them."""
    name = type(error).__qualname__ if type(error).__module__ == "builtins" else f"{type(error).__module__}.{type(error).__qualname__}"
    return f"{name}: {os.strerror(error.errno)}" if isinstance(error, OSError) and isinstance(error.errno, int) else name


def traceback_text(exc_info: ExceptionInfo) -> str:
    """Write an exception, what it came from first, as Python does but without any exception's text."""
    return "\n".join(_lines(exc_info[1], set()))


def write_traceback(sio: TextIO, exc_info: ExceptionInfo) -> None:
    """Write the same to a stream, as structlog's renderer for people wants it."""
    sio.write(f"\n{traceback_text(exc_info)}")


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in seen and len(seen) < MAX_CHAINED:
        yield from _lines(earlier, seen)
        yield "which led to:" if error.__cause__ else "during which came:"
    yield "Traceback (most recent call last):"
    yield from (line.rstrip("\n") for line in traceback.format_tb(error.__traceback__))
    yield describe(error)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            if id(inner) not in seen and len(seen) < MAX_CHAINED:
                yield "with:"
                yield from _lines(inner, seen)
