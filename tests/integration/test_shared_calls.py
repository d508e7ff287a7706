"""Who wish the same at the same moment share one call: each leaves it at its own deadline, and nobody's leaving is the others' loss."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from opuscine.keys import LLM, RECOMMENDER
from support.api_server import FilmServer
from support.completions import completion, films, streamed
from support.door import eventually
from support.llm_server import LlmServer, garbage, hang, reply, slow
from support.service import Service, running

CALLERS = 1_000


@pytest.fixture
async def llm() -> AsyncIterator[LlmServer]:
    async with LlmServer() as server:
        yield server


@pytest.fixture
async def service(llm: LlmServer, compiled: Path) -> AsyncIterator[Service]:
    async with running(compiled, llm_server_url=llm.url, request_timeout=30.0, llm_breaker_failures=2) as started:
        yield started


async def counts(service: Service) -> dict[str, Any]:
    stats: dict[str, Any] = (await service.get("/admin/stats"))["recommend"]
    return stats


async def until(condition: Any, *, what: str) -> None:
    async def true() -> bool:
        return bool(condition())

    await eventually(true, what=what)


async def test_a_thousand_who_wish_the_same_cost_one_call_and_one_piece_of_work_though_fifty_leave(
    service: Service, llm: LlmServer
) -> None:
    """Every one of the 950 gets the very same bytes, among them the time that making them took."""
    release = asyncio.Event()

    async def when_told(request: Any) -> Any:
        await release.wait()
        return await reply()(request)

    llm.answer = when_told
    recommender = service.app[RECOMMENDER]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as crowd:

        async def call() -> bytes:
            async with crowd.post(f"{service.url}/recommend", json={"message": "영화"}) as response:
                assert response.status == 200
                return await response.read()

        calls = [asyncio.create_task(call()) for _ in range(CALLERS)]
        await until(lambda: recommender.stats()["joined"] == CALLERS - 1, what="everyone waits for the one call")
        for leaving in calls[:50]:
            leaving.cancel()
        await asyncio.gather(*calls[:50], return_exceptions=True)
        release.set()
        answers = await asyncio.gather(*calls[50:])
    assert len(answers) == CALLERS - 50
    assert len(set(answers)) == 1
    assert b'"source":"llm"' in answers[0]
    assert len(llm.requests) == 1
    stats = await counts(service)
    assert (stats["asked"], stats["grounded"], stats["cache"]["process"]["stored"]) == (1, {"id+title": 1}, 1)


async def test_the_call_has_the_whole_time_whoever_was_first(service: Service, llm: LlmServer) -> None:
    llm.answer = slow(0.6)
    hurried = asyncio.create_task(service.recommend("영화", headers={"X-Request-Timeout-Ms": "250"}))
    await until(lambda: llm.in_flight, what="the call is under way")
    patient = asyncio.create_task(service.recommend("영화"))
    assert (await hurried)["data"]["degraded_reason"] == "llm_timeout"
    assert (await patient)["data"]["source"] == "llm"
    assert len(llm.requests) == 1
    assert 20_000 < int(llm.requests[0].headers["X-Request-Timeout-Ms"]) <= 29_500


async def test_when_all_leave_at_their_deadlines_the_call_ends_and_the_breaker_learns_of_it(service: Service, llm: LlmServer) -> None:
    """The callers' 300 ms are up long before the call's own 30 s: the silence counts all the same, once a call."""
    llm.answer = hang()
    breaker = service.app[LLM].servers[0].breaker
    for number in (1, 2):
        begun = time.monotonic()
        answers = await asyncio.gather(
            *(service.recommend(f"영화 {number}", headers={"X-Request-Timeout-Ms": ms}) for ms in ("300", "250", "200"))
        )
        assert time.monotonic() - begun < 2.0
        assert [answer["data"]["degraded_reason"] for answer in answers] == ["llm_timeout"] * 3
        assert all(answer["movies"] for answer in answers)
        await until(lambda: not llm.in_flight, what="the call has ended")
        await until(lambda number=number: breaker.fail_counter == number or not breaker.closed, what="the breaker has learnt")
    assert len(llm.requests) == 2
    assert (await service.recommend("영화"))["data"]["degraded_reason"] == "breaker_open"


async def test_when_all_disconnect_the_call_is_cancelled_and_says_nothing_of_the_model(service: Service, llm: LlmServer) -> None:
    llm.answer = hang()
    calls = [asyncio.create_task(service.recommend("영화")) for _ in range(5)]
    await until(lambda: llm.in_flight and service.app[RECOMMENDER].stats()["joined"] == 4, what="all wait for one call")
    for call in calls:
        call.cancel()
    await until(lambda: llm.abandoned == 1, what="the call is given up")
    assert service.app[LLM].servers[0].breaker.fail_counter == 0
    assert service.app[RECOMMENDER].stats()["asking"] == 0


async def test_a_failed_call_costs_one_search_for_all_who_waited(service: Service, llm: LlmServer) -> None:
    llm.answer = slow(0.3, garbage())
    bodies = await asyncio.gather(*(service.recommend("2019년 한국 스릴러") for _ in range(40)))
    assert len(llm.requests) == 1
    assert {body["data"]["degraded_reason"] for body in bodies} == {"llm_bad_reply"}
    assert len({body["query_info"]["proxy_processing_time_seconds"] for body in bodies}) < 5
    assert (await counts(service))["fallbacks"] == {"llm_bad_reply": 40}


async def test_who_wants_a_new_answer_joins_no_call_and_nobody_joins_theirs(service: Service, llm: LlmServer) -> None:
    llm.answer = slow(0.4)
    calls = [asyncio.create_task(service.recommend("영화"))]
    await until(lambda: llm.in_flight == 1, what="the first call is under way")
    calls.append(asyncio.create_task(service.recommend("영화", headers={"Cache-Control": "no-cache"})))
    await until(lambda: llm.in_flight == 2, what="its own call is under way")
    calls.append(asyncio.create_task(service.recommend("영화")))
    answers = await asyncio.gather(*calls)
    assert [answer["data"]["source"] for answer in answers] == ["llm"] * 3
    assert len(llm.requests) == 2


async def test_a_stream_waits_for_a_call_that_is_under_way(service: Service, llm: LlmServer, compiled: Path) -> None:
    async with running(compiled, llm_server_url=llm.url, llm_protocol="openai", llm_model="m") as streaming:
        llm.answer = slow(0.3, completion(films(("기생충", 2019))))
        call = asyncio.create_task(streaming.recommend("영화"))
        await until(lambda: llm.in_flight, what="the call is under way")
        headers = {"Accept": "text/event-stream"}
        async with streaming.caller.post(f"{streaming.url}/recommend", json={"message": "영화"}, headers=headers) as response:
            text = await response.text()
        assert text.count("event: movie") == len((await call)["movies"]) == 1
        assert "event: done" in text
    assert len(llm.requests) == 1


@pytest.fixture
async def streaming(llm: LlmServer, compiled: Path) -> AsyncIterator[Service]:
    async with running(compiled, llm_server_url=llm.url, llm_protocol="openai", llm_model="m") as started:
        yield started


def following(service: Service, **headers: str) -> Any:
    """Ask for events."""
    named = {"Accept": "text/event-stream", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return service.caller.post(f"{service.url}/recommend", json={"message": "영화"}, headers=named)


async def first_film(response: aiohttp.ClientResponse) -> bytes:
    return await asyncio.wait_for(response.content.readuntil(b"\n\n"), 5)


async def test_streams_share_a_call_and_each_gets_every_film_as_it_comes(streaming: Service, llm: LlmServer) -> None:
    """One begins the call, one joins it after the first film, one waits for the whole of it, and one leaves."""
    gate = asyncio.Event()
    text = films(("기생충", 2019), ("센과 치히로의 행방불명", 2001))
    llm.answer = streamed([text[: len(text) - 30], text[len(text) - 30 :]], gate=gate)
    async with following(streaming) as one:
        first = await first_film(one)
        assert "기생충" in first.decode()
        async with following(streaming) as late, following(streaming) as leaving:
            assert await first_film(late) == await first_film(leaving) == first
            leaving.close()
            whole = asyncio.create_task(streaming.recommend("영화"))
            await until(lambda: streaming.app[RECOMMENDER].stats()["joined"] == 3, what="all share the one call")
            assert not gate.is_set()
            gate.set()
            rest, rest_late = await one.content.read(), await late.content.read()
    assert rest.count(b"event: movie") == rest_late.count(b"event: movie") == 1
    assert b"event: done" in rest
    assert b"event: done" in rest_late
    assert [movie["title"] for movie in (await whole)["movies"]] == ["기생충", "센과 치히로의 행방불명"]
    assert len(llm.requests) == 1
    assert (await counts(streaming))["cache"]["process"]["stored"] == 1


async def test_one_who_began_a_stream_and_left_leaves_it_to_the_others(streaming: Service, llm: LlmServer) -> None:
    gate = asyncio.Event()
    text = films(("기생충", 2019), ("센과 치히로의 행방불명", 2001))
    llm.answer = streamed([text[: len(text) - 30], text[len(text) - 30 :]], gate=gate)
    async with following(streaming) as one, following(streaming) as other:
        await first_film(one)
        await first_film(other)
        one.close()
        gate.set()
        assert b"event: done" in await other.content.read()
    assert (len(llm.requests), llm.abandoned) == (1, 0)


async def test_a_call_that_breaks_midway_leaves_every_stream_with_its_films_and_the_catalogues(streaming: Service, llm: LlmServer) -> None:
    gate = asyncio.Event()
    text = films(("기생충", 2019), ("센과 치히로의 행방불명", 2001))
    llm.answer = streamed([text[: len(text) - 30], text[len(text) - 30 : len(text) - 20]], gate=gate, then_cut=True)
    async with following(streaming) as one, following(streaming) as other:
        firsts = await first_film(one), await first_film(other)
        gate.set()
        for first, response in zip(firsts, (one, other), strict=True):
            text = (first + await response.content.read()).decode()
            assert text.count("496243") == 1
            assert text.count("event: movie") > 2
            assert '"degraded":true' in text
    assert (await counts(streaming))["cache"]["process"]["stored"] == 0
    assert streaming.app[RECOMMENDER].stats()["asking"] == 0


async def test_a_stream_of_its_own_is_shared_with_nobody(streaming: Service, llm: LlmServer) -> None:
    gate = asyncio.Event()
    text = films(("기생충", 2019), ("센과 치히로의 행방불명", 2001))
    llm.answer = streamed([text[: len(text) - 30], text[len(text) - 30 :]], gate=gate)
    async with following(streaming) as one, following(streaming, Cache_Control="no-cache") as own:
        await first_film(one)
        await first_film(own)
        gate.set()
        assert b'"source":"llm"' in await one.content.read()
        assert b'"source":"llm"' in await own.content.read()
    assert len(llm.requests) == 2


async def test_a_call_that_all_have_left_gives_nothing_to_those_who_come_next(streaming: Service, llm: LlmServer) -> None:
    """Callers come and go in quick succession; whoever stays gets one whole answer, each film once."""
    text = films(("기생충", 2019), ("센과 치히로의 행방불명", 2001))
    llm.answer = streamed([text[: len(text) - 30], text[len(text) - 30 :]], gate=(gate := asyncio.Event()))
    for _ in range(5):
        async with following(streaming) as leaving:
            await first_film(leaving)
            leaving.close()
        async with following(streaming) as staying:
            first = await first_film(staying)
            staying.close()
    async with following(streaming) as last:
        first = await first_film(last)
        gate.set()
        whole = (first + await last.content.read()).decode()
    assert (whole.count("event: movie"), whole.count("event: done")) == (2, 1)


async def test_without_time_for_the_model_it_is_not_asked(compiled: Path, llm: LlmServer) -> None:
    """Of 0.1 s a body that drips leaves nothing."""
    async with running(compiled, llm_server_url=llm.url, request_timeout=0.1) as service:

        async def dripping() -> AsyncIterator[bytes]:
            yield b'{"message": '
            await asyncio.sleep(0.15)
            yield '"영화"}'.encode()

        headers = {"Content-Type": "application/json"}
        async with service.caller.post(f"{service.url}/recommend", data=dripping(), headers=headers) as response:
            body = await response.json()
        assert body["data"]["degraded_reason"] == "llm_timeout"
        assert body["movies"]
    assert not llm.requests


async def test_an_answer_that_nobody_waited_for_is_not_kept(compiled: Path, llm: LlmServer) -> None:
    """When the last caller leaves while links are still looked for, some of them may be missing: the next caller gets all of them."""
    unknown = {"id": 900_000_001, "title": "아무도 모르는 영화"}
    link = {"provider_name": "Netflix", "provider_id": 8, "link": "https://www.netflix.com/title/1", "type": "flatrate", "region": "KR"}
    llm.answer = reply(unknown)
    async with FilmServer({"/movie/900000001": {"movie": {"ott_links": [link]}}}) as api:
        api.delay_s = 0.5
        async with running(compiled, llm_server_url=llm.url, api_server_url=api.url, api_server_timeout=5.0) as service:
            hurried = await service.recommend("영화", headers={"X-Request-Timeout-Ms": "250"})
            assert hurried["data"]["degraded_reason"] == "llm_timeout"
            await until(lambda: api.asked and not api.in_flight, what="the links have come")
            answer = await service.recommend("영화")
            assert answer["data"]["source"] == "llm"
            assert answer["movies"][0]["ott_links"]
