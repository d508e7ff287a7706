"""Reading one JSON object from somebody whom nothing is known of yet."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def read_object(data: bytes) -> dict[str, Any]:
    """Decode a JSON object strictly.

    `codec.loads` is not used here: of two equal names it keeps the last, so that two readers could see two tokens in one
    (RFC 7515, section 4, asks for unique names), and it takes NaN.

    Raises:
        ValueError: not UTF-8, not JSON, not an object, a name stands twice, a number is not one, or it is nested too deeply.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004  the sender's mistake, not a caller's
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
