"""Limit how often a caller reads: per API key or user, and per address where nobody is known.

Recommendations are limited per user in their handler, since a server's key names its users in the body. With Redis away each process
counts for itself; there is never no limit.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from opuscine.fast_path import Exchange, FastMiddleware
from opuscine.keys import CONTEXT
from opuscine.limits import Limit
from opuscine.middlewares.plugin import BuiltInContext
from opuscine.operations import Operation

LIMITED_SCOPE = "read"


def plugin(context: BuiltInContext) -> Middleware:
    """Make the middleware."""
    return RateLimit(limit=context.read_limit, operation_of=context.operation_of)


class RateLimit(FastMiddleware):
    """The middleware; only operations of the scope `read` count."""

    def __init__(self, *, limit: Limit, operation_of: Callable[[web.Request], Operation | None]) -> None:
        """Take the limit of all reading together."""
        self._limit = limit
        self._operation_of = operation_of

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request that is within the limit."""
        operation = self._operation_of(request)
        if operation is not None and operation.scope == LIMITED_SCOPE:
            await self._limit.admit(request[CONTEXT])
        return await handler(request)

    def enter(self, exchange: Exchange) -> bool:
        """Count a request that is admitted. Of what comes this far only a body may still have to go the ordinary way: none is counted."""
        if exchange.operation.scope != LIMITED_SCOPE:
            return True
        return exchange.operation.body is None and self._limit.admit_at_once(exchange.context)
