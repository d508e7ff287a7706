"""An answer of the model is given again as the same bytes while it is fresh, to whom it was given and to nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from opuscine.contract import RecommendAnswer
from support.completions import completion
from support.door import JWT, Keys, bearer, eventually, token
from support.llm_server import LlmServer, garbage, raw_reply, reply
from support.manual_clock import ManualClock
from support.redis_server import RedisServer
from support.service import Service, running

FILM = {"id": 129, "title": "센과 치히로의 행방불명", "release_date": "2001-07-20"}
NO_CACHE = {"Cache-Control": "no-cache"}
NO_STORE = {"Cache-Control": "no-store"}


@pytest.fixture
async def llm() -> AsyncIterator[LlmServer]:
    async with LlmServer() as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_800_000_000.0)


@pytest.fixture
async def service(llm: LlmServer, compiled: Path, clock: ManualClock) -> AsyncIterator[Service]:
    async with running(compiled, llm_server_url=llm.url, request_timeout=5.0, utc_now=clock.utc_now) as started:
        yield started


async def ask(
    service: Service, message: str = "영화", headers: Mapping[str, str] | None = None, **fields: Any
) -> tuple[bytes, Mapping[str, str]]:
    """Ask, and return the body's bytes and the headers."""
    async with service.caller.post(f"{service.url}/recommend", json={"message": message, **fields}, headers=headers) as response:
        assert response.status == 200
        return await response.read(), response.headers


async def cache_of(service: Service) -> dict[str, Any]:
    stats: dict[str, Any] = (await service.get("/admin/stats"))["recommend"]["cache"]
    return stats


async def test_the_first_answer_is_the_models_and_the_next_the_same_from_the_cache_with_its_age(
    service: Service, llm: LlmServer, clock: ManualClock
) -> None:
    first, first_headers = await ask(service)
    clock.advance(42)
    second, second_headers = await ask(service)
    third, _ = await ask(service)
    assert second == third
    before, after = json.loads(first), json.loads(second)
    RecommendAnswer.model_validate(after)
    assert (before["data"].pop("source"), after["data"].pop("source")) == ("llm", "cache")
    assert after["query_info"]["proxy_processing_time_seconds"] == 0.0
    for body in (before, after):
        del body["query_info"]["proxy_processing_time_seconds"]
    assert before == after
    assert "Age" not in first_headers
    assert second_headers["Age"] == "42"
    assert len(llm.requests) == 1
    process = (await cache_of(service))["process"]
    assert (process["hits"], process["misses"], process["stored"], process["entries"]) == (2, 1, 1, 1)
    assert process["bytes"] > len(second)


async def test_an_answer_that_is_too_old_is_asked_for_again(service: Service, llm: LlmServer, clock: ManualClock) -> None:
    await ask(service)
    clock.advance(300)
    body, headers = await ask(service)
    assert (json.loads(body)["data"]["source"], len(llm.requests)) == ("llm", 2)
    assert "Age" not in headers


async def test_no_cache_asks_the_model_and_refreshes_what_is_kept(service: Service, llm: LlmServer) -> None:
    await ask(service)
    llm.answer = reply(FILM)
    body, headers = await ask(service, headers=NO_CACHE)
    assert "Age" not in headers
    assert [movie["id"] for movie in json.loads(body)["movies"]] == [129]
    kept, headers = await ask(service)
    assert [movie["id"] for movie in json.loads(kept)["movies"]] == [129]
    assert headers["Age"] == "0"
    assert len(llm.requests) == 2


async def test_no_store_neither_reads_nor_keeps(service: Service, llm: LlmServer) -> None:
    await ask(service, "하나", headers=NO_STORE)
    await ask(service, "하나")
    llm.answer = reply(FILM)
    body, _ = await ask(service, "하나", headers=NO_STORE)
    assert [movie["id"] for movie in json.loads(body)["movies"]] == [129]
    kept, _ = await ask(service, "하나")
    assert [movie["id"] for movie in json.loads(kept)["movies"]] == [496243]
    assert len(llm.requests) == 3


async def test_a_word_that_only_resembles_no_cache_changes_nothing(service: Service, llm: LlmServer) -> None:
    await ask(service)
    await ask(service, headers={"Cache-Control": 'x="no-cache", no-transform'})
    assert len(llm.requests) == 1


@pytest.mark.parametrize("answer", [garbage(), raw_reply(b'{"success": true, "movies": []}')], ids=["degraded", "empty"])
async def test_degraded_and_empty_answers_are_not_kept(service: Service, llm: LlmServer, answer: Any) -> None:
    llm.next_answers = [answer]
    body, _ = await ask(service)
    assert json.loads(body)["data"]["degraded"] is True
    assert (await cache_of(service))["process"]["stored"] == 0
    body, _ = await ask(service)
    assert json.loads(body)["data"]["source"] == "llm"


async def test_a_question_of_the_model_is_no_answer_to_keep(compiled: Path, llm: LlmServer) -> None:
    llm.answer = completion('{"explanation": "어떤 분위기의 영화를 좋아하세요?", "movies": []}')
    async with running(compiled, llm_server_url=llm.url, llm_protocol="openai", llm_model="m") as service:
        for asked in (1, 2):
            body, _ = await ask(service)
            assert (json.loads(body)["movies"], json.loads(body)["data"]["degraded"]) == ([], False)
            assert len(llm.requests) == asked


async def test_without_a_model_nothing_is_kept(compiled: Path) -> None:
    async with running(compiled) as service:
        for _ in range(2):
            body, headers = await ask(service)
            assert json.loads(body)["data"]["source"] == "catalogue"
            assert "Age" not in headers
        assert (await cache_of(service))["process"]["stored"] == 0


async def test_another_catalogue_has_other_answers(tmp_path: Path, llm: LlmServer) -> None:
    """After a reload links come from the new files at once, although the old answer would still be fresh."""
    movies = tmp_path / "movies.json"

    def write(link: str) -> None:
        record = {"tmdb_id": 496243, "title": "기생충", "release_date": "2019-05-30", "ott_links": [link]}
        movies.write_text(json.dumps({"movies": [record]}))

    write("https://www.netflix.com/title/1")
    async with running(tmp_path / "cache", llm_server_url=llm.url, movies_data_file=movies) as service:
        before, _ = await ask(service)
        assert "netflix.com/title/1" in before.decode()
        write("https://www.netflix.com/title/2")
        await service.post("/admin/data/reload", status=202)

        async def new() -> bool:
            return "netflix.com/title/2" in (await ask(service))[0].decode()

        await eventually(new, what="the new link shows")
        assert len(llm.requests) == 2


async def test_answers_are_bounded_in_memory(llm: LlmServer, compiled: Path) -> None:
    async with running(compiled, llm_server_url=llm.url, cache_max_bytes=10_000) as service:
        for number in range(20):
            await ask(service, f"영화 {number}")
        process = (await cache_of(service))["process"]
        assert 0 < process["entries"] < 20
        assert process["bytes"] <= 10_000
        assert process["evicted"] == 20 - process["entries"]


# Streams


async def stream(
    service: Service, message: str = "영화", headers: Mapping[str, str] | None = None
) -> tuple[list[tuple[str, Any]], Mapping[str, str]]:
    """Ask for events, and return them with the headers."""
    async with service.caller.post(
        f"{service.url}/recommend", json={"message": message}, headers={"Accept": "text/event-stream", **(headers or {})}
    ) as response:
        blocks = (await response.text()).strip().split("\n\n")
        events = [dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")) for block in blocks]
        return [(event["event"], json.loads(event["data"])) for event in events], response.headers


async def test_an_answer_that_is_kept_comes_as_the_same_events_at_once(service: Service, llm: LlmServer, clock: ManualClock) -> None:
    kept = json.loads((await ask(service))[0])
    clock.advance(7)
    events, headers = await stream(service)
    assert headers["Age"] == "7"
    assert [data for name, data in events if name == "movie"] == kept["movies"]
    assert events[-1][1]["data"]["source"] == "cache"
    assert events[-1][1]["query_info"]["original_message"] == "영화"
    assert len(llm.requests) == 1


async def test_a_stream_that_ends_well_is_kept_and_a_degraded_one_is_not(service: Service, llm: LlmServer) -> None:
    llm.next_answers = [garbage()]
    events, headers = await stream(service)
    assert events[-1][1]["data"]["degraded"] is True
    events, headers = await stream(service)
    assert events[-1][1]["data"]["source"] == "llm"
    assert "Age" not in headers
    body, headers = await ask(service)
    assert json.loads(body)["data"]["source"] == "cache"
    assert json.loads(body)["movies"] == [data for name, data in events if name == "movie"]
    assert len(llm.requests) == 2


# Whose answer it is


@pytest.fixture
def redis(tmp_path: Path) -> Any:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.mark.parametrize("auth", ["on", "off"])
async def test_one_callers_answer_never_reaches_another_through_process_or_redis(
    compiled: Path, llm: LlmServer, redis: RedisServer, tmp_path: Path, auth: str
) -> None:
    """Two services share one Redis; each pair of caller and user asks the model once and then finds its own answer in both."""
    if auth == "on":
        keys = Keys.of(tmp_path, one="recommend admin act_as", two="recommend admin act_as")
        settings: dict[str, Any] = {**keys.settings, **JWT}
        askers: list[tuple[Mapping[str, str], dict[str, Any]]] = [
            (keys["one"], {"user_id": "alice"}),
            (keys["one"], {"user_id": "bob"}),
            (keys["one"], {}),
            (keys["two"], {"user_id": "alice"}),
            (bearer(token("alice")), {}),
        ]
    else:
        settings = {}
        askers = [({}, {"user_id": "alice"}), ({}, {"user_id": "bob"}), ({}, {})]
    films = [{"id": 900_000_000 + number, "title": f"영화 {number}"} for number in range(len(askers))]
    async with (
        running(compiled, llm_server_url=llm.url, redis_url=redis.url, **settings) as one,
        running(compiled, llm_server_url=llm.url, redis_url=redis.url, **settings) as other,
    ):
        for number, (headers, fields) in enumerate(askers):
            llm.answer = reply(films[number])
            body, _ = await ask(one, headers=headers, **fields)
            assert json.loads(body)["data"]["source"] == "llm"

        async def all_written() -> bool:
            return len(redis.command("KEYS", "opuscine:answer:*")) == len(askers)

        await eventually(all_written, what="every answer is in Redis")
        llm.answer = garbage()
        for service in (other, one, other):
            for number, (headers, fields) in enumerate(askers):
                body, answer_headers = await ask(service, headers=headers, **fields)
                answer = json.loads(body)
                assert answer["data"]["source"] == "cache"
                assert [movie["id"] for movie in answer["movies"]] == [films[number]["id"]]
                assert "Age" in answer_headers
        assert len(llm.requests) == len(askers)
    names = b" ".join(redis.command("KEYS", "*"))
    for secret in ("alice", "bob", "영화"):
        assert secret.encode() not in names


async def test_a_page_may_read_the_age(compiled: Path, llm: LlmServer) -> None:
    async with running(compiled, llm_server_url=llm.url, cors_origins="https://page.example") as service, aiohttp.ClientSession() as page:
        await ask(service)
        async with page.post(f"{service.url}/recommend", json={"message": "영화"}, headers={"Origin": "https://page.example"}) as response:
            assert response.headers["Age"]
            assert "Age" in response.headers["Access-Control-Expose-Headers"].split(",")
