"""Which pages of other origins may call, with what, and what they may read."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp_cors
from aiohttp import web

READABLE = ("ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "Server-Timing", "WWW-Authenticate", "X-Request-Id")
SENDABLE = (
    *("Authorization", "Cache-Control", "Content-Type", "If-None-Match", "X-Api-Key", "X-Request-Id", "X-Request-Timeout-Ms"),
    *("traceparent", "tracestate"),
)
PREFLIGHT_MAX_AGE_S = 600


def allow_origins(app: web.Application, origins: Sequence[str]) -> None:
    """Let the pages of these origins call every route that the application has now; no origins: no page may.

    Credentials of the browser's own (cookies) are never asked for: a page sends its key or token as a header. aiohttp-cors answers
    preflights and routed requests; to what it leaves out (404 and 405, which no route gives, and `Vary`) this adds the rest, so that
    a page can read every error.
    """
    if not origins:
        return
    options = {"allow_credentials": False, "expose_headers": READABLE, "allow_headers": SENDABLE, "max_age": PREFLIGHT_MAX_AGE_S}
    cors = aiohttp_cors.setup(app, defaults=dict.fromkeys(origins, options))
    for route in list(app.router.routes()):
        cors.add(route)

    async def complete(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Vary"] = ", ".join(filter(None, [response.headers.get("Vary"), "Origin"]))
        origin = request.headers.get("Origin", "")
        if (origin in origins or (origin and "*" in origins)) and "Access-Control-Allow-Origin" not in response.headers:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = ",".join(READABLE)

    app.on_response_prepare.append(complete)
