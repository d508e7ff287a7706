"""Answers that go out past aiohttp: to a request that never became one, and to a connection that there is no room for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from opuscine.codec import dumps
from opuscine.contract import SERVER, ProblemError, show_problem

READ_LIMIT_BYTES = 65_536  # what a refused caller may still send while its answer goes out
LINGER_S = 1.0


def problem_headers(problem: ProblemError, request_id: str) -> dict[str, str]:
    """Return the headers of an answer that ends its connection."""
    return {"X-Request-Id": request_id, "Server": SERVER, "Cache-Control": "no-store", "Connection": "close", **problem.headers}


def problem_body(problem: ProblemError, request_id: str) -> bytes:
    """Return the body; what was asked for is not known, so `instance` is empty."""
    return dumps(show_problem(problem, instance="", request_id=request_id))


def raw_answer(problem: ProblemError, request_id: str) -> bytes:
    """Write a whole HTTP/1.1 answer."""
    body = problem_body(problem, request_id)
    headers = {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        **problem_headers(problem, request_id),
    }
    head = f"HTTP/1.1 {problem.type.status} {HTTPStatus(problem.type.status).phrase}\r\n"
    return (head + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode() + body


class Refusal(asyncio.Protocol):
    """Tell a caller that there is no room, and close.

    What it sends meanwhile is read and thrown away: closing with bytes unread would reset the connection before the answer is seen
    (RFC 9112, section 9.6).
    """

    def __init__(self, transport: asyncio.Transport, answer: bytes, *, on_end: Callable[[Refusal], None]) -> None:
        """Take the connection over and answer."""
        self._transport = transport
        self._on_end = on_end
        self._read_bytes = 0
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, transport.abort)
        transport.set_protocol(self)
        transport.write(answer)
        transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Throw away what comes."""
        self._read_bytes += len(data)
        if self._read_bytes > READ_LIMIT_BYTES:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  how it ended does not matter
        """Let go of the connection."""
        self._timer.cancel()
        self._on_end(self)

    def abort(self) -> None:
        """End it now."""
        self._transport.abort()
