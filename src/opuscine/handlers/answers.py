"""How a prepared body becomes an HTTP answer."""

from __future__ import annotations

import hashlib
from typing import Any

from aiohttp import web

from opuscine.codec import dumps

OTT_MAX_AGE_S = 300


def json_answer(body: dict[str, Any] | bytes, *, status: int = 200, cache_control: str = "no-store") -> web.Response:
    """Answer with JSON in UTF-8."""
    encoded = body if isinstance(body, bytes) else dumps(body)
    return web.Response(status=status, body=encoded, content_type="application/json", headers={"Cache-Control": cache_control})


def conditional_answer(request: web.Request, body: dict[str, Any]) -> web.Response:
    """Answer with an entity tag, or with 304 where the caller holds the same body already (RFC 9110, section 13.1.2).

    `private`: with authentication on, an answer belongs to the one who asked.
    """
    encoded = dumps(body)
    tag = f'"{hashlib.blake2b(encoded, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": f"private, max-age={OTT_MAX_AGE_S}"}
    if holds(request.headers.getall("If-None-Match", []), tag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=encoded, content_type="application/json", headers=headers)


def holds(given: list[str], tag: str) -> bool:
    """Say whether an If-None-Match names the tag; the comparison is weak, as the RFC asks of it."""
    tags = {part.strip().removeprefix("W/") for value in given for part in value.split(",")}
    return tag in tags or "*" in tags
