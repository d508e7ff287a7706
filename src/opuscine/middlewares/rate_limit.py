"""Limit how often a caller reads: per API key or user, and per address where nobody is known.

Recommendations are limited per user in their handler, since a server's key names its users in the body. With Redis away each process
counts for itself; there is never no limit.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from opuscine.keys import CONTEXT
from opuscine.limits import Limit
from opuscine.middlewares.plugin import BuiltInContext
from opuscine.operations import Operation

LIMITED_SCOPE = "read"


def plugin(context: BuiltInContext) -> Middleware:
    """Make the middleware."""
    return rate_limit(limit=context.read_limit, operation_of=context.operation_of)


def rate_limit(*, limit: Limit, operation_of: Callable[[web.Request], Operation | None]) -> Middleware:
    """Make the middleware; only operations of the scope `read` count."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = operation_of(request)
        if operation is not None and operation.scope == LIMITED_SCOPE:
            await limit.admit(request[CONTEXT])
        return await handler(request)

    return middleware
