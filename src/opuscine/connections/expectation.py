"""Callers that wait to be asked for their body: `Expect: 100-continue` (RFC 9110, section 10.1.1)."""

from __future__ import annotations

from aiohttp import hdrs, web


async def expect_later(_request: web.Request) -> None:
    """Send no 100 Continue yet: the caller's body is asked for when it is read, past the guards.

    An expectation that is not known is passed over, as the RFC allows.
    """


async def ask_for_body(request: web.Request) -> None:
    """Tell a caller that waits for it to send its body."""
    if hdrs.EXPECT in request.headers and request.headers[hdrs.EXPECT].lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
