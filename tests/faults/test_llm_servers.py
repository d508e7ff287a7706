"""What a caller sees when one of several LLM servers fails, when all do, and when more is asked of them than they bear."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from opuscine.keys import LLM, LLM_PROBES
from support.fault_wall import fault
from support.llm_server import LlmServer, hang, slow, status
from support.service import Service, running

DEADLINE_S = 2.0


@pytest.fixture
async def pair() -> AsyncIterator[list[LlmServer]]:
    """Run two LLM servers."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(LlmServer()) for _ in range(2)]


@asynccontextmanager
async def before(pair: list[LlmServer], compiled: Path, **settings: Any) -> AsyncIterator[Service]:
    """Run the service in front of two servers."""
    given: dict[str, Any] = {"request_timeout": DEADLINE_S, "llm_breaker_failures": 3, "llm_breaker_open": 30.0, "cache_ttl": 0} | settings
    async with running(compiled, llm_server_url=",".join(server.url for server in pair), **given) as service:
        yield service


async def outcomes(service: Service, numbers: range) -> Counter[str]:
    """Ask for something new by each number, one after the other, and count the sources or reasons of the answers."""
    counted: Counter[str] = Counter()
    for number in numbers:
        data = (await service.recommend(f"2019년 한국 스릴러 {number}"))["data"]
        counted[data["degraded_reason"] or data["source"]] += 1
    return counted


@fault(
    "LLM",
    "One of two servers refuses connections",
    caller_gets="200 with the model's films, from the other server",
    within="the time the other server takes",
    told_by="`/health` ▸ `components.llm` UP with `servers.llm-1` DOWN; log `asking another LLM server`, `breaker changed state`; "
    "`/admin/stats` ▸ `llm.repeated`, `breakers.llm-1`",
)
async def test_one_of_two_servers_is_dead(pair: list[LlmServer], compiled: Path) -> None:
    await pair[0].stop()
    async with before(pair, compiled) as service:
        assert await outcomes(service, range(10)) == {"llm": 10}
        for probe in service.app[LLM_PROBES].values():
            await probe.check_now()
        health = await service.get("/health")
        component = health["components"]["llm"]
        assert (component["status"], health["degraded"]) == ("UP", False)
        shown = {name: (server["status"], server["details"]["breaker"]) for name, server in component["details"]["servers"].items()}
        assert shown == {"llm-1": ("DOWN", "open"), "llm-2": ("UP", "closed")}
        stats = await service.get("/admin/stats")
        assert stats["breakers"]["llm-1"]["opened"] == 1
        assert stats["llm"]["repeated"]["failovers"] == 3


@fault(
    "LLM",
    "One of two servers accepts calls and never answers",
    caller_gets="200 with the model's films, from the other server",
    within="half of the caller's time and what the other server takes, until the breaker opens; then at once",
    told_by="log `asking another LLM server`, `breaker changed state`; `/admin/stats` ▸ `llm.repeated`, `breakers.llm-1`",
)
async def test_one_of_two_servers_is_silent(pair: list[LlmServer], compiled: Path) -> None:
    async with before(pair, compiled) as service:
        assert await outcomes(service, range(2)) == {"llm": 2}
        pair[0].answer = hang()
        assert await outcomes(service, range(2, 10)) == {"llm": 8}
        assert [server.breaker.state_name for server in service.app[LLM].servers] == ["open", "closed"]


@fault(
    "LLM",
    "Both of two servers refuse connections",
    caller_gets="200 from the catalogue, `degraded_reason: llm_unavailable`, then `breaker_open`",
    within="a second, and at once when both breakers are open",
    told_by="`/health` ▸ `components.llm: DOWN`; log `breaker changed state` for each; `/admin/stats` ▸ `breakers`",
)
async def test_both_servers_are_dead(pair: list[LlmServer], compiled: Path) -> None:
    for server in pair:
        await server.stop()
    async with before(pair, compiled) as service:
        counted = await outcomes(service, range(8))
        assert set(counted) == {"llm_unavailable", "breaker_open"}
        assert counted["breaker_open"] >= 3
        health = await service.get("/health")
        assert (health["status"], health["components"]["llm"]["status"]) == ("UP", "DOWN")


@fault(
    "Overload",
    "Every call to the LLM servers fails at once, while many callers ask",
    caller_gets="200 from the catalogue, `degraded_reason: llm_error`",
    within="the time the servers take",
    told_by="`/admin/stats` ▸ `llm.repeated.denied` grows: repetitions stay within a tenth of the calls of 10 s, and 10 more",
)
async def test_a_storm_of_failures_is_not_multiplied_by_repetitions(pair: list[LlmServer], compiled: Path) -> None:
    for server in pair:
        server.answer = status(500)
    async with before(pair, compiled, llm_breaker_failures=1000) as service:
        for batch in range(10):
            await asyncio.gather(*(service.recommend(f"2019년 한국 스릴러 {batch}-{number}", limit=1) for number in range(10)))
        made = sum(len(server.requests) for server in pair)
        stats = await service.get("/admin/stats")
    reasons = stats["recommend"]["fallbacks"]
    assert set(reasons) <= {"llm_error", "overloaded", "breaker_open"}
    assert made <= 100 + 10 + 10
    assert stats["llm"]["repeated"]["denied"] > 0


@fault(
    "Overload",
    "More callers ask than the LLM server takes at once",
    caller_gets="200: the model's films for as many as it takes, the others from the catalogue, `degraded_reason: overloaded`",
    within="100 ms of waiting for a place, and the time of the answer",
    told_by="`/admin/stats` ▸ `llm.calls`: `limit`, `in_flight`, `waiting`, `refused`; `recommend.fallbacks.overloaded`",
)
async def test_more_callers_than_the_server_takes_get_films_from_the_catalogue(compiled: Path) -> None:
    async with LlmServer() as llm, before([llm], compiled, llm_max_concurrent=4, request_timeout=10.0) as service:
        llm.answer = slow(2.0)
        answers = await asyncio.gather(*(service.recommend(f"2019년 한국 스릴러 {number}", limit=1) for number in range(40)))
        counted = Counter(answer["data"]["degraded_reason"] or answer["data"]["source"] for answer in answers)
        assert set(counted) == {"llm", "overloaded"}
        assert counted["llm"] >= 4
        assert llm.most_in_flight == 4
        calls = (await service.get("/admin/stats"))["llm"]["calls"]
        assert (calls["in_flight"], calls["waiting"], calls["max"]) == (0, 0, 4)
        assert calls["refused"] == counted["overloaded"]
