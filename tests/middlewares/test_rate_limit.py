"""Only reading is counted here, before anything is done for it."""

from __future__ import annotations

import time
from functools import partial

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from opuscine.context import RequestContext
from opuscine.contract import ProblemError
from opuscine.guard.deadline import Deadline
from opuscine.guard.rate_limiter import Rate, RateLimiter
from opuscine.handlers.docs import index
from opuscine.identity.caller import ANYBODY
from opuscine.keys import CONTEXT
from opuscine.limits import Limit
from opuscine.middlewares.rate_limit import RateLimit
from opuscine.operations import Operation
from opuscine.redis_gateway import RedisBudget


def operation_with(scope: str | None) -> Operation:
    return Operation("GET", "/", index, "getIndex", "", "", None, scope=scope)


async def statuses(operation: Operation | None, calls: int) -> list[int]:
    """Call an operation so often with one request an hour allowed."""
    limiter = RateLimiter[RedisBudget](Rate(1, 3600, 1), None, name="read")
    middleware = RateLimit(limit=Limit(lambda: limiter), operation_of=lambda _: operation)
    done = []

    async def handler(_: web.Request) -> web.StreamResponse:
        done.append(1)
        return web.Response(status=200)

    found = []
    for _ in range(calls):
        request = make_mocked_request("GET", "/")
        request[CONTEXT] = RequestContext("id", "", "", "192.0.2.1", Deadline(1), partial(RedisBudget, 1.0, time.monotonic), caller=ANYBODY)
        try:
            found.append((await middleware(request, handler)).status)
        except ProblemError as problem:
            found.append(problem.type.status)
    assert len(done) == found.count(200)
    return found


async def test_reading_is_counted_and_refused_before_it_is_done() -> None:
    assert await statuses(operation_with("read"), 3) == [200, 429, 429]


async def test_nothing_else_is_counted() -> None:
    """Recommendations are counted in their handler, once their user is known; addresses that are none cost nothing."""
    for operation in (operation_with(None), operation_with("recommend"), operation_with("admin"), operation_with("metrics"), None):
        assert await statuses(operation, 3) == [200, 200, 200]
