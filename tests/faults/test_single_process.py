"""Processes end: in order, by force, one of two. Nobody loses an answer that could be given."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest

from support.door import OTT, ask
from support.fault_wall import fault
from support.llm_server import LlmServer, hang, reply, slow
from support.process import serving
from support.redis_server import RedisServer
from support.within import within


async def in_flight(llm: LlmServer, count: int = 1) -> None:
    """Wait until so many questions are with the model."""
    async with asyncio.timeout(10):
        while llm.in_flight < count:
            await asyncio.sleep(0.01)


@fault(
    "Process",
    "It is told to stop (SIGTERM) while requests are under way",
    caller_gets="its answer, whole, with `Connection: close`",
    within="`DRAIN_TIMEOUT`",
    told_by="log `stopping`, `stopped`; `/health/readiness` is 503 meanwhile",
)
async def test_a_request_in_flight_is_answered_when_the_process_is_told_to_stop(tmp_path: Path, llm: LlmServer) -> None:
    async with serving(tmp_path, llm_server_url=llm.url) as service:
        llm.answer = slow(0.5, reply())
        call = asyncio.create_task(service.caller.post(f"{service.url}/recommend", json={"message": "영화"}))
        await in_flight(llm)
        service.process.send_signal(signal.SIGTERM)
        await service.logged("stopping")
        response = await call
        assert response.status == 200
        assert response.headers["Connection"] == "close"
        assert (await response.json())["data"]["source"] == "llm"
        assert await service.ended() == 0
    assert service.log[-1]["event"] == "stopped"
    assert not [line for line in service.log if line.get("level") in {"error", "critical"}]


@fault(
    "Process",
    "It is told to stop while the model is silent and callers have more time than `DRAIN_TIMEOUT`",
    caller_gets="the end of its connection",
    within="`DRAIN_TIMEOUT`",
    told_by="log `answers cut off` with their number",
)
async def test_what_does_not_come_in_time_is_cut_off(tmp_path: Path, llm: LlmServer) -> None:
    llm.answer = hang()
    async with serving(tmp_path, llm_server_url=llm.url, drain_timeout=0.3) as service:
        call = asyncio.create_task(service.caller.post(f"{service.url}/recommend", json={"message": "영화"}))
        await in_flight(llm)
        service.process.send_signal(signal.SIGTERM)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await call
        assert await service.ended() == 0
        assert (await service.logged("answers cut off"))["count"] == 1


@fault(
    "Process",
    "One of two processes that share a Redis is killed (SIGKILL) under load",
    caller_gets="the end of its connection from the one; the other's answers as ever, and the limit goes on counting what both admitted",
    within="no longer than usual",
    told_by="systemd's log of the unit that was killed",
)
async def test_one_of_two_processes_is_killed(tmp_path: Path, redis: RedisServer) -> None:
    shared = {"redis_url": redis.url, "rate_limit_read": "40/hour", "cache_dir": tmp_path / "cache"}
    async with serving(tmp_path, **shared) as one, serving(tmp_path, **shared) as other:
        answers = [await ask(process.caller, process.url + OTT) for process in (one, other) for _ in range(10)]
        assert [answer.status for answer in answers] == [200] * 20
        one.process.kill()
        await one.ended()
        with pytest.raises(aiohttp.ClientError):
            await ask(one.caller, one.url + OTT)
        async with within(5):
            after = [(await ask(other.caller, other.url + OTT)).status for _ in range(30)]
    assert after == [200] * 20 + [429] * 10
    assert not [
        line for line in other.log if line.get("level") in {"warning", "error", "critical"} and "authentication" not in line["event"]
    ]
