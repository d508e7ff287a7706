"""The fast path: a request whose answer is there already is answered in the very step in which it arrives.

aiohttp gives every request a task, a `web.Request` and a chain of coroutines, since any of them may wait. An answer that is kept as bytes
waits for nothing. Its request still passes every middleware, by two plain calls each instead of a coroutine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple, cast

import structlog
from aiohttp import hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import RawRequestMessage
from aiohttp.typedefs import Middleware
from multidict import CIMultiDictProxy

from opuscine.context import RequestContext
from opuscine.operations import Operation
from opuscine.telemetry.durations import Labels
from opuscine.telemetry.outcome import outcome_of

NOT_PLAIN = (hdrs.EXPECT, hdrs.IF_NONE_MATCH)  # headers that an answer depends on, whatever the middlewares are
ANSWERED = int(HTTPStatus.OK)  # the only status that is given here; whatever else it would be goes the ordinary way

log = structlog.get_logger("opuscine.fast_path")


class FastAnswer(NamedTuple):
    """A body and the lines of the head that belong to it, each with its end."""

    head: bytes
    body: bytes


@dataclass(slots=True)
class Exchange:
    """A request on the fast path, and the head of its answer as far as it is written."""

    headers: CIMultiDictProxy[str]
    body: bytes
    peer: str  # the address it comes from
    operation: Operation
    kept: Any  # what was found for its target
    labels: Labels  # method, address template, status and outcome, for the metrics
    context: RequestContext = cast(RequestContext, None)  # set by the first middleware  # noqa: RUF009
    begun: float = 0.0
    lines: list[str] = field(default_factory=list)  # of the head, each with its end


class FastMiddleware:
    """A middleware that can do its part in two plain calls; these add nothing. One of another kind makes every request go the ordinary way.

    `__call__(request, handler)` is the ordinary way, as of any middleware of aiohttp's.
    """

    __middleware_version__ = 1
    not_plain: tuple[str, ...] = ()  # headers with which a request goes the ordinary way; asked before any `enter`

    def enter(self, _exchange: Exchange, /) -> bool:
        """Do what comes before the handler; False sends the request the ordinary way.

        Nothing may have been counted then, so whoever counts in a request must know that nobody behind it will say False.
        """
        return True

    def leave(self, _exchange: Exchange, /) -> None:
        """Do what comes after it."""


class Found(NamedTuple):
    """What a target means, and what may be there to answer it by, for the handler."""

    operation: Operation
    kept: Any = None


Find = Callable[[web.Application, str], Found | None]
FastHandler = Callable[[web.Application, Exchange], FastAnswer | None]


@dataclass(frozen=True, slots=True)
class FastRoutes:
    """The operations that may be answered at once.

    `find` says by the target alone (path and query as they were sent) which of them a request of a method could mean, and None where
    there is nothing kept to answer it by.
    A handler that gives None sends the request the ordinary way, and has counted nothing.
    """

    find: Mapping[str, Find]
    handlers: Mapping[str, FastHandler]  # by operation id


class FastPath:
    """Answer what can be answered at once; the ordinary way answers the same, as a test shows for every kind of request."""

    def __init__(self, app: web.Application, middlewares: Sequence[FastMiddleware], routes: FastRoutes) -> None:
        """Take the middlewares, outermost first."""
        self._app = app
        self._not_plain = (*NOT_PLAIN, *(name for middleware in middlewares for name in middleware.not_plain))
        self._enter = tuple(middleware.enter for middleware in middlewares)
        self._leave = tuple(middleware.leave for middleware in reversed(middlewares))
        self._find = dict(routes.find)
        self._handlers = dict(routes.handlers)
        self._labels: dict[str, Labels] = {}
        self.answered = 0

    def __call__(self, message: RawRequestMessage, body: bytes, peer: str) -> bytes | None:
        """Return the whole answer to a plain HTTP/1.1 request that is there as a whole, or None: then nothing has been counted."""
        find = self._find.get(message.method)
        if find is None:
            return None
        try:
            found = find(self._app, message.path)
            return None if found is None else self._answer(found, message, body, peer)
        except Exception:
            log.exception("the fast path failed", consequence="the request goes the ordinary way")
            return None

    def _answer(self, found: Found, message: RawRequestMessage, body: bytes, peer: str) -> bytes | None:
        operation, headers = found.operation, message.headers
        if bool(body) != (operation.body is not None):
            return None
        for name in self._not_plain:
            if name in headers:
                return None
        exchange = Exchange(headers, body, peer, operation, found.kept, self._labels_of(operation))
        for enter in self._enter:
            if not enter(exchange):
                return None
        answer = self._handlers[operation.operation_id](self._app, exchange)
        if answer is None:
            return None
        for leave in self._leave:
            leave(exchange)
        self.answered += 1
        own = f"{''.join(exchange.lines)}Date: {rfc822_formatted_time()}\r\n\r\n"
        return b"".join((b"HTTP/1.1 200 OK\r\n", answer.head, own.encode(), answer.body))

    def _labels_of(self, operation: Operation) -> Labels:
        labels = self._labels.get(operation.operation_id)
        if labels is None:
            labels = (operation.method, operation.path, str(ANSWERED), outcome_of(ANSWERED))
            self._labels[operation.operation_id] = labels
        return labels


def fast_path(app: web.Application, middlewares: Iterable[Middleware], routes: FastRoutes) -> FastPath | None:
    """Build the fast path, or None where a middleware can't take it: a plugin of others sees every request."""
    chain = list(middlewares)
    fast = [middleware for middleware in chain if isinstance(middleware, FastMiddleware)]
    return FastPath(app, fast, routes) if len(fast) == len(chain) else None
