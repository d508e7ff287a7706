"""Measure every request: one line in the log, and `Server-Timing` in the answer."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from opuscine.keys import CONTEXT
from opuscine.middlewares.plugin import PluginContext

CALLER_LEFT = 499  # nginx's status for a caller that closed the connection before its answer


def plugin(context: PluginContext) -> Middleware:
    """Make the middleware."""
    return timing(clock=context.clock)


def timing(*, clock: Callable[[], float]) -> Middleware:
    """Make the middleware; it logs the route's template and never the path, which a caller chooses."""
    log = structlog.get_logger("opuscine.access")

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        context = request[CONTEXT]
        begun = clock()
        status = CALLER_LEFT
        try:
            response = await handler(request)
            status = response.status
            if not response.prepared:
                response.headers["Server-Timing"] = context.phases.server_timing(clock() - begun)
            return response
        except CancelledError:
            raise
        except BaseException:
            status = 500
            raise
        finally:
            own = {
                "method": request.method if request.method in KNOWN_METHODS else "OTHER",
                "route": route_of(request),
                "status": status,
                "ms": round((clock() - begun) * 1000, 1),
                "phases": {name: round(seconds * 1000, 1) for name, seconds in context.phases.seconds.items()},
                "request_id": context.request_id,
                "trace_id": context.trace_id,
            }
            log.info("request", **{**context.notes, **own})  # a plugin's note can't pass for one of ours

    return middleware


KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def route_of(request: web.Request) -> str:
    """Return the template of the address, such as `/api/movies/{id}/ott`."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "UNKNOWN"
