"""One connection, from its being accepted to its end: each phase is bounded, and what cannot be parsed is answered like every other error.

aiohttp (3.14) bounds neither headers nor bodies in time, and answers what it can't parse past all middlewares, as text that repeats what
was sent, with a traceback in the log. `RequestHandler` is the one place where that can be changed; what is private to it and used here is
listed in `PRIVATE_NAMES`, which a test holds against the aiohttp that is installed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, cast

import structlog
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo
from aiohttp.web_request import BaseRequest

from opuscine.connections.open_connections import OpenConnections
from opuscine.connections.phase import Phase
from opuscine.connections.refusal import problem_body, problem_headers, raw_answer
from opuscine.contract import ProblemError

AMBIGUOUS = _ErrInfo(400, BadHttpMessage("a version of HTTP that is not spoken here, or one that knows no chunks"), "")
HEAD_LIMIT_BYTES = 32_768  # of a head that comes in pieces; aiohttp bounds each line (8,190) and their number (128), which would be 1 MB
PRIVATE_NAMES = (
    *("_close", "_force_close", "_loop", "_manager", "_messages", "_parser", "_paused", "_payload_parser", "_process_keepalive"),
    *("_request_count", "_task_handler", "_upgraded", "_waiter"),
)

# Gives the whole answer to a plain request (its head, its body, the address it comes from), or None: then it goes the ordinary way.
AtOnce = Callable[[RawRequestMessage, bytes, str], bytes | None]

log = structlog.get_logger("opuscine.connections")


class BodyTimeoutError(RequestPayloadError):
    """A request's body did not arrive in time."""


class ConnectionHandler(RequestHandler):
    """Handle one connection; broken requests get `application/problem+json`, one line in the log, and the end of the connection."""

    __slots__ = ("_at_once", "_before", "_body", "_cause", "_connections", "_head_bytes", "_peer", "_seen", "_sending", "_wire")

    def __init__(self, manager: web.Server, connections: OpenConnections, at_once: AtOnce | None, **options: Any) -> None:
        """Wait for `connection_made`."""
        super().__init__(manager, **options)
        self._connections = connections
        self._at_once = at_once
        self._peer = ""
        self._wire: asyncio.Transport | None = None  # aiohttp forgets its own as soon as it closes, when bytes may still be on their way
        self._seen = 0  # requests that came and were looked at
        self._before: Phase | None = None  # what a request puts an end to
        self._head_bytes = 0
        self._body: StreamReader | None = None  # unfinished
        self._cause = ""
        self._sending: AbstractStreamWriter | None = None  # of the newest answer, whose bytes are not counted yet

    @property
    def waits(self) -> bool:
        """Say whether no request is under way."""
        return self._waiter is not None and not self._waiter.done()

    # --- from its beginning to its end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if there is room."""
        wire = cast(asyncio.Transport, transport)
        if not self._connections.admit():
            self._connections.refuse(wire)
            return
        self._wire = wire
        self._connections.open += 1
        self._begin(self._connections.opening)
        super().connection_made(transport)
        peer = self.peername
        self._peer = str(peer[0]) if isinstance(peer, list | tuple) else str(peer or "")
        if self._task_handler is not None:
            self._task_handler.add_done_callback(self._serves_no_more)

    def _serves_no_more(self, _task: asyncio.Task[None]) -> None:
        """Whatever ended the serving of requests, the connection has to be gone soon."""
        if self._wire is not None:
            self._connections.closing.enter(self, self._loop)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End; a caller that leaves inside of a request is worth a line."""
        if self._wire is None:
            return
        self._wire = None
        self._count_sent(None)
        if not self._cause and (self._head_bytes or self._body is not None):
            self._broken("left_early")
        self._connections.left(self, self._cause)
        super().connection_lost(exc)

    def evict(self) -> bool:
        """Make room for another connection, if nothing is under way on this one."""
        if not self.waits:
            return False
        self._connections.idle.leave(self)
        self._broken("evicted")
        self.force_close()
        return True

    # --- its phases

    def data_received(self, data: bytes) -> None:
        """Take bytes: a whole head ends the time for headers, the end of a body that for bodies."""
        self._connections.received_bytes += len(data)
        waiter = self._waiter
        if self._at_once is None or waiter is None or waiter.done():
            RequestHandler.data_received(self, data)
        else:
            self._waiter = None  # so that aiohttp wakes nobody for what is answered at once
            try:
                RequestHandler.data_received(self, data)
            finally:
                self._waiter = waiter
            if self._messages:
                if len(self._messages) == 1 and self._answered_at_once(self._at_once, *self._messages[0]):
                    return
                if not waiter.done():
                    waiter.set_result(None)
        if self._request_count != self._seen:
            self._requests_came()
        elif self._body is not None:
            if self._body.is_eof():
                self._body_ended()
        elif data:
            self._head_goes_on(data)

    def _answered_at_once(self, at_once: AtOnce, message: RawRequestMessage | _ErrInfo, payload: StreamReader) -> bool:
        """Answer a request in the step in which it arrives, if it is plain, there as a whole, and its answer is too."""
        if (
            isinstance(message, _ErrInfo)
            or message.version is not HttpVersion11
            or message.should_close
            or message.upgrade
            or message.chunked
            or self._paused
            or self._close
            or self._force_close
            or self._wire is None
        ):
            return False
        body = b"" if payload is EMPTY_PAYLOAD else whole_body(payload)
        if body is None or (answer := at_once(message, body, self._peer)) is None:
            return False
        self._messages.clear()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._manager is not None:
            self._manager.requests_count += 1
        self._seen = self._request_count
        self._head_bytes = 0
        self._count_sent(None)
        self._connections.sent_bytes += len(answer)
        if self._before is not None:
            self._before.leave(self)
        self._wire.write(answer)
        self._begin(self._connections.idle)
        return True

    def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Send an answer; without a further request that has come, the connection is idle from now on.

        This is no coroutine function, so that a request pays for no further coroutine.
        """
        self._count_sent(request.writer)
        if self._upgraded:
            return self._finish_declined_upgrade(request, resp, start_time)
        if self._before is None and not self._messages and self._wire is not None:
            self._begin(self._connections.idle)
        return RequestHandler.finish_response(self, request, resp, start_time)

    async def _finish_declined_upgrade(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer, and look at the requests that had waited behind the upgrade."""
        answered = await RequestHandler.finish_response(self, request, resp, start_time)
        if self._request_count != self._seen:
            self._requests_came()
        elif self._before is None and self._wire is not None:
            self._begin(self._connections.idle)
        return answered

    def _count_sent(self, upcoming: AbstractStreamWriter | None) -> None:
        """Count the answer before this one, now that it is sent."""
        if self._sending is not None:
            self._connections.sent_bytes += self._sending.output_size
        self._sending = upcoming

    def pause_writing(self) -> None:
        """Give a caller that does not take its answer a while for it."""
        super().pause_writing()
        self._connections.sending.enter(self, self._loop)

    def resume_writing(self) -> None:
        """Go on, since the caller takes its answer."""
        super().resume_writing()
        self._connections.sending.leave(self)

    def overdue(self, phase: Phase) -> None:
        """End what takes too long."""
        match phase.name:
            case "opening" | "head":
                self._before = None
                self._cut_head()
            case "body":
                if self._body is not None:
                    self._broken("slow_body")
                    self._fail_body(BodyTimeoutError("the body did not arrive in time"))
            case "idle":
                self._before = None
                if self.waits:
                    self._cause = "idle"
                    self.force_close()
            case _:
                self._broken("not_taken")
                if self._wire is not None:
                    self._wire.abort()

    def _begin(self, phase: Phase) -> None:
        self._before = phase
        phase.enter(self, self._loop)

    def _requests_came(self) -> None:
        came, self._seen = self._request_count - self._seen, self._request_count
        self._head_bytes = 0
        if self._before is not None:
            self._before.leave(self)
            self._before = None
        messages = self._messages
        if came > 1:
            for place in range(-came, -1):
                messages[place] = (refuse_ambiguous(messages[place][0]), messages[place][1])
        message, payload = messages[-1]
        if isinstance(message, _ErrInfo):
            # The C parser says nothing to a body that breaks off inside of a chunk, and whoever reads it would wait for ever.
            self._cause = "malformed"
            if self._body is not None and not self._body.is_eof():
                self._fail_body(RequestPayloadError("the body is malformed"))
            return
        if message.version is not HttpVersion11:
            messages[-1] = (refuse_ambiguous(message), payload)
        if self._body is not None:
            self._body_ended()
        if payload is not EMPTY_PAYLOAD and not payload.is_eof():
            self._body = payload
            self._connections.body.enter(self, self._loop)

    def _body_ended(self) -> None:
        self._body = None
        self._connections.body.leave(self)

    def _fail_body(self, error: RequestPayloadError) -> None:
        body, self._body = self._body, None
        self._connections.body.leave(self)
        if body is not None:
            body.set_exception(error)

    def _head_goes_on(self, data: bytes) -> None:
        if self._upgraded or self._payload_parser is not None:
            return
        if not self._head_bytes:
            if not data.strip(b"\r\n"):
                return  # an empty line before a request is passed over (RFC 9112, section 2.2)
            if self._before is not self._connections.opening:
                if self._before is not None:
                    self._before.leave(self)
                self._begin(self._connections.head)
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._refuse_head("long_headers", ProblemError("headers_too_large", "The headers together are too long."))

    def _cut_head(self) -> None:
        if self._head_bytes:
            limit_s = self._connections.head.limit_s
            self._refuse_head("slow_headers", ProblemError("header_timeout", f"The headers must arrive within {limit_s:g} seconds."))
        else:
            self._cause = "silent"
            self.force_close()

    def _refuse_head(self, cause: str, problem: ProblemError) -> None:
        """Answer in place of a request that will not come; while another is being answered, only let no more in."""
        self._head_bytes = 0
        request_id = self._broken(cause)
        if not self.waits:
            self.close()
            return
        if self._wire is not None:
            self._wire.write(raw_answer(problem, request_id))
        self.force_close()

    def _broken(self, cause: str) -> str:
        request_id = secrets.token_hex(16)
        self._cause = cause
        self._connections.lines.info("connection broken", cause, request_id=request_id)
        return request_id

    # --- what can't be parsed

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  it repeats what was sent
    ) -> web.StreamResponse:
        """Answer what never reached the middlewares; nothing of what was sent is repeated.

        Raises:
            ConnectionError: an answer is on its way already, so that none can be given.
        """
        request_id = secrets.token_hex(16)
        if status < 500:
            self._connections.lines.info("request refused", type(exc).__name__, request_id=request_id)
        else:
            log.error("request failed outside of the middlewares", request_id=request_id, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        problem = problem_of(status, exc)
        response = web.Response(
            status=problem.type.status,
            body=problem_body(problem, request_id),
            content_type="application/problem+json",
            headers=problem_headers(problem, request_id),
        )
        response.force_close()
        return response

    def log_exception(self, *_args: Any, **kw: Any) -> None:
        """Say in one line what aiohttp would log with a traceback: a body that broke off is its sender's trouble."""
        error = kw.get("exc_info")
        if not (isinstance(error, RequestPayloadError) and self._cause):  # said already
            self._broken(type(error).__name__ if isinstance(error, BaseException) else "unknown")


def whole_body(payload: StreamReader) -> bytes | None:
    """Return the body that has come in one piece with its head, and leave it there; None if there is more to come, or more pieces."""
    pieces = payload._buffer
    return pieces[0] if payload.is_eof() and len(pieces) == 1 else None


def refuse_ambiguous(message: RawRequestMessage | _ErrInfo) -> RawRequestMessage | _ErrInfo:
    """Turn a request into an error if it is older than HTTP/1.1 and comes in chunks, or of a version that is not spoken here.

    Others between the caller and us would see other borders between requests (RFC 9112, section 6.1).
    """
    if isinstance(message, _ErrInfo) or message.version == HttpVersion11:
        return message
    return AMBIGUOUS if message.chunked or message.version != HttpVersion10 else message


def problem_of(status: int, exc: BaseException | None) -> ProblemError:
    """Choose the problem for a request that could not be read."""
    if isinstance(exc, LineTooLong):
        return ProblemError("headers_too_large", "The address or a header is too long.")
    if "Too many headers" in str(exc):
        return ProblemError("headers_too_large", "There are too many headers.")
    if status < 500:
        return ProblemError("malformed_request", "This is not an HTTP/1.1 request that can be read.")
    return ProblemError("internal_error", "The request failed here.")
