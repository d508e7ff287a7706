"""The one way to the model: chooses a server, bounds how many calls run, and goes to another server where that may help."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog

from opuscine.errors import UpstreamError
from opuscine.guard.adaptive_limit import AdaptiveLimit, Slot
from opuscine.guard.breaker import BreakerOpenError
from opuscine.guard.deadline import Deadline
from opuscine.guard.retry import RetryPolicy
from opuscine.guard.retry_budget import RetryBudget
from opuscine.guard.waiting_line import OverloadedError, WaitingLine
from opuscine.llm.ask import LlmAsk, LlmReply, TokenUsage
from opuscine.llm.fault import LlmError
from opuscine.llm.server import LlmServer, Question, SuggestionSink, llm_breaker
from opuscine.model import DegradedReason, Suggestion
from opuscine.settings import LlmSettings
from opuscine.telemetry.upstream_calls import UpstreamCalls

QUEUE_S = 0.1  # how long a caller waits for a place at a server
PATIENCE = 3  # times its usual time that a server is given where another could answer instead

log = structlog.get_logger("opuscine.llm")


@dataclass(frozen=True, slots=True)
class _Place:
    """A slot at a server."""

    server: LlmServer
    slot: Slot


class LlmClient:
    """Ask one of the LLM servers, within a deadline, and say in one word of the contract why there is no answer.

    A call goes to the server with the fewest under way, of those whose breaker admits it and whose limit has a place; they take turns
    where they are even. All collaborators belong to the caller; the client holds nothing to close.
    """

    def __init__(
        self,
        servers: Sequence[LlmServer],
        *,
        timeout_s: float,
        budget: RetryBudget,
        retry: RetryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        queue_s: float = QUEUE_S,
    ) -> None:
        """Take the servers, at least one, all of one protocol."""
        self.servers = tuple(servers)
        self.budget = budget
        self.usage = TokenUsage()  # of all answers so far
        self.failovers = 0
        self._timeout_s = timeout_s
        self._retry = retry or RetryPolicy()
        self._clock = clock
        self._turn = 0
        self._line: WaitingLine[_Place] = WaitingLine(self._take, self._free, longest=self._longest_line, wait_s=queue_s)

    @classmethod
    def open(
        cls,
        settings: LlmSettings,
        session: aiohttp.ClientSession,
        *,
        retry: RetryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        limit_clock: Callable[[], float] | None = None,
        breaker_clock: Callable[[], float] | None = None,
        rng: Callable[[], float] = random.random,
        queue_s: float = QUEUE_S,
        calls: Callable[[str], UpstreamCalls] = UpstreamCalls,
    ) -> LlmClient:
        """Build the client with its servers: `llm`, or `llm-1`, `llm-2` and so on in the order of `LLM_SERVER_URL`.

        `calls` gives what measures the attempts at a server, by its name. `limit_clock` is what the limits judge the servers by, such as
        one that does not count our own delays; without it that is `clock`.

        Raises:
            SettingsError: an address or the protocol is not one we can use.
        """
        budget = RetryBudget(clock=clock)
        names = ["llm"] if len(settings.urls) == 1 else [f"llm-{number}" for number in range(1, len(settings.urls) + 1)]
        servers = [
            LlmServer(
                name,
                url,
                session=session,
                settings=settings,
                breaker=llm_breaker(settings, name, clock=breaker_clock or clock),
                limit=AdaptiveLimit(settings.max_concurrent, clock=limit_clock or clock),
                budget=budget,
                retry=retry,
                clock=clock,
                rng=rng,
                calls=calls(name),
            )
            for name, url in zip(names, settings.urls, strict=True)
        ]
        return cls(servers, timeout_s=settings.timeout_s, budget=budget, retry=retry, clock=clock, queue_s=queue_s)

    @property
    def waiting(self) -> int:
        """Return how many requests wait for a place at a server now."""
        return len(self._line)

    @property
    def refused(self) -> int:
        """Return how many requests have found no place."""
        return self._line.refused

    def stats(self) -> dict[str, Any]:
        """Return what the administration shows of this part."""
        limits = {server.name: server.limit.info for server in self.servers}
        bases = [info.base_s for info in limits.values() if info.base_s is not None]
        return {
            "calls": {
                "in_flight": sum(info.in_flight for info in limits.values()),
                "waiting": len(self._line),
                "limit": sum(info.limit for info in limits.values()),
                "max": sum(info.max for info in limits.values()),
                "base_ms": _ms(min(bases, default=None)),
                "refused": self._line.refused,
            },
            "repeated": {
                "retries": sum(server.retries for server in self.servers),
                "failovers": self.failovers,
                "denied": self.budget.info.denied,
            },
            "servers": {
                name: {"in_flight": info.in_flight, "limit": info.limit, "max": info.max, "base_ms": _ms(info.base_s), "cuts": info.cuts}
                for name, info in limits.items()
            },
        }

    async def recommend(self, ask: LlmAsk, *, deadline: Deadline, headers: Mapping[str, str]) -> LlmReply:
        """Ask for films. `headers` go along (traceparent, X-Request-Id).

        The call takes no longer than `LLM_TIMEOUT` or what the deadline leaves after its reserve, over all servers and attempts. When
        the caller is cancelled, so is the call.

        Raises:
            UpstreamError: there is no answer; `reason` says why. Nothing else is raised for anything that a server does.
        """
        reply = await self._answer(Question(ask, deadline, headers, self._clock() + self._timeout_s))
        self.usage = self.usage.plus(reply.usage)
        return reply

    @property
    def streams(self) -> bool:
        """Say whether the servers give films one after the other."""
        return self.servers[0].protocol.streams

    async def stream(self, ask: LlmAsk, *, deadline: Deadline, headers: Mapping[str, str]) -> AsyncGenerator[Suggestion | LlmReply, None]:
        """Ask for films; yield each suggestion as soon as its part of the answer is complete, and last a reply with the rest.

        Once a suggestion has come nothing is asked again. When the consumer leaves (closes the generator) the call is cancelled.

        Raises:
            UpstreamError: as `recommend`, before or after the first suggestion.
        """
        sink = SuggestionSink()
        question = Question(ask, deadline, headers, self._clock() + self._timeout_s, sink)
        answer = asyncio.create_task(self._answer(question), name="llm-stream")
        try:
            while not (answer.done() and sink.parts.empty()):
                part = asyncio.ensure_future(sink.parts.get())
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

    async def _answer(self, question: Question) -> LlmReply:
        """Ask one server after the other; everything that keeps them from being asked is an UpstreamError too."""
        self.budget.note_call()
        tried: list[LlmServer] = []
        try:
            place = await self._line.enter()
            while True:
                tried.append(place.server)
                began = self._clock()
                try:
                    return await self._ask_at(place, question, tried)
                except (LlmError, BreakerOpenError) as fault:
                    other = self._place_elsewhere(question, fault, tried, took_s=self._clock() - began)
                    if other is None:
                        raise
                    log.info("asking another LLM server", failed=place.server.name, next=other.server.name, cause=str(fault))
                place = other
        except BreakerOpenError as error:
            raise UpstreamError(str(error), reason=DegradedReason.BREAKER_OPEN, retry_after_s=error.retry_after_s) from error
        except OverloadedError as error:
            raise UpstreamError(f"the LLM path is full: {error}", reason=DegradedReason.OVERLOADED) from error

    async def _ask_at(self, place: _Place, question: Question, tried: Collection[LlmServer]) -> LlmReply:
        try:
            return await place.server.answer(
                question,
                place.slot,
                limit_s=self._share_s(question, tried),
                elsewhere=lambda: self._least_busy(self._admitting(except_for=tried)) is not None,
            )
        finally:
            self._free(place)

    def _share_s(self, question: Question, tried: Collection[LlmServer]) -> float:
        """Return how long the next server may take: all that is left, or half of it where another could then still answer as usual."""
        left_s = question.ends_at - self._clock()
        if question.sink is not None or len(tried) == len(self.servers):  # a stream that runs is not to be cut off
            return left_s
        other = self._least_busy(self._admitting(except_for=tried))
        half_s = question.deadline.for_upstream(left_s) / 2
        return half_s if other is not None and 0 < PATIENCE * other.usual_s <= half_s else left_s

    def _place_elsewhere(
        self, question: Question, fault: LlmError | BreakerOpenError, tried: Collection[LlmServer], *, took_s: float
    ) -> _Place | None:
        """Take a place at a server not asked yet, if it may do better, there is time for it, and the budget allows one more call."""
        server = self._least_busy(self._admitting(except_for=tried))
        if server is None or (question.sink is not None and question.sink.used):
            return None
        if isinstance(fault, LlmError):
            left_s = question.deadline.for_upstream(question.ends_at - self._clock())
            slow = took_s > self._retry.quick_s
            if left_s < max(self._retry.least_s, server.usual_s, took_s / 2 if slow else 0.0):
                return None
            if not fault.elsewhere or not self.budget.spend():
                return None
            self.failovers += 1
        return self._place_at(server)

    def _take(self) -> _Place | None:
        """Take a place, or return None while every server that may be asked is full.

        Raises:
            BreakerOpenError: no server may be asked.
        """
        admitting = self._admitting()
        if not admitting:
            raise self._refusal()
        server = self._least_busy(admitting)
        return None if server is None else self._place_at(server)

    def _place_at(self, server: LlmServer) -> _Place | None:
        slot = server.limit.begin()
        if slot is None:
            return None
        self._turn = self.servers.index(server) + 1
        return _Place(server, slot)

    def _free(self, place: _Place) -> None:
        place.slot.end()
        self._line.move()

    def _admitting(self, *, except_for: Collection[LlmServer] = ()) -> list[LlmServer]:
        """Return the servers that may be asked, beginning with the one whose turn it is."""
        if len(self.servers) == 1:
            return [server for server in self.servers if server not in except_for and server.breaker.admits]
        turn = self._turn % len(self.servers)
        in_turn = (*self.servers[turn:], *self.servers[:turn])
        return [server for server in in_turn if server not in except_for and server.breaker.admits]

    def _least_busy(self, servers: Iterable[LlmServer]) -> LlmServer | None:
        """Choose the server with the fewest calls under way, the first of several; None if all are full."""
        if len(self.servers) == 1:
            return next((server for server in servers if server.limit.has_room), None)
        return min((server for server in servers if server.limit.has_room), key=lambda server: server.limit.in_flight, default=None)

    def _refusal(self) -> BreakerOpenError:
        """Let every breaker count that it refused, and return the refusal that ends first."""
        refusals = []
        for server in self.servers:
            try:
                server.breaker.check()
            except BreakerOpenError as error:
                refusals.append(error)
        return min(refusals, key=lambda error: error.retry_after_s)

    def _longest_line(self) -> int:
        return sum(server.limit.limit for server in self.servers)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
