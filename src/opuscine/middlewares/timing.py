"""Measure every request: one line in the log, one duration among the metrics, a span where spans are sent, and `Server-Timing`."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import istr

from opuscine.context import RequestContext
from opuscine.fast_path import ANSWERED, Exchange, FastMiddleware
from opuscine.keys import CONTEXT
from opuscine.middlewares.plugin import BuiltInContext
from opuscine.telemetry.durations import Labels
from opuscine.telemetry.line_budget import LineBudget
from opuscine.telemetry.measures import Measures
from opuscine.telemetry.outcome import outcome_of
from opuscine.telemetry.tracing import OpenSpan, Tracing

SERVER_TIMING = istr("Server-Timing")
CALLER_LEFT = 499  # nginx's status for a caller that closed the connection before its answer
SLOW_S = 1.0  # what takes longer is logged, whatever came of it
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
KNOWN_STATUSES = frozenset({*map(int, HTTPStatus), CALLER_LEFT})

log = structlog.get_logger("opuscine.access")


def plugin(context: BuiltInContext) -> Middleware:
    """Make the middleware."""
    per_second = context.settings.log_requests
    return Timing(
        measures=context.measures,
        tracing=context.tracing,
        good=LineBudget(per_second, context.clock),
        refused=LineBudget(per_second, context.clock),
        clock=context.clock,
    )


class Timing(FastMiddleware):
    """The middleware; it names the route's template and never the path, which a caller chooses.

    Lines of good answers and of refusals (4xx) have a budget each; the next line that is written says how many were left out.
    """

    def __init__(
        self,
        *,
        measures: Measures,
        tracing: Callable[[], Tracing | None],
        good: LineBudget,
        refused: LineBudget,
        clock: Callable[[], float],
    ) -> None:
        """Take what is measured into, and how many lines there may be."""
        self._measures = measures
        self._tracing = tracing
        self._budgets = {1: good, 2: good, 3: good, 4: refused}
        self._clock = clock
        self._labels_of = KnownLabels()
        self._left_out = 0

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, and note how that went."""
        context, measures = request[CONTEXT], self._measures
        tracer = self._tracing()
        span = begin_span(tracer, request, context) if tracer is not None else None
        begun = self._clock()
        status = CALLER_LEFT
        measures.in_flight += 1
        try:
            response = await handler(request)
            status = response.status
            if not response.prepared:
                response.headers[SERVER_TIMING] = context.phases.server_timing(self._clock() - begun)
            return response
        except CancelledError:
            raise
        except BaseException:
            status = 500
            raise
        finally:
            took_s = self._clock() - begun
            measures.in_flight -= 1
            if span is not None:
                end_span(span, context, status)
            self._note(context, self._labels_of(request, status), status, took_s)

    def enter(self, exchange: Exchange) -> bool:
        """Begin to measure, unless there is a span to be made."""
        exchange.begun = self._clock()
        return self._tracing() is None

    def leave(self, exchange: Exchange) -> None:
        """Note how it went."""
        took_s = self._clock() - exchange.begun
        exchange.lines.append(f"Server-Timing: {exchange.context.phases.server_timing(took_s)}\r\n")
        self._note(exchange.context, exchange.labels, ANSWERED, took_s)

    def _note(self, context: RequestContext, labels: Labels, status: int, took_s: float) -> None:
        self._measures.requests.observe(took_s, labels)
        budget = self._budgets.get(status // 100)
        if budget is not None and took_s <= SLOW_S and status != CALLER_LEFT and not budget.allows():
            self._left_out += 1
            self._measures.lines_left_out += 1
            return
        own = {
            "method": labels[0],
            "route": labels[1],
            "status": status,
            "ms": round(took_s * 1000, 1),
            "phases": {name: round(seconds * 1000, 1) for name, seconds in context.phases.seconds.items()},
            "request_id": context.request_id,
            "trace_id": context.trace_id,
        }
        if self._left_out:
            own["left_out"], self._left_out = self._left_out, 0
        log.info("request", **{**context.notes, **own})  # a plugin's note can't pass for one of ours


class KnownLabels:
    """Give method, route, status and outcome of requests.

    Those of our own routes are few and made once.
    """

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[tuple[str, web.AbstractRoute, int], Labels] = {}

    def __call__(self, request: web.Request, status: int) -> Labels:
        """Return the labels of a request that has ended."""
        route = request.match_info.route
        labels = self._known.get((request.method, route, status))
        if labels is None:
            method = method_of(request)
            shown = status if status in KNOWN_STATUSES else "UNKNOWN"
            labels = (method, route_of(request), str(shown), outcome_of(status))
            if route.resource is not None and method == request.method and shown == status:
                self._known[method, route, status] = labels
        return labels


def begin_span(tracing: Tracing, request: web.Request, context: RequestContext) -> OpenSpan:
    """Begin the request's span, from which everything behind it continues (OpenTelemetry's conventions for HTTP servers)."""
    method, route = method_of(request), route_of(request)
    attributes: dict[str, str | int | bool] = {
        "http.request.method": method if method != "OTHER" else "_OTHER",
        "url.scheme": request.scheme,
        "network.protocol.version": f"{request.version.major}.{request.version.minor}",
        "opuscine.request_id": context.request_id,
    }
    if route != "UNKNOWN":  # an address of ours; of any other not even the path is kept
        attributes |= {"http.route": route, "url.path": request.rel_url.raw_path}
    given = {"traceparent": request.headers.get("traceparent", ""), "tracestate": context.tracestate}
    name = f"{method} {route}" if route != "UNKNOWN" else method
    span = tracing.begin_server(name, given, attributes)
    context.traceparent = span.traceparent
    return span


def end_span(span: OpenSpan, context: RequestContext, status: int) -> None:
    """End the request's span with what its log line says too."""
    notes = {f"opuscine.{name}": value for name in ("source", "degraded", "caller") if (value := context.notes.get(name)) is not None}
    span.end(status, failed=status >= 500, attributes=notes)


def method_of(request: web.Request) -> str:
    """Return the method, or OTHER for one that a caller made up."""
    return request.method if request.method in KNOWN_METHODS else "OTHER"


def route_of(request: web.Request) -> str:
    """Return the template of the address, such as `/api/movies/{id}/ott`."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "UNKNOWN"
