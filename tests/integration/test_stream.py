"""A caller that accepts events gets films as they are known; what was whole before comes as the same events at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from opuscine.contract import Movie, RecommendAnswer
from support.llm_server import LlmServer, garbage, hang, reply
from support.service import Service, running

Events = list[tuple[str, dict[str, Any]]]


async def events_of(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Read events as a client does."""
    name = ""
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def stream(service: Service, message: str, **fields: Any) -> Events:
    """Ask for films as a stream and read it to its end."""
    headers = {"Accept": "text/event-stream", "X-Request-Id": "stream-1"}
    async with service.caller.post(f"{service.url}/recommend", json={"message": message, **fields}, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["X-Request-Id"] == "stream-1"
        assert response.headers["Server"] == "OpusCine"
        return [event async for event in events_of(response)]


async def test_the_same_films_come_as_events(service: Service) -> None:
    answer = await service.recommend("2019년 한국 스릴러")
    events = await stream(service, "2019년 한국 스릴러")
    assert [name for name, _ in events] == ["movie"] * len(answer["movies"]) + ["message", "done"]
    films = [data for name, data in events if name == "movie"]
    for film in films:
        Movie.model_validate(film)
    assert films == answer["movies"]
    assert events[-2][1] == {"text": answer["query_info"]["recommendation_explanation"]}
    RecommendAnswer.model_validate({**events[-1][1], "movies": films})


async def test_a_wrong_request_is_an_ordinary_problem(service: Service) -> None:
    problem = await service.recommend("", status=422, headers={"Accept": "text/event-stream"})
    assert problem["code"] == "invalid_fields"


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/json, text/event-stream", ""])
async def test_who_does_not_ask_for_a_stream_gets_none(service: Service, accept: str) -> None:
    assert (await service.recommend("영화", headers={"Accept": accept}))["movies"]


async def test_without_the_model_fallback_films_come_and_the_end_says_why(compiled: Path) -> None:
    async with LlmServer() as llm, running(compiled, llm_server_url=llm.url, request_timeout=1.0) as service:
        llm.answer = garbage()
        events = await stream(service, "2019년 한국 스릴러")
        assert events[0][0] == "movie"
        assert events[-1][1]["data"]["degraded_reason"] == "llm_bad_reply"
        llm.answer = reply()
        assert (await stream(service, "2019년 한국 스릴러"))[-1][1]["data"]["source"] == "llm"
        assert (await stream(service, "2019년 한국 스릴러"))[-1][1]["data"]["source"] == "cache"


async def test_without_a_fallback_an_error_before_the_first_event_is_a_problem(compiled: Path) -> None:
    async with LlmServer() as llm, running(compiled, llm_server_url=llm.url, request_timeout=1.0, fallback="off") as service:
        llm.answer = garbage()
        problem = await service.recommend("영화", status=502, headers={"Accept": "text/event-stream"})
        assert problem["code"] == "upstream_bad_reply"


async def test_a_caller_that_leaves_a_stream_takes_the_models_call_along(compiled: Path) -> None:
    async with LlmServer() as llm, running(compiled, llm_server_url=llm.url) as service:
        llm.answer = hang()
        call = asyncio.create_task(stream(service, "영화"))
        async with asyncio.timeout(5):
            while not llm.in_flight:
                await asyncio.sleep(0.01)
            call.cancel()
            while llm.in_flight:
                await asyncio.sleep(0.01)
        assert llm.abandoned == 1
