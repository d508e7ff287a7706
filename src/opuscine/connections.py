"""What happens on a connection before a request is one: what cannot be parsed is answered like every other error.

aiohttp (3.14) answers it past all middlewares, as text that repeats what was sent, and logs a traceback each. It hands out no hook for
that but `RequestHandler.handle_error`, which is overridden here.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from opuscine.codec import dumps
from opuscine.contract import ProblemError, show_problem

log = structlog.get_logger("opuscine.connections")


class ConnectionHandler(RequestHandler):
    """Handle one connection; broken requests get `application/problem+json`, one line in the log, and the end of the connection."""

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
            log.info("request refused", cause=type(exc).__name__, request_id=request_id)
        else:
            log.error("request failed outside of the middlewares", request_id=request_id, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        problem = problem_of(status, exc)
        response = web.Response(
            status=problem.type.status,
            body=dumps(show_problem(problem, instance="", request_id=request_id)),
            content_type="application/problem+json",
            headers={"X-Request-Id": request_id, "Cache-Control": "no-store", "Connection": "close"},
        )
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Say in one line what aiohttp would log with a traceback: a body that broke off is its sender's trouble."""
        error = kw.get("exc_info")
        log.info("connection trouble", cause=type(error).__name__ if isinstance(error, BaseException) else str(args[0] if args else ""))


class ConnectionServer(web.Server):
    """Make a handler for each connection."""

    def __call__(self) -> RequestHandler:
        """Return the handler of a new connection."""
        return ConnectionHandler(self, loop=self._loop, **self._kwargs)


class ConnectionRunner(web.AppRunner):
    """Run an application on connections of ours."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return ConnectionServer(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=asyncio.get_running_loop(),
            **made._kwargs,
        )


def problem_of(status: int, exc: BaseException | None) -> ProblemError:
    """Choose the problem for a request that could not be read."""
    if isinstance(exc, LineTooLong):
        return ProblemError("headers_too_large", "The address or a header is too long.")
    if status < 500:
        return ProblemError("malformed_request", "This is not an HTTP/1.1 request that can be read.")
    return ProblemError("internal_error", "The request failed here.")


async def expect_later(_request: web.Request) -> None:
    """Send no 100 Continue yet: the caller's body is asked for when it is read, past the guards (RFC 9110, section 10.1.1).

    An expectation that is not known is passed over, as the RFC allows.
    """


async def ask_for_body(request: web.Request) -> None:
    """Tell a caller that waits for it to send its body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
