"""What a caller sees when the model, Redis or other callers fail around answers that are kept or shared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from opuscine.keys import LLM, RECOMMENDER
from support.door import eventually
from support.fault_wall import fault
from support.llm_server import LlmServer, hang, reply
from support.manual_clock import ManualClock
from support.redis_server import RedisServer
from support.service import Service, running

INVENTED = {"id": 900_000_001, "title": "모델만 아는 영화"}  # the catalogue could never choose it


@pytest.fixture
async def llm() -> AsyncIterator[LlmServer]:
    async with LlmServer() as server:
        server.answer = reply(INVENTED)
        yield server


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_800_000_000.0)


@pytest.fixture
async def shared(llm: LlmServer, redis: RedisServer, compiled: Path, clock: ManualClock) -> AsyncIterator[Service]:
    """Run a service that keeps answers in Redis only."""
    async with running(
        compiled, llm_server_url=llm.url, redis_url=redis.url, cache_max_bytes=0, request_timeout=2.0, utc_now=clock.utc_now
    ) as service:
        yield service


async def kept(redis: RedisServer) -> bytes:
    """Wait until an answer is in Redis and return its name."""

    async def written() -> bool:
        return bool(redis.command("KEYS", "opuscine:answer:*"))

    await eventually(written, what="the answer is in Redis")
    [name] = redis.command("KEYS", "opuscine:answer:*")
    assert isinstance(name, bytes)
    return name


@fault(
    "Cache",
    "The model dies after an answer has expired",
    caller_gets="200 with that answer, `source: cache`, `degraded: true` and why, `Age`; the explanation says that it is an earlier one",
    within="the caller's deadline",
    told_by="`/admin/stats` ▸ `recommend.earlier`, `recommend.cache.process.stale`",
)
async def test_earlier_answer(llm: LlmServer, compiled: Path, clock: ManualClock) -> None:
    async with running(compiled, llm_server_url=llm.url, utc_now=clock.utc_now) as service:
        await service.recommend("영화")
        clock.advance(400)
        await llm.stop()
        answer = await service.recommend("영화")
        assert [movie["id"] for movie in answer["movies"]] == [INVENTED["id"]]
        assert (answer["data"]["source"], answer["data"]["degraded_reason"]) == ("cache", "llm_unavailable")
        assert (await service.get("/admin/stats"))["recommend"]["earlier"] == {"llm_unavailable": 1}


@fault(
    "Cache",
    "Redis is flushed",
    caller_gets="200 from the model, as if nobody had asked before",
    within="the time of the model",
    told_by="`/admin/stats` ▸ `recommend.cache.redis.misses`",
)
async def test_flushed(shared: Service, llm: LlmServer, redis: RedisServer) -> None:
    await shared.recommend("영화")
    await kept(redis)
    redis.command("FLUSHALL")
    assert (await shared.recommend("영화"))["data"]["source"] == "llm"
    assert len(llm.requests) == 2


@fault(
    "Cache",
    "Redis dies while answers are kept in it",
    caller_gets="200 from the model; what the process holds is still given at once",
    within="50 ms more than without Redis, until its breaker opens",
    told_by="`/admin/stats` ▸ `redis.breaker`, `redis.failures`",
)
async def test_redis_dies(llm: LlmServer, redis: RedisServer, compiled: Path) -> None:
    async with running(compiled, llm_server_url=llm.url, redis_url=redis.url) as service:
        await service.recommend("영화")
        await kept(redis)
        redis.kill()
        assert (await service.recommend("영화"))["data"]["source"] == "cache"
        assert (await service.recommend("다른 영화"))["data"]["source"] == "llm"


@fault(
    "Cache",
    "A row in Redis is cut, changed, of another version, or another caller's",
    caller_gets="200 from the model, as if the row were not there",
    within="the time of the model",
    told_by="`/admin/stats` ▸ `recommend.cache.redis.broken`; log `answer_row_broken`, once a minute",
)
async def test_poisoned_row(shared: Service, llm: LlmServer, redis: RedisServer) -> None:
    await shared.recommend("영화", user_id="alice")
    mine = await kept(redis)
    whole = redis.command("GET", mine.decode())
    llm.answer = reply({"id": 900_000_002, "title": "둘째 영화"})
    await shared.recommend("영화", user_id="bob")

    async def both_written() -> bool:
        return len(redis.command("KEYS", "opuscine:answer:*")) == 2

    await eventually(both_written, what="the other user's answer is in Redis")
    [theirs] = {name for name in redis.command("KEYS", "opuscine:answer:*") if name != mine}
    foreign = redis.command("GET", theirs.decode())
    for count, row in enumerate((foreign, whole[:-1], whole.replace(b"900000001", b"900000009"), b"opuscine-answer-0\n" + whole), start=1):
        redis.command("SET", mine.decode(), row)
        answer = await shared.recommend("영화", user_id="alice", headers={"X-Request-Id": f"row-{count}"})
        assert answer["data"]["source"] == "llm"
        assert [movie["id"] for movie in answer["movies"]] == [900_000_002]
        assert (await shared.get("/admin/stats"))["recommend"]["cache"]["redis"]["broken"] == count

        async def rewritten(row: bytes = row) -> bool:
            return bool(redis.command("GET", mine.decode()) != row)

        await eventually(rewritten, what="the broken row is replaced")


@fault(
    "Cache",
    "A hundred ask the same of a silent model, and leave at their deadlines or before",
    caller_gets="200 from the catalogue, `degraded_reason: llm_timeout`, for all who stayed; one call of the model for all",
    within="each caller's own deadline",
    told_by="`/admin/stats` ▸ `recommend.joined`, `recommend.fallbacks`, `breakers.llm`",
)
async def test_waiters_leave(llm: LlmServer, compiled: Path) -> None:
    """Every other one disconnects; that a thousand cost one call is shown in `integration/test_shared_calls.py`."""
    llm.answer = hang()
    async with running(compiled, llm_server_url=llm.url, request_timeout=30.0, llm_breaker_failures=1) as service:
        begun = time.monotonic()
        calls = [asyncio.create_task(service.recommend("영화", headers={"X-Request-Timeout-Ms": "3000"})) for _ in range(100)]

        async def all_wait() -> bool:
            return bool(service.app[RECOMMENDER].stats()["joined"] == 99)

        await eventually(all_wait, what="all wait for one call")
        for leaving in calls[::2]:
            leaving.cancel()
        answers = await asyncio.gather(*calls[1::2])
        assert time.monotonic() - begun < 3.0 + 1.0
        assert {answer["data"]["degraded_reason"] for answer in answers} == {"llm_timeout"}
        assert len(llm.requests) == 1

        async def learnt() -> bool:
            return not service.app[LLM].servers[0].breaker.closed

        await eventually(learnt, what="the breaker has learnt of the silence")
