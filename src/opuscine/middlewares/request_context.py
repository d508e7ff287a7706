"""Give every request its id, its place in a trace and its deadline, and every answer the headers that tell of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDictProxy, istr

from opuscine.client_address import Networks, client_address
from opuscine.context import RequestContext
from opuscine.fast_path import Exchange, FastMiddleware
from opuscine.guard.deadline import Deadline
from opuscine.keys import CONTEXT, Lifecycle
from opuscine.middlewares.plugin import BuiltInContext
from opuscine.redis_gateway import RedisBudget
from opuscine.telemetry.phases import Phases
from opuscine.telemetry.random_digits import RandomDigits

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# W3C Trace Context, section 3.2.2: version, trace id, parent id, flags; ids of only zeros and version ff are invalid.
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
TRACESTATE_CHARS = 512
# Names that aiohttp need not fold to compare them: a look-up takes 40 ns instead of 110 (measured).
X_REQUEST_ID, TRACE_PARENT, TRACE_STATE, X_FORWARDED_FOR = map(istr, ("X-Request-Id", "traceparent", "tracestate", "X-Forwarded-For"))
DEADLINE_HEADERS = (istr("X-Request-Timeout-Ms"), istr("x-envoy-expected-rq-timeout-ms"))
KEEP_ALIVE_HEADER = istr("Keep-Alive")
LEAST_DEADLINE_S = 0.1
KEEP_ALIVE = "timeout=1200"  # a little less than the server waits, so that a pool which believes it never loses the race


def plugin(context: BuiltInContext) -> Middleware:
    """Make the middleware from the settings."""
    return RequestContexts(
        timeout_s=context.settings.requests.timeout_s,
        trusted_proxies=context.trusted_proxies,
        redis_budget=context.redis_budget,
        lifecycle=context.lifecycle,
        clock=context.clock,
    )


class RequestContexts(FastMiddleware):
    """The outermost middleware."""

    def __init__(
        self,
        *,
        timeout_s: float,
        trusted_proxies: Networks,
        redis_budget: Callable[[Deadline], RedisBudget],
        lifecycle: Lifecycle,
        clock: Callable[[], float],
    ) -> None:
        """Take the parts; `timeout_s` is the longest deadline that a caller can have."""
        self._timeout_s = timeout_s
        self._trusted_proxies = trusted_proxies
        self._redis_budget = redis_budget
        self._lifecycle = lifecycle
        self._clock = clock
        self._digits = RandomDigits()

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request."""
        context = request[CONTEXT] = self._begin(request.headers, request.remote or "")
        response = await handler(request)
        if not response.prepared:
            given = response.headers
            given.update(context.answer_headers())
            if self._lifecycle.draining:
                given["Connection"] = "close"
                response.force_close()
            else:
                given.setdefault(KEEP_ALIVE_HEADER, KEEP_ALIVE)
        return response

    def enter(self, exchange: Exchange) -> bool:
        """Begin a context, unless connections are to be closed."""
        if self._lifecycle.draining:
            return False
        exchange.context = self._begin(exchange.headers, exchange.peer)
        return True

    def leave(self, exchange: Exchange) -> None:
        """Write the headers that every answer carries."""
        lines = exchange.lines
        for name, value in exchange.context.answer_headers().items():
            lines.append(f"{name}: {value}\r\n")
        lines.append(f"Keep-Alive: {KEEP_ALIVE}\r\n")

    def _begin(self, headers: CIMultiDictProxy[str], peer: str) -> RequestContext:
        deadline = Deadline(read_budget(headers, self._timeout_s), self._clock)
        drawn = self._digits.take(80)  # for an id and a trace together
        trusted = self._trusted_proxies
        return RequestContext(
            read_request_id(headers[X_REQUEST_ID], drawn[:32]) if X_REQUEST_ID in headers else drawn[:32],
            continue_trace(headers.get(TRACE_PARENT, ""), drawn[32:]),
            read_tracestate(headers.getall(TRACE_STATE, [])) if TRACE_PARENT in headers else "",
            client_address(peer, headers.getall(X_FORWARDED_FOR, []), trusted) if trusted else peer,
            deadline,
            self._redis_budget,
            Phases(self._clock),
        )


def read_request_id(given: str, drawn: str = "") -> str:
    """Return the caller's id if it is harmless in logs and headers, else a new one: the 32 digits `drawn`, or others."""
    return given if REQUEST_ID.fullmatch(given) else drawn or RandomDigits().take(32)


def continue_trace(given: str, drawn: str = "") -> str:
    """Return a `traceparent` with a span of our own, in the caller's trace if it named one that is valid.

    What is new of it is made of the 48 digits `drawn`, or of others.
    """
    drawn = drawn or RandomDigits().take(48)
    match = TRACEPARENT.fullmatch(given) if given else None
    return f"00-{match[1]}-{drawn[:16]}-{match[2]}" if match else f"00-{drawn[:32]}-{drawn[32:]}-00"


def read_tracestate(given: Sequence[str]) -> str:
    """Join the members of all `tracestate` headers, as many whole ones as fit (W3C Trace Context, section 3.3.1.1)."""
    members = [member.strip() for value in given for member in value.split(",") if member.strip()]
    while members and len(",".join(members)) > TRACESTATE_CHARS:
        members.pop()
    return ",".join(members)


def read_budget(headers: Mapping[str, str], timeout_s: float) -> float:
    """Return the seconds this request has: the shortest of the caller's wishes and ours, at least 0.1. Nonsense is no wish."""
    budget_s = timeout_s
    for name in DEADLINE_HEADERS:
        if (given := headers.get(name)) is not None:
            text = given.strip()
            if text.isascii() and text.isdecimal() and len(text) <= 10:
                budget_s = min(budget_s, max(LEAST_DEADLINE_S, int(text) / 1000))
    return budget_s
