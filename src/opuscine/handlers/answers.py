"""How a prepared body becomes an HTTP answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web
from multidict import CIMultiDict

from opuscine.codec import dumps
from opuscine.connections.prepared_response import PreparedResponse
from opuscine.prepared_answers import PreparedAnswer

OTT_MAX_AGE_S = 300
JSON = "application/json"


def json_answer(body: dict[str, Any] | bytes, *, status: int = 200, cache_control: str = "no-store") -> web.Response:
    """Answer with JSON in UTF-8."""
    encoded = body if isinstance(body, bytes) else dumps(body)
    response = PreparedResponse(encoded, json_headers(cache_control))
    if status != 200:
        response.set_status(status)
    return response


def json_headers(cache_control: str = "no-store") -> CIMultiDict[str]:
    """Return the headers that belong to JSON."""
    return CIMultiDict(((hdrs.CACHE_CONTROL, cache_control), (hdrs.CONTENT_TYPE, JSON)))


def conditional_answer(request: web.Request, body: dict[str, Any]) -> web.Response:
    """Answer with an entity tag, or with 304 where the caller holds the same body already (RFC 9110, section 13.1.2)."""
    return tagged_answer(request, prepare(body))


def prepare(body: dict[str, Any], operation_id: str = "") -> PreparedAnswer:
    """Encode a body and make its entity tag; `private`: with authentication on, an answer belongs to the one who asked."""
    encoded = dumps(body)
    tag = f'"{hashlib.blake2b(encoded, digest_size=12).hexdigest()}"'
    headers = CIMultiDict(((hdrs.ETAG, tag), (hdrs.CACHE_CONTROL, f"private, max-age={OTT_MAX_AGE_S}"), (hdrs.CONTENT_TYPE, JSON)))
    return PreparedAnswer(encoded, tag, headers, written_head(headers, encoded), operation_id)


def written_head(headers: Mapping[str, str], body: bytes) -> bytes:
    """Write the lines of a head that belong to a body."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return f"{''.join(lines)}{hdrs.CONTENT_LENGTH}: {len(body)}\r\n".encode()


def tagged_answer(request: web.Request, answer: PreparedAnswer) -> web.Response:
    """Send a prepared answer, or 304."""
    headers = CIMultiDict(answer.headers)
    if hdrs.IF_NONE_MATCH in request.headers and holds(request.headers.getall(hdrs.IF_NONE_MATCH), answer.tag):
        del headers[hdrs.CONTENT_TYPE]
        return web.Response(status=304, headers=headers)
    return PreparedResponse(answer.body, headers)


def holds(given: list[str], tag: str) -> bool:
    """Say whether an If-None-Match names the tag; the comparison is weak, as the RFC asks of it."""
    tags = {part.strip().removeprefix("W/") for value in given for part in value.split(",")}
    return tag in tags or "*" in tags
