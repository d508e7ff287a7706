"""Which form of an answer a caller would rather have (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import hdrs

JSON = "application/json"


def prefers(headers: Mapping[str, str], media_type: str) -> bool:
    """Say whether a caller names a type and does not rank JSON above it: by weight, and between equal weights by order.

    Wildcards choose nothing: programs send them, and what programs get by default is JSON.
    """
    if hdrs.ACCEPT not in headers:
        return False
    ranks: dict[str, tuple[float, int]] = {}
    for place, part in enumerate(headers.get(hdrs.ACCEPT, "").split(",")):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
        ranks.setdefault(name, (read_weight(weight), -place))
    wanted = ranks.get(media_type, (0.0, 0))
    return wanted[0] > 0 and wanted > ranks.get(JSON, (0.0, 0))


def read_weight(text: str) -> float:
    """Read a weight from 0 to 1; what is none counts as 1, as if it were not there."""
    try:
        weight = float(text)
    except ValueError:
        return 1.0
    return weight if 0 <= weight <= 1 else 1.0
