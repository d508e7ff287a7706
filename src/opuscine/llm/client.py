"""The one way to the LLM server: bounded in number, time and bytes, and guarded by a breaker."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
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
from opuscine.llm.ask import LlmAsk, LlmReply, TokenUsage
from opuscine.llm.fault import LlmError, counts_against, fault_of_exception, fault_of_status
from opuscine.llm.protocols import protocol_of
from opuscine.llm.protocols.protocol import LlmCall
from opuscine.model import DegradedReason, Suggestion
from opuscine.settings import LlmSettings

KEEPALIVE_S = 55.0  # below the 60 s after which common balancers forget an idle connection without a word
PROBE_CONNECTIONS = 2
REFUSALS = frozenset({400, 404, 415, 422, 501})  # statuses by which servers refuse a feature of a question
EXPLANATION_BYTES = 4_096
SHORT_REPLY_BYTES = 65_536

Receive = Callable[[aiohttp.ClientResponse], Awaitable[LlmReply]]

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
        self._protocol = protocol_of(settings)
        self._session = session
        self._timeout_s = settings.timeout_s
        self._max_reply_bytes = settings.max_reply_bytes
        self._breaker = breaker
        self._limit = limit
        self._clock = clock
        self._retry = retry or RetryPolicy()
        self._rng = rng
        self._url = _below(settings.url, self._protocol.path)
        self._probe_url = _below(settings.url, self._protocol.probe_path)
        self.usage = TokenUsage()  # of all answers so far
        self._usual_s = 0.0  # how long an answer takes when there is one; 0.0: none seen yet

    async def recommend(self, ask: LlmAsk, *, deadline: Deadline, headers: Mapping[str, str]) -> LlmReply:
        """Ask for films. `headers` go along (traceparent, X-Request-Id); the time left goes as `X-Request-Timeout-Ms`.

        The call takes no longer than `LLM_TIMEOUT` or what the deadline leaves after its reserve. Quick failures are tried again
        within that time while the breaker is closed. When the caller is cancelled, so is the call.

        Raises:
            UpstreamError: there is no answer; `reason` says why. Nothing else is raised for anything that the server does.
        """
        call = self._protocol.begin(ask)

        async def receive(response: aiohttp.ClientResponse) -> LlmReply:
            return await self._read_whole(call, response)

        reply = await self._guarded(call, receive, deadline, headers)
        self.usage = self.usage.plus(reply.usage)
        return reply

    @property
    def streams(self) -> bool:
        """Say whether the server gives films one after the other."""
        return self._protocol.streams

    async def stream(self, ask: LlmAsk, *, deadline: Deadline, headers: Mapping[str, str]) -> AsyncGenerator[Suggestion | LlmReply, None]:
        """Ask for films; yield each suggestion as soon as its part of the answer is complete, and last a reply with the rest.

        Once a suggestion has come nothing is asked again. When the consumer leaves (closes the generator) the call is cancelled.

        Raises:
            UpstreamError: as `recommend`, before or after the first suggestion.
        """
        call = self._protocol.begin(ask, stream=True)
        parts: asyncio.Queue[Suggestion | LlmReply] = asyncio.Queue()
        answer = asyncio.create_task(
            self._guarded(call, lambda response: self._read_stream(call, response, parts), deadline, headers), name="llm-stream"
        )
        try:
            while not (answer.done() and parts.empty()):
                part = asyncio.ensure_future(parts.get())
                try:
                    await asyncio.wait({part, answer}, return_when=asyncio.FIRST_COMPLETED)
                    if part.done():
                        yield part.result()
                finally:
                    part.cancel()
            reply = answer.result()
            self.usage = self.usage.plus(reply.usage)
            yield reply
        finally:
            answer.cancel()
            await asyncio.wait({answer})

    async def _guarded(self, call: LlmCall, receive: Receive, deadline: Deadline, headers: Mapping[str, str]) -> LlmReply:
        """Make a call within limit and breaker; everything that keeps it from being made is an UpstreamError too."""
        try:
            self._breaker.check()
            async with self._limit:
                return await self._breaker.call(self._answer_in_time, call, receive, deadline, headers)
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
                self._session.get(self._probe_url, headers=self._protocol.headers, allow_redirects=False) as response,
            ):
                if not 200 <= response.status < 300:
                    raise fault_of_status(response.status)
                return {"status": response.status, "latency_ms": round((self._clock() - began) * 1000, 1)}
        except TimeoutError:
            raise self._timed_out(self._timeout_s) from None
        except (aiohttp.ClientError, OSError) as error:
            raise fault_of_exception(error) from error

    async def _answer_in_time(self, call: LlmCall, receive: Receive, deadline: Deadline, headers: Mapping[str, str]) -> LlmReply:
        """Bound all attempts in time, inside of what the breaker guards: outside, it would only see a cancellation."""
        granted_s = deadline.for_upstream(self._timeout_s)
        if granted_s <= 0:
            raise self._timed_out(granted_s)
        began = self._clock()
        try:
            async with deadline.timeout(granted_s):
                reply = await self._answer(call, receive, began + granted_s, headers)
        except TimeoutError:  # perhaps before its time, when nobody waits any more: judged by how long it was waited for
            raise self._timed_out(min(granted_s, self._clock() - began)) from None
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

    async def _answer(self, call: LlmCall, receive: Receive, ends_at: float, headers: Mapping[str, str]) -> LlmReply:
        failures = 0
        stale_connection_met = corrected = False
        while True:
            began = self._clock()
            attempt = _Attempt()
            try:
                return await self._one_attempt(call, receive, ends_at - began, headers, attempt)
            except LlmError as fault:
                took_s = self._clock() - began
                if fault.unanswered and attempt.reused and not stale_connection_met and took_s <= self._retry.quick_s:
                    stale_connection_met = True  # the server had closed it while it lay idle: no fault of the server's
                    continue
                if fault.refusal is not None and call.adapt(*fault.refusal):
                    log.info("asking the LLM server in a simpler way", cause=str(fault))
                    continue
                if fault.unread is not None and not corrected and ends_at - self._clock() > took_s and call.correct(fault.unread):
                    corrected = True
                    log.info("asking the LLM server for another form", cause=str(fault))
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

    async def _one_attempt(
        self, call: LlmCall, receive: Receive, remaining_s: float, headers: Mapping[str, str], attempt: _Attempt
    ) -> LlmReply:
        if self._session.closed:
            raise LlmError("the session to the LLM server is closed: we are stopping", reason=DegradedReason.LLM_UNAVAILABLE, counts=None)
        own = {"Content-Type": "application/json", "X-Request-Timeout-Ms": str(max(1, int(remaining_s * 1000)))}
        try:
            async with self._session.post(
                self._url,
                data=call.body,
                headers={**headers, **self._protocol.headers, **own},
                allow_redirects=False,
                trace_request_ctx=attempt,
            ) as response:
                if not 200 <= response.status < 300:
                    fault = fault_of_status(response.status, response.headers.get("Retry-After"))
                    if response.status in REFUSALS:
                        fault.refusal = (response.status, await response.content.read(EXPLANATION_BYTES))
                    raise fault
                return await receive(response)
        except (aiohttp.ClientError, OSError) as error:
            raise fault_of_exception(error) from error

    async def _read_whole(self, call: LlmCall, response: aiohttp.ClientResponse) -> LlmReply:
        body = await self._bounded_body(response)
        # A hostile reply of 1 MB takes a second to read (measured): too long for the loop.
        return call.read(body) if len(body) <= SHORT_REPLY_BYTES else await asyncio.to_thread(call.read, body)

    async def _read_stream(self, call: LlmCall, response: aiohttp.ClientResponse, parts: asyncio.Queue[Suggestion | LlmReply]) -> LlmReply:
        """Put each suggestion into the queue as it is complete; a server that does not stream is read as a whole."""
        if response.content_type != "text/event-stream":
            return await self._read_whole(call, response)
        reader = call.reader()
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._max_reply_bytes:
                raise self._too_large()
            for suggestion in reader.feed(chunk):
                parts.put_nowait(suggestion)
        return reader.finish()

    async def _bounded_body(self, response: aiohttp.ClientResponse) -> bytes:
        """Read the whole body; leaving before its end closes the connection."""
        coding = response.headers.get("Content-Encoding", "identity")
        if coding.strip().lower() not in {"", "identity"}:
            raise LlmError(f"the LLM server's answer is encoded ({coding[:40]}) unasked", reason=DegradedReason.LLM_BAD_REPLY)
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._max_reply_bytes:
                raise self._too_large()
        return bytes(body)

    def _too_large(self) -> LlmError:
        return LlmError(f"the LLM server's answer is over {self._max_reply_bytes} bytes", reason=DegradedReason.LLM_BAD_REPLY)


def _below(base: str, path: str) -> URL:
    """Join an address that may have a path and a closing slash with a path below it."""
    try:
        url = URL(base)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise SettingsError(f"LLM_SERVER_URL is {base!r}; valid is an address such as http://llm.internal:8080")
    return url / path
