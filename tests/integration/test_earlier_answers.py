"""When the model fails, an earlier answer to the same wish comes before the catalogue's own choice, marked as what it is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from opuscine.contract import RecommendAnswer
from support.door import eventually
from support.llm_server import Behaviour, LlmServer, garbage, hang, reply, status
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
def clock() -> ManualClock:
    return ManualClock(1_800_000_000.0)


@pytest.fixture
async def service(llm: LlmServer, compiled: Path, clock: ManualClock) -> AsyncIterator[Service]:
    async with running(compiled, llm_server_url=llm.url, request_timeout=1.0, utc_now=clock.utc_now) as started:
        yield started


def films(answer: dict[str, Any]) -> list[int]:
    return [movie["id"] for movie in answer["movies"]]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [(garbage(), "llm_bad_reply"), (status(500), "llm_error"), (hang(), "llm_timeout")],
    ids=["garbage", "500", "silent"],
)
async def test_an_expired_answer_stands_in_for_the_model(
    service: Service, llm: LlmServer, clock: ManualClock, behaviour: Behaviour, reason: str
) -> None:
    fresh = await service.recommend("영화")
    clock.advance(400)
    llm.answer = behaviour
    async with service.caller.post(f"{service.url}/recommend", json={"message": "영화"}) as response:
        answer = await response.json()
        assert response.headers["Age"] == "400"
    RecommendAnswer.model_validate(answer)
    assert films(answer) == films(fresh) == [INVENTED["id"]]
    assert {name: answer["data"][name] for name in ("source", "degraded", "degraded_reason")} == {
        "source": "cache",
        "degraded": True,
        "degraded_reason": reason,
    }
    assert "앞서 드린 추천" in answer["query_info"]["recommendation_explanation"]
    stats = (await service.get("/admin/stats"))["recommend"]
    assert (stats["earlier"], stats["fallbacks"], stats["cache"]["process"]["stale"]) == ({reason: 1}, {}, 1)


async def test_what_the_model_said_then_follows_the_sentence_that_says_it_is_earlier(
    service: Service, llm: LlmServer, clock: ManualClock
) -> None:
    llm.answer = reply(INVENTED, query_metadata={"recommendation_explanation": "조용한 작품입니다."})
    said = (await service.recommend("영화"))["query_info"]["recommendation_explanation"]
    clock.advance(400)
    llm.answer = garbage()
    for _ in range(2):  # what is kept stays as it is
        again = (await service.recommend("영화"))["query_info"]["recommendation_explanation"]
        assert again.count("앞서 드린 추천") == 1
        assert again.endswith(said)


async def test_once_the_model_is_well_again_it_answers(service: Service, llm: LlmServer, clock: ManualClock) -> None:
    await service.recommend("영화")
    clock.advance(400)
    llm.next_answers = [garbage()]
    assert (await service.recommend("영화"))["data"]["degraded"] is True
    answer = await service.recommend("영화")
    assert (answer["data"]["source"], answer["data"]["degraded"]) == ("llm", False)


async def test_an_answer_that_is_too_old_even_for_that_gives_way_to_the_catalogue(
    service: Service, llm: LlmServer, clock: ManualClock
) -> None:
    await service.recommend("영화")
    clock.advance(3900)
    llm.answer = garbage()
    answer = await service.recommend("영화")
    assert answer["data"]["source"] == "catalogue"
    assert INVENTED["id"] not in films(answer)


async def test_zero_seconds_switch_it_off(llm: LlmServer, compiled: Path, clock: ManualClock) -> None:
    async with running(compiled, llm_server_url=llm.url, utc_now=clock.utc_now, cache_stale_ttl=0) as service:
        await service.recommend("영화")
        clock.advance(301)
        llm.answer = garbage()
        assert (await service.recommend("영화"))["data"]["source"] == "catalogue"


async def test_without_a_fallback_faults_show_all_the_same(llm: LlmServer, compiled: Path, clock: ManualClock) -> None:
    async with running(compiled, llm_server_url=llm.url, utc_now=clock.utc_now, fallback="off") as service:
        await service.recommend("영화")
        clock.advance(301)
        llm.answer = garbage()
        assert (await service.recommend("영화", status=502))["code"] == "upstream_bad_reply"


@pytest.mark.parametrize("directive", ["no-cache", "no-store"])
async def test_who_wants_nothing_earlier_gets_nothing_earlier(service: Service, llm: LlmServer, clock: ManualClock, directive: str) -> None:
    await service.recommend("영화")
    clock.advance(400)
    llm.answer = garbage()
    answer = await service.recommend("영화", headers={"Cache-Control": directive})
    assert answer["data"]["source"] == "catalogue"


async def test_a_stream_gives_the_earlier_answer_as_events(service: Service, llm: LlmServer, clock: ManualClock) -> None:
    await service.recommend("영화")
    clock.advance(400)
    llm.answer = garbage()
    headers = {"Accept": "text/event-stream"}
    async with service.caller.post(f"{service.url}/recommend", json={"message": "영화"}, headers=headers) as response:
        assert response.headers["Age"] == "400"
        text = await response.text()
    done = json.loads(text.rsplit("data: ", 1)[1])
    assert (done["data"]["source"], done["data"]["degraded_reason"]) == ("cache", "llm_bad_reply")
    assert "모델만 아는 영화" in text
    assert "앞서 드린 추천" in text


async def test_a_process_that_holds_nothing_finds_the_earlier_answer_in_redis(
    llm: LlmServer, compiled: Path, clock: ManualClock, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        settings: dict[str, Any] = {"llm_server_url": llm.url, "redis_url": redis.url, "utc_now": clock.utc_now, "cache_max_bytes": 0}
        async with running(compiled, **settings) as service:
            await service.recommend("영화")

            async def written() -> bool:
                return bool(redis.command("KEYS", "opuscine:answer:*"))

            await eventually(written, what="the answer is in Redis")
        clock.advance(400)
        llm.answer = garbage()
        async with running(compiled, **settings) as service:
            answer = await service.recommend("영화")
            assert (films(answer), answer["data"]["source"]) == ([INVENTED["id"]], "cache")
            assert (await service.get("/admin/stats"))["recommend"]["cache"]["redis"]["stale"] == 1
