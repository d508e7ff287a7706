"""The one way to the LLM server: bounded in number, time and bytes, and guarded by a breaker."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
import structlog
from yarl import URL

from opuscine import __version__
from opuscine.errors import SettingsError, UpstreamError
from opuscine.guard.breaker import Breaker, BreakerOpenError
from opuscine.guard.concurrency import ConcurrencyLimit, OverloadedError
from opuscine.guard.deadline import Deadline
from opuscine.guard.error_rate import ErrorRateLimit
from opuscine.guard.retry import RetryPolicy
from opuscine.llm.ask import LlmAsk, LlmReply
from opuscine.llm.fault import LlmError, counts_against, fault_of_exception, fault_of_status
from opuscine.llm.protocols import protocol_named
from opuscine.model import DegradedReason
from opuscine.settings import LlmSettings

KEEPALIVE_S = 55.0  # below the 60 s after which common balancers forget an idle connection without a word
PROBE_CONNECTIONS = 2

log = structlog.get_logger("opuscine.llm")


def llm_session(settings: LlmSettings) -> aiohttp.ClientSession:
    """Build the one session of a process for its LLM server; the caller closes it. Needs a running loop.

    It has no timeouts of its own, since every call brings a deadline, keeps no cookies, reads no proxy variables, and asks for
    bodies as they are, so that no small answer can inflate to a large one.
    """
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_note_reuse)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.max_concurrent + PROBE_CONNECTIONS, keepalive_timeout=KEEPALIVE_S),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": f"opuscine/{__version__}"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=[trace],
    )


def llm_breaker(settings: LlmSettings, *, clock: Callable[[], float] = time.monotonic) -> Breaker:
    """Build the breaker that `LlmClient` calls through.

    It opens after `breaker_failures` failures in a row, or when half of the calls of 30 s fail and there were at least 20 (and no
    fewer than `breaker_failures`). Failed trials double the open time, up to four times its setting, and to no more than a minute.
    """
    open_s = settings.breaker_open_s
    return Breaker(
        "llm",
        fail_max=settings.breaker_failures,
        open_s=open_s,
        max_open_s=min(4 * open_s, 60.0),
        error_rate=ErrorRateLimit(window_s=30.0, minimum_calls=max(20, settings.breaker_failures), share=0.5),
        is_failure=counts_against,
        clock=clock,
    )


@dataclass(slots=True)
class _Attempt:
    """What the session's trace tells of one request."""

    reused: bool = False  # it went over a connection that had been used before


async def _note_reuse(_session: aiohttp.ClientSession, context: SimpleNamespace, _: aiohttp.TraceConnectionReuseconnParams) -> None:
    attempt = context.trace_request_ctx
    if isinstance(attempt, _Attempt):
        attempt.reused = True


class LlmClient:
    """Ask the LLM server, within a deadline, and say in one word of the contract why there is no answer.

    All collaborators belong to the caller; the client holds nothing to close.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: LlmSettings,
        breaker: Breaker,
        limit: ConcurrencyLimit,
        clock: Callable[[], float] = time.monotonic,
        *,
        retry: RetryPolicy | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        """Take a session of `llm_session` and a breaker of `llm_breaker`.

        Raises:
            SettingsError: the address or the protocol is not one we can use.
        """
        protocol = protocol_named(settings.protocol)
        self._session = session
        self._timeout_s = settings.timeout_s
        self._max_reply_bytes = settings.max_reply_bytes
        self._breaker = breaker
        self._limit = limit
        self._clock = clock
        self._retry = retry or RetryPolicy()
        self._rng = rng
        self._request_body = protocol.request_body
        self._read_reply = protocol.read_reply
        self._url = _below(settings.url, protocol.PATH)
        self._probe_url = _below(settings.url, protocol.PROBE_PATH)
        self._usual_s = 0.0  # how long an answer takes when there is one; 0.0: none seen yet

    async def recommend(self, ask: LlmAsk, *, deadline: Deadline, headers: Mapping[str, str]) -> LlmReply:
        """Ask for films. `headers` go along (traceparent, X-Request-Id); the time left goes as `X-Request-Timeout-Ms`.

        The call takes no longer than `LLM_TIMEOUT` or what the deadline leaves after its reserve. Quick failures are tried again
        within that time while the breaker is closed. When the caller is cancelled, so is the call.

        Raises:
            UpstreamError: there is no answer; `reason` says why. Nothing else is raised for anything that the server does.
        """
        body = self._request_body(ask)
        try:
            self._breaker.check()
            async with self._limit:
                return await self._breaker.call(self._answer_in_time, body, deadline, headers)
        except BreakerOpenError as error:
            raise UpstreamError(str(error), reason=DegradedReason.BREAKER_OPEN, retry_after_s=error.retry_after_s) from error
        except OverloadedError as error:
            raise UpstreamError(f"the LLM path is full: {error}", reason=DegradedReason.OVERLOADED) from error

    async def probe(self) -> dict[str, Any]:
        """Ask whether the server is up, past the breaker and without effect on it; return details for health.

        Raises:
            UpstreamError: it answered something other than 2xx, or did not answer within `LLM_TIMEOUT`.
        """
        began = self._clock()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.get(self._probe_url, allow_redirects=False) as response,
            ):
                if not 200 <= response.status < 300:
                    raise fault_of_status(response.status)
                return {"status": response.status, "latency_ms": round((self._clock() - began) * 1000, 1)}
        except TimeoutError:
            raise self._timed_out(self._timeout_s) from None
        except (aiohttp.ClientError, OSError) as error:
            raise fault_of_exception(error) from error

    async def _answer_in_time(self, body: bytes, deadline: Deadline, headers: Mapping[str, str]) -> LlmReply:
        """Bound all attempts in time, inside of what the breaker guards: outside, it would only see a cancellation."""
        granted_s = deadline.for_upstream(self._timeout_s)
        if granted_s <= 0:
            raise self._timed_out(granted_s)
        began = self._clock()
        try:
            async with asyncio.timeout(granted_s):
                reply = await self._answer(body, began + granted_s, headers)
        except TimeoutError:
            raise self._timed_out(granted_s) from None
        self._learn_usual_time(self._clock() - began)
        return reply

    def _learn_usual_time(self, took_s: float) -> None:
        """Follow the answers' times: down at once, so that one slow start is soon forgotten, and up slowly."""
        slower_s = max(0.0, took_s - self._usual_s)
        self._usual_s = self._usual_s + slower_s / 10 if self._usual_s and slower_s else took_s

    def _timed_out(self, granted_s: float) -> LlmError:
        """Explain a timeout.

        It says nothing about the server if the caller gave less time than answers usually take (at most half of `LLM_TIMEOUT`):
        callers in a hurry must not open the breaker for the others.
        """
        fair_s = min(self._usual_s, self._timeout_s / 2)
        return LlmError(
            f"the LLM server did not answer within {granted_s:.3f} s",
            reason=DegradedReason.LLM_TIMEOUT,
            counts=True if granted_s > 0 and granted_s >= fair_s else None,
            slow=True,
        )

    async def _answer(self, body: bytes, ends_at: float, headers: Mapping[str, str]) -> LlmReply:
        failures = 0
        stale_connection_met = False
        while True:
            began = self._clock()
            attempt = _Attempt()
            try:
                return await self._one_attempt(body, ends_at - began, headers, attempt)
            except LlmError as fault:
                took_s = self._clock() - began
                if fault.unanswered and attempt.reused and not stale_connection_met and took_s <= self._retry.quick_s:
                    stale_connection_met = True  # the server had closed it while it lay idle: no fault of the server's
                    continue
                failures += 1
                wait_s = self._wait_s(fault, failures, took_s, ends_at)
                if wait_s is None:
                    raise
                log.info("asking the LLM server again", cause=str(fault), failures=failures, wait_s=round(wait_s, 3))
            await asyncio.sleep(wait_s)

    def _wait_s(self, fault: LlmError, failures: int, took_s: float, ends_at: float) -> float | None:
        if not fault.retryable or not self._breaker.closed:  # a trial is one attempt
            return None
        remaining_s = ends_at - self._clock()
        return self._retry.wait_s(failures, took_s=took_s, remaining_s=remaining_s, retry_after_s=fault.retry_after_s, rng=self._rng)

    async def _one_attempt(self, body: bytes, remaining_s: float, headers: Mapping[str, str], attempt: _Attempt) -> LlmReply:
        if self._session.closed:
            raise LlmError("the session to the LLM server is closed: we are stopping", reason=DegradedReason.LLM_UNAVAILABLE, counts=None)
        sent = {**headers, "Content-Type": "application/json", "X-Request-Timeout-Ms": str(max(1, int(remaining_s * 1000)))}
        try:
            async with self._session.post(self._url, data=body, headers=sent, allow_redirects=False, trace_request_ctx=attempt) as response:
                if not 200 <= response.status < 300:
                    raise fault_of_status(response.status, response.headers.get("Retry-After"))
                return self._read_reply(await self._bounded_body(response))
        except (aiohttp.ClientError, OSError) as error:
            raise fault_of_exception(error) from error

    async def _bounded_body(self, response: aiohttp.ClientResponse) -> bytes:
        """Read the whole body; leaving before its end closes the connection."""
        coding = response.headers.get("Content-Encoding", "identity")
        if coding.strip().lower() not in {"", "identity"}:
            raise LlmError(f"the LLM server's answer is encoded ({coding[:40]}) unasked", reason=DegradedReason.LLM_BAD_REPLY)
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._max_reply_bytes:
                raise LlmError(f"the LLM server's answer is over {self._max_reply_bytes} bytes", reason=DegradedReason.LLM_BAD_REPLY)
        return bytes(body)


def _below(base: str, path: str) -> URL:
    """Join an address that may have a path and a closing slash with a path below it."""
    try:
        url = URL(base)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise SettingsError(f"LLM_SERVER_URL is {base!r}; valid is an address such as http://llm.internal:8080")
    return url / path
