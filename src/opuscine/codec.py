"""The one way from Python values to JSON bytes and back.

ujson's defaults emit `NaN` and escape `/` (measured on 6.1.0); the options here make its output plain RFC 8259 in UTF-8.
Requests are not read here: pydantic reads them strictly from the bytes.
"""

from __future__ import annotations

from typing import Any

import ujson


def dumps(value: Any) -> bytes:
    """Encode a value as UTF-8 JSON without escapes.

    Raises:
        ValueError: the value holds NaN, an infinity or a lone surrogate.
        OverflowError: the same, as ujson says it for infinities.
    """
    return ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False).encode()


def loads(data: bytes | str) -> Any:
    """Decode JSON that we or a trusted store wrote.

    Raises:
        ValueError: the data is not JSON (`ujson.JSONDecodeError` is one).
    """
    return ujson.loads(data)
