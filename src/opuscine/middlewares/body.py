"""Read the body of an operation that takes one: bounded in size and time, plain JSON only."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from opuscine.connections.expectation import ask_for_body
from opuscine.connections.handler import BodyTimeoutError
from opuscine.contract import ProblemError
from opuscine.fast_path import Exchange, FastMiddleware
from opuscine.keys import BODY, CONTEXT
from opuscine.middlewares.plugin import PluginContext
from opuscine.operations import Operation

JSON = "application/json"


def plugin(context: PluginContext) -> Middleware:
    """Make the middleware from the settings."""
    return Body(operation_of=context.operation_of, limit_bytes=context.settings.requests.body_limit_bytes)


class Body(FastMiddleware):
    """The middleware that hands the body's bytes on under `BODY`.

    A content encoding is refused rather than undone: inflating a 2 MB bomb held up other callers for a second (measured).
    """

    not_plain = (hdrs.CONTENT_ENCODING,)

    def __init__(self, *, operation_of: Callable[[web.Request], Operation | None], limit_bytes: int) -> None:
        """Take the bound of a body's size."""
        self._operation_of = operation_of
        self._limit_bytes = limit_bytes

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, with its body if its operation takes one."""
        operation = self._operation_of(request)
        if operation is not None and operation.body is not None:
            check_kind(request)
            if (request.content_length or 0) > self._limit_bytes:
                raise ProblemError("body_too_large", f"Send at most {self._limit_bytes} bytes.", close=True)
            await ask_for_body(request)
            with request[CONTEXT].phases.phase("body"):
                request[BODY] = await read_body(request, limit_bytes=self._limit_bytes)
        return await handler(request)

    def enter(self, exchange: Exchange) -> bool:
        """Let a body pass that is there, of the right size, and plainly JSON."""
        if exchange.operation.body is None:
            return True
        exchange.context.phases.add("body", 0.0)
        return 0 < len(exchange.body) <= self._limit_bytes and exchange.headers.get(hdrs.CONTENT_TYPE, JSON) == JSON


def check_kind(request: web.Request) -> None:
    """Refuse what is not JSON in UTF-8; a body without a Content-Type is taken for it.

    Raises:
        ProblemError: `unsupported_media_type`.
    """
    headers = request.headers
    if hdrs.CONTENT_ENCODING in headers and any(
        encoding.strip().lower() not in {"", "identity"} for encoding in headers.getall(hdrs.CONTENT_ENCODING)
    ):
        raise ProblemError("unsupported_media_type", "Send the body without a Content-Encoding.", close=True)
    if headers.get(hdrs.CONTENT_TYPE, JSON) == JSON:
        return
    if request.content_type != JSON and not request.content_type.endswith("+json"):
        raise ProblemError("unsupported_media_type", "Send Content-Type: application/json.")
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise ProblemError("unsupported_media_type", "Send the body in UTF-8.")


async def read_body(request: web.Request, *, limit_bytes: int) -> bytes:
    """Return the whole body; the connection bounds its time, whether it is read or not.

    Raises:
        ProblemError: `body_timeout` when it does not arrive in time, `body_too_large` beyond the limit, `malformed_request` for
            an empty body.
    """
    if request.content.is_eof():  # it came with its head, as small ones do, so that nothing is waited for
        whole = request.content.read_nowait()
        if 0 < len(whole) <= limit_bytes:
            return whole
        if whole:
            raise ProblemError("body_too_large", f"Send at most {limit_bytes} bytes.", close=True)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > limit_bytes:
                raise ProblemError("body_too_large", f"Send at most {limit_bytes} bytes.", close=True)
            chunks.append(chunk)
    except BodyTimeoutError:
        raise ProblemError("body_timeout", "The body did not arrive in time.", close=True) from None
    if not chunks:
        raise ProblemError("malformed_json", "Send one JSON object in UTF-8.")
    return b"".join(chunks)
