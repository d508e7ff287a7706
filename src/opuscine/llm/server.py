"""One LLM server: guarded by a breaker and a limit of its own, bounded in time and bytes, asked again where that may help."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from yarl import URL

from opuscine.errors import SettingsError
from opuscine.guard.adaptive_limit import AdaptiveLimit, Slot
from opuscine.guard.breaker import Breaker
from opuscine.guard.deadline import Deadline
from opuscine.guard.error_rate import ErrorRateLimit
from opuscine.guard.retry import RetryPolicy
from opuscine.guard.retry_budget import RetryBudget
from opuscine.llm.ask import LlmAsk, LlmReply
from opuscine.llm.fault import LlmError, counts_against, fault_of_exception, fault_of_status
from opuscine.llm.protocols import protocol_of
from opuscine.llm.protocols.protocol import LlmCall
from opuscine.llm.session import ATTEMPT, Attempt
from opuscine.model import DegradedReason, Suggestion
from opuscine.settings import LlmSettings, without_credentials
from opuscine.telemetry.upstream_calls import UpstreamCalls

REFUSALS = frozenset({400, 404, 415, 422, 501})  # statuses by which servers refuse a feature of a question
EXPLANATION_BYTES = 4_096
SHORT_REPLY_BYTES = 65_536
SLOW_SHARE = 0.8  # of LLM_TIMEOUT: an answer that took so long was nearly none

log = structlog.get_logger("opuscine.llm")


class SuggestionSink:
    """Where a streamed answer's suggestions go as each is complete."""

    def __init__(self) -> None:
        """Start with nothing shown."""
        self.parts: asyncio.Queue[Suggestion] = asyncio.Queue()
        self.used = False

    def put(self, suggestion: Suggestion) -> None:
        """Show a suggestion; from now on the question can't be asked anew."""
        self.used = True
        self.parts.put_nowait(suggestion)


@dataclass(frozen=True, slots=True)
class Question:
    """What one call asks of a server, and what it may take."""

    ask: LlmAsk
    deadline: Deadline
    headers: Mapping[str, str]
    ends_at: float  # by the client's clock: LLM_TIMEOUT after its beginning, over all servers
    sink: SuggestionSink | None = None  # None: the answer is wanted as a whole


def llm_breaker(settings: LlmSettings, name: str = "llm", *, clock: Callable[[], float] = time.monotonic) -> Breaker:
    """Build the breaker of one server.

    It opens after `breaker_failures` failures in a row, or when half of the calls of 30 s fail or take `slow_s` (`LLM_SLOW`, else four
    fifths of `LLM_TIMEOUT`) and there were at least 20 (and no fewer than `breaker_failures`). Failed trials double the open time, up
    to four times its setting, and to no more than a minute.
    """
    open_s = settings.breaker_open_s
    return Breaker(
        name,
        fail_max=settings.breaker_failures,
        open_s=open_s,
        max_open_s=min(4 * open_s, 60.0),
        error_rate=ErrorRateLimit(
            window_s=30.0,
            minimum_calls=max(20, settings.breaker_failures),
            share=0.5,
            slow_s=settings.slow_s or SLOW_SHARE * settings.timeout_s,
        ),
        is_failure=counts_against,
        clock=clock,
    )


class LlmServer:
    """Ask one server, and say in one word of the contract why there is no answer. All collaborators belong to the caller."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        session: aiohttp.ClientSession,
        settings: LlmSettings,
        breaker: Breaker,
        limit: AdaptiveLimit,
        budget: RetryBudget,
        retry: RetryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: Callable[[], float] = random.random,
        calls: UpstreamCalls | None = None,
    ) -> None:
        """Take a session of `llm_session` and a breaker of `llm_breaker`. What the protocol learns holds for this server only.
        `calls` measures each attempt.

        Raises:
            SettingsError: the address or the protocol is not one we can use.
        """
        self.name = name
        self.address = without_credentials(url)
        self.protocol = protocol_of(settings)
        self.breaker = breaker
        self.limit = limit
        self.usual_s = 0.0  # how long an answer takes when there is one; 0.0: none seen yet
        self.retries = 0
        self._session = session
        self._timeout_s = settings.timeout_s
        self._max_reply_bytes = settings.max_reply_bytes
        self._budget = budget
        self._retry = retry or RetryPolicy()
        self._clock = clock
        self._rng = rng
        self._calls = calls or UpstreamCalls(name)
        self._url = _below(url, self.protocol.path)
        self._template = f"/{self.protocol.path.lstrip('/')}"
        self._probe_url = _below(url, self.protocol.probe_path)

    async def answer(self, question: Question, slot: Slot, *, limit_s: float, elsewhere: Callable[[], bool]) -> LlmReply:
        """Ask, for at most `limit_s` and within the question's deadline, in a slot of this server's limit, which its caller ends.

        The time left goes along as `X-Request-Timeout-Ms`. Quick failures are tried again within that time while the breaker is closed,
        the budget of retries has one left, and there is no other server to ask instead (`elsewhere()`).

        Raises:
            LlmError: there is no answer.
            BreakerOpenError: the server is not to be asked now.
        """
        call = self.protocol.begin(question.ask, stream=question.sink is not None)
        return await self.breaker.call(self._answer_in_time, call, question, slot, limit_s, elsewhere)

    async def probe(self) -> dict[str, Any]:
        """Ask whether the server is up, past the breaker and without effect on it; return details for health.

        Raises:
            UpstreamError: it answered something other than 2xx, or did not answer within `LLM_TIMEOUT`.
        """
        began = self._clock()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.get(self._probe_url, headers=self.protocol.headers, allow_redirects=False) as response,
            ):
                if not 200 <= response.status < 300:
                    raise fault_of_status(response.status)
                return {"status": response.status, "latency_ms": round((self._clock() - began) * 1000, 1)}
        except TimeoutError:
            raise self._timed_out(self._timeout_s) from None
        except (aiohttp.ClientError, OSError) as error:
            raise fault_of_exception(error) from error

    async def _answer_in_time(
        self, call: LlmCall, question: Question, slot: Slot, limit_s: float, elsewhere: Callable[[], bool]
    ) -> LlmReply:
        """Bound all attempts in time, inside of what the breaker guards: outside, it would only see a cancellation."""
        granted_s = question.deadline.for_upstream(limit_s)
        if granted_s <= 0:
            raise self._timed_out(granted_s)
        began = self._clock()
        try:
            async with question.deadline.timeout(granted_s):
                reply = await self._answer(call, question, slot, began + granted_s, elsewhere)
        except TimeoutError:  # perhaps before its time, when nobody waits any more: judged by how long it was waited for
            raise self._timed_out(min(granted_s, self._clock() - began)) from None
        self._learn_usual_time(self._clock() - began)
        return reply

    def _learn_usual_time(self, took_s: float) -> None:
        """Follow the answers' times: down at once, so that one slow start is soon forgotten, and up slowly."""
        slower_s = max(0.0, took_s - self.usual_s)
        self.usual_s = self.usual_s + slower_s / 10 if self.usual_s and slower_s else took_s

    def _timed_out(self, granted_s: float) -> LlmError:
        """Explain a timeout.

        It says nothing about the server if the caller gave less time than answers usually take (at most half of `LLM_TIMEOUT`):
        callers in a hurry must not open the breaker for the others.
        """
        fair_s = min(self.usual_s, self._timeout_s / 2)
        return LlmError(
            f"the LLM server did not answer within {granted_s:.3f} s",
            reason=DegradedReason.LLM_TIMEOUT,
            counts=True if granted_s > 0 and granted_s >= fair_s else None,
            slow=True,
        )

    async def _answer(self, call: LlmCall, question: Question, slot: Slot, ends_at: float, elsewhere: Callable[[], bool]) -> LlmReply:
        failures = 0
        stale_connection_met = corrected = False
        while True:
            began = self._clock()
            attempt = Attempt()
            slot.begin_again()
            try:
                return await self._one_attempt(call, question, slot, ends_at - began, attempt)
            except LlmError as fault:
                took_s = self._clock() - began
                if fault.unanswered and attempt.reused and not stale_connection_met and took_s <= self._retry.quick_s:
                    stale_connection_met = True  # the server had closed it while it lay idle: no fault of the server's
                    continue
                if fault.refusal is not None and call.adapt(*fault.refusal):
                    log.info("asking the LLM server in a simpler way", server=self.name, cause=str(fault))
                    continue
                if fault.unread is not None and not corrected and ends_at - self._clock() > took_s and call.correct(fault.unread):
                    corrected = True
                    log.info("asking the LLM server for another form", server=self.name, cause=str(fault))
                    continue
                failures += 1
                wait_s = None if elsewhere() else self._wait_s(fault, failures, took_s, ends_at)
                if wait_s is None:
                    raise
                self.retries += 1
                log.info("asking the LLM server again", server=self.name, cause=str(fault), failures=failures, wait_s=round(wait_s, 3))
            await asyncio.sleep(wait_s)

    def _wait_s(self, fault: LlmError, failures: int, took_s: float, ends_at: float) -> float | None:
        if not fault.retryable or not self.breaker.closed:  # a trial is one attempt
            return None
        remaining_s = ends_at - self._clock()
        wait_s = self._retry.wait_s(failures, took_s=took_s, remaining_s=remaining_s, retry_after_s=fault.retry_after_s, rng=self._rng)
        return wait_s if wait_s is not None and self._budget.spend() else None

    async def _one_attempt(self, call: LlmCall, question: Question, slot: Slot, remaining_s: float, attempt: Attempt) -> LlmReply:
        if self._session.closed:
            raise LlmError(
                "the session to the LLM server is closed: we are stopping",
                reason=DegradedReason.LLM_UNAVAILABLE,
                counts=None,
                elsewhere=False,
            )
        own = {"Content-Type": "application/json", "X-Request-Timeout-Ms": str(max(1, int(remaining_s * 1000)))}
        ATTEMPT.set(attempt)
        try:
            with self._calls.measure("POST", self._template, question.headers, server=self._url) as measured:
                headers = {**measured.headers, **self.protocol.headers, **own}
                async with self._session.post(self._url, data=call.body, headers=headers, allow_redirects=False) as response:
                    measured.status = response.status
                    if not 200 <= response.status < 300:
                        fault = fault_of_status(response.status, response.headers.get("Retry-After"))
                        if response.status in REFUSALS:
                            fault.refusal = (response.status, await response.content.read(EXPLANATION_BYTES))
                        raise fault
                    if question.sink is not None and response.content_type == "text/event-stream":
                        return await self._read_stream(call, response, slot, question.sink)
                    return await self._read_whole(call, response, slot)  # which is also how a server answers that does not stream
        except (aiohttp.ClientError, OSError) as error:
            raise fault_of_exception(error) from error

    async def _read_whole(self, call: LlmCall, response: aiohttp.ClientResponse, slot: Slot) -> LlmReply:
        body = await self._bounded_body(response, slot)
        # A hostile reply of 1 MB takes a second to read (measured): too long for the loop.
        return call.read(body) if len(body) <= SHORT_REPLY_BYTES else await asyncio.to_thread(call.read, body)

    async def _read_stream(self, call: LlmCall, response: aiohttp.ClientResponse, slot: Slot, sink: SuggestionSink) -> LlmReply:
        reader = call.reader()
        size = 0
        async for chunk in response.content.iter_any():
            slot.answered()
            size += len(chunk)
            if size > self._max_reply_bytes:
                raise self._too_large()
            for suggestion in reader.feed(chunk):
                sink.put(suggestion)
        return reader.finish()

    async def _bounded_body(self, response: aiohttp.ClientResponse, slot: Slot) -> bytes:
        """Read the whole body; leaving before its end closes the connection."""
        coding = response.headers.get("Content-Encoding", "identity")
        if coding.strip().lower() not in {"", "identity"}:
            raise LlmError(f"the LLM server's answer is encoded ({coding[:40]}) unasked", reason=DegradedReason.LLM_BAD_REPLY)
        content = response.content
        chunks: list[bytes] = []
        size = 0
        while not content.at_eof():  # an answer in one piece is waited for once and not copied
            if not (chunk := await content.readany()):
                break
            slot.answered()
            chunks.append(chunk)
            size += len(chunk)
            if size > self._max_reply_bytes:
                raise self._too_large()
        return b"".join(chunks)

    def _too_large(self) -> LlmError:
        return LlmError(f"the LLM server's answer is over {self._max_reply_bytes} bytes", reason=DegradedReason.LLM_BAD_REPLY)


def _below(base: str, path: str) -> URL:
    """Join an address that may have a path and a closing slash with a path below it."""
    try:
        url = URL(base)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise SettingsError(f"LLM_SERVER_URL is {without_credentials(base)!r}; valid is an address such as http://llm.internal:8080")
    return url / path
