"""Give every request its id, its place in a trace and its deadline, and every answer the headers that tell of them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from opuscine.client_address import Networks, client_address
from opuscine.context import RequestContext
from opuscine.guard.deadline import Deadline
from opuscine.keys import CONTEXT, Lifecycle
from opuscine.middlewares.plugin import BuiltInContext
from opuscine.redis_gateway import RedisBudget
from opuscine.telemetry.phases import Phases

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# W3C Trace Context, section 3.2.2: version, trace id, parent id, flags; ids of only zeros and version ff are invalid.
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
TRACESTATE_CHARS = 512
DEADLINE_HEADERS = ("X-Request-Timeout-Ms", "x-envoy-expected-rq-timeout-ms")
LEAST_DEADLINE_S = 0.1
KEEP_ALIVE = "timeout=1200"  # a little less than the server waits, so that a pool which believes it never loses the race


def plugin(context: BuiltInContext) -> Middleware:
    """Make the middleware from the settings."""
    return request_context(
        timeout_s=context.settings.requests.timeout_s,
        trusted_proxies=context.trusted_proxies,
        redis_budget=context.redis_budget,
        lifecycle=context.lifecycle,
        clock=context.clock,
    )


def request_context(
    *,
    timeout_s: float,
    trusted_proxies: Networks,
    redis_budget: Callable[[Deadline], RedisBudget],
    lifecycle: Lifecycle,
    clock: Callable[[], float],
) -> Middleware:
    """Make the outermost middleware; `timeout_s` is the longest deadline that a caller can have."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        deadline = Deadline(read_budget(request, timeout_s), clock=clock)
        context = RequestContext(
            request_id=read_request_id(request.headers.get("X-Request-Id", "")),
            traceparent=continue_trace(request.headers.get("traceparent", "")),
            tracestate=read_tracestate(request.headers.getall("tracestate", [])) if "traceparent" in request.headers else "",
            client=client_address(request.remote or "", request.headers.getall("X-Forwarded-For", []), trusted_proxies),
            deadline=deadline,
            redis_budget=redis_budget(deadline),
            phases=Phases(clock),
        )
        request[CONTEXT] = context
        response = await handler(request)
        if not response.prepared:
            response.headers.update(context.answer_headers())
            if lifecycle.draining:
                response.headers["Connection"] = "close"
                response.force_close()
            else:
                response.headers.setdefault("Keep-Alive", KEEP_ALIVE)
        return response

    return middleware


def read_request_id(given: str) -> str:
    """Return the caller's id if it is harmless in logs and headers, else a new one."""
    return given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def continue_trace(given: str) -> str:
    """Return a `traceparent` with a span of our own, in the caller's trace if it named one that is valid."""
    match = TRACEPARENT.fullmatch(given)
    trace_id, flags = (match[1], match[2]) if match else (secrets.token_hex(16), "00")
    return f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"


def read_tracestate(given: Sequence[str]) -> str:
    """Join the members of all `tracestate` headers, as many whole ones as fit (W3C Trace Context, section 3.3.1.1)."""
    members = [member.strip() for value in given for member in value.split(",") if member.strip()]
    while members and len(",".join(members)) > TRACESTATE_CHARS:
        members.pop()
    return ",".join(members)


def read_budget(request: web.Request, timeout_s: float) -> float:
    """Return the seconds this request has: the shortest of the caller's wishes and ours, at least 0.1. Nonsense is no wish."""
    wishes = [timeout_s]
    for name in DEADLINE_HEADERS:
        text = request.headers.get(name, "").strip()
        if text.isascii() and text.isdecimal() and len(text) <= 10:
            wishes.append(max(LEAST_DEADLINE_S, int(text) / 1000))
    return min(wishes)
