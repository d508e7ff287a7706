"""Close operations for a while: their callers get 503, and every answer says what is closed."""

import os
from collections.abc import Callable, Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from opuscine.contract import ProblemError
from opuscine.keys import CONTEXT
from opuscine.middlewares.plugin import PluginContext
from opuscine.operations import Operation


def plugin(context: PluginContext) -> Middleware:
    """Make the middleware from a setting of its own: operation ids of /openapi.json, between blanks."""
    closed = os.environ.get("MAINTENANCE_OPERATIONS", "").split()
    return maintenance(closed=closed, operation_of=context.operation_of)


def maintenance(*, closed: Collection[str], operation_of: Callable[[web.Request], Operation | None]) -> Middleware:
    """Make the middleware; it belongs behind `errors`."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[CONTEXT].headers["X-Maintenance"] = " ".join(closed)
        operation = operation_of(request)
        if operation is not None and operation.operation_id in closed:
            raise ProblemError("unavailable", "Closed for maintenance.", headers={"Retry-After": "2"})
        return await handler(request)

    return middleware
