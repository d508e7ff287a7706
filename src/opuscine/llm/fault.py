"""What a failed attempt at the LLM server means: for the answer, for the breaker, and for another attempt. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from opuscine.errors import UpstreamError
from opuscine.model import DegradedReason
from opuscine.telemetry.tracebacks import describe

_RETRYABLE_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class LlmError(UpstreamError):
    """Say how an attempt at the LLM server failed."""

    def __init__(
        self,
        text: str,
        *,
        reason: DegradedReason,
        counts: bool | None = True,
        retryable: bool = False,
        unanswered: bool = False,
        slow: bool = False,
        retry_after_s: float | None = None,
        unread: bytes | None = None,
        elsewhere: bool = True,
    ) -> None:
        """Keep what follows from the fault.

        `counts` is the breaker's view: True counts against the server, False shows that it works (our request was at fault), None
        says nothing. `unanswered` means that an open connection ended before a byte of the answer had come. `elsewhere` means that another
        server may do better.
        """
        super().__init__(text, reason=reason, slow=slow, retry_after_s=retry_after_s)
        self.counts = counts
        self.retryable = retryable
        self.unanswered = unanswered
        self.elsewhere = elsewhere
        self.unread = unread  # an answer in which nothing could be read
        self.refusal: tuple[int, bytes] | None = None  # a status by which features are refused, and what the server says of it


def counts_against(error: Exception) -> bool | None:
    """Judge an error for the breaker; what we did not foresee counts against the server."""
    return error.counts if isinstance(error, LlmError) else True


def fault_of_status(status: int, retry_after: str | None = None, *, now: datetime | None = None) -> LlmError:
    """Explain a status other than 2xx. 4xx other than 408 and 429 are our requests' fault and don't count against the server."""
    if 300 <= status < 400:
        return LlmError(
            f"the LLM server answered {status}, a redirect, which is not followed: give LLM_SERVER_URL the final address",
            reason=DegradedReason.LLM_ERROR,
        )
    ours = 400 <= status < 500 and status not in {408, 429}
    return LlmError(
        f"the LLM server answered {status}",
        reason=DegradedReason.LLM_ERROR,
        counts=not ours,
        elsewhere=not ours,
        retryable=status in _RETRYABLE_STATUSES,
        retry_after_s=None if retry_after is None else retry_after_s(retry_after, now or datetime.now(UTC)),
    )


def fault_of_exception(error: aiohttp.ClientError | OSError) -> LlmError:
    """Explain what the HTTP client raised."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return LlmError(f"the LLM server's answer broke off: {describe(error)}", reason=DegradedReason.LLM_BAD_REPLY)
    if isinstance(error, aiohttp.ClientResponseError):
        return LlmError(f"the LLM server's answer is not HTTP: {describe(error)}", reason=DegradedReason.LLM_BAD_REPLY)
    if isinstance(error, aiohttp.ClientConnectorError):
        return LlmError(f"the LLM server cannot be reached: {describe(error)}", reason=DegradedReason.LLM_UNAVAILABLE, retryable=True)
    # aiohttp puts the head that it did read into `message`; without one it is a text.
    unanswered = not isinstance(error, aiohttp.ServerDisconnectedError) or isinstance(error.message, str)
    return LlmError(
        f"the connection to the LLM server was lost: {describe(error)}",
        reason=DegradedReason.LLM_UNAVAILABLE,
        retryable=unanswered,
        unanswered=unanswered,
    )


def retry_after_s(value: str, now: datetime) -> float | None:
    """Read a `Retry-After` header, seconds or a date (RFC 9110, section 10.2.3); what is neither gives None."""
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())
