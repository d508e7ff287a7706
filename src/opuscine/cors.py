"""Which pages of other origins may call, with what, and what they may read."""

from __future__ import annotations

from collections.abc import Container, Sequence

import aiohttp_cors
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from opuscine.fast_path import Exchange, FastMiddleware

READABLE = ("Age", "ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "Server-Timing", "WWW-Authenticate", "X-Request-Id")
SENDABLE = (
    *("Authorization", "Cache-Control", "Content-Type", "If-None-Match", "X-Api-Key", "X-Request-Id", "X-Request-Timeout-Ms"),
    *("traceparent", "tracestate"),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})  # what a page may try, if only to learn that it is not taken
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
    app.middlewares.append(UnroutedPreflights(origins))

    async def complete(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Vary"] = ", ".join([*response.headers.getall("Vary", []), "Origin"])
        origin = request.headers.get("Origin", "")
        if is_allowed(origin, origins) and "Access-Control-Allow-Origin" not in response.headers:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = ",".join(READABLE)

    app.on_response_prepare.append(complete)


class UnroutedPreflights(FastMiddleware):
    """The innermost middleware, which lets pages ask for addresses and methods that are not there.

    A preflight that fails is a network error to the page, so one that sends a token could not tell a 404 or 405 from an outage.
    """

    not_plain = (hdrs.ORIGIN,)

    def __init__(self, origins: Container[str]) -> None:
        """Take the origins whose pages may ask."""
        self._origins = origins

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, or a preflight that no route answers."""
        try:
            return await handler(request)
        except (web.HTTPForbidden, web.HTTPNotFound) as refusal:
            if request.method != hdrs.METH_OPTIONS:
                raise
            if is_preflight(request):
                if granted := granted_to(request, self._origins):
                    return web.Response(headers=granted)
            elif isinstance(refusal, web.HTTPForbidden):  # aiohttp-cors takes every OPTIONS for a preflight
                methods = {route.method for route in request.match_info.route.resource or ()}
                raise web.HTTPMethodNotAllowed(request.method, methods - {hdrs.METH_OPTIONS}) from None
            raise

    def leave(self, exchange: Exchange) -> None:
        """Say that a page of another origin would get other headers."""
        exchange.lines.append("Vary: Origin\r\n")


def is_preflight(request: web.Request) -> bool:
    """Say whether a browser asks beforehand what a page may send (Fetch standard, CORS-preflight request)."""
    return request.method == hdrs.METH_OPTIONS and "Origin" in request.headers and "Access-Control-Request-Method" in request.headers


def is_allowed(origin: str, origins: Container[str]) -> bool:
    """Say whether pages of an origin may call."""
    return origin != "" and (origin in origins or "*" in origins)


def granted_to(request: web.Request, origins: Container[str]) -> dict[str, str] | None:
    """Return the headers that let a page send what its preflight asks for, or None if it may not (CORS-preflight fetch, step 7)."""
    origin, method = request.headers["Origin"], request.headers["Access-Control-Request-Method"]
    asked = [name.strip() for name in request.headers.get("Access-Control-Request-Headers", "").split(",") if name.strip()]
    sendable = {name.lower() for name in SENDABLE}
    if not is_allowed(origin, origins) or method not in METHODS or not sendable.issuperset(name.lower() for name in asked):
        return None
    granted = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": method,
        "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
    }
    return {**granted, "Access-Control-Allow-Headers": ",".join(asked)} if asked else granted
