"""Pages of a model that pages by itself, asked for in every order and at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.llm_server import LlmServer, garbage, hang, raw_reply, reply, slow
from support.service import Service, running

LIMIT = 5
PAGES = 20


async def paging(request: web.Request) -> web.StreamResponse:
    """Answer page N with its own five films of a hundred."""
    context = (await request.json())["context"]
    first = 900_000_000 + (context["page"] - 1) * LIMIT
    films = [{"id": first + n, "title": f"영화 {first + n}"} for n in range(LIMIT)]
    pagination = {"page": context["page"], "limit": LIMIT, "total_results": PAGES * LIMIT, "total_pages": PAGES}
    return await reply(*films, pagination=pagination)(request)


@pytest.fixture
async def llm() -> AsyncIterator[LlmServer]:
    """Run a server with a hundred films."""
    async with LlmServer() as server:
        server.answer = paging
        yield server


@pytest.fixture
async def service(llm: LlmServer, compiled: Path) -> AsyncIterator[Service]:
    """Run the service in front of it."""
    async with running(compiled, llm_server_url=llm.url, request_timeout=5.0) as started:
        yield started


async def page(service: Service, number: int, **fields: Any) -> list[int]:
    """Ask for a page and return the numbers of its films, counted from 1."""
    answer = await service.recommend("아무 영화나", page=number, limit=LIMIT, **fields)
    assert answer["data"]["degraded"] is False
    assert answer["total_results"] == PAGES * LIMIT
    return [movie["id"] - 900_000_000 + 1 for movie in answer["movies"]]


def films_of(number: int) -> list[int]:
    """Return the films that a page should have."""
    return list(range((number - 1) * LIMIT + 1, number * LIMIT + 1))


@pytest.mark.parametrize("order", [(1, 2, 3), (1, 5), (3, 1, 3), (5, 4, 3, 2, 1, 5), (20, 1, 2, 20)])
async def test_every_page_has_its_films_in_whatever_order_it_is_asked_for(service: Service, llm: LlmServer, order: tuple[int, ...]) -> None:
    for number in order:
        assert await page(service, number) == films_of(number)
    assert len(llm.requests) == len(set(order))


async def test_pages_asked_for_at_once_do_not_mix(service: Service, llm: LlmServer) -> None:
    llm.answer = slow(0.05, paging)
    numbers = [1, 2, 2, 3, 5, 2, 4, 1]
    assert await asyncio.gather(*(page(service, number) for number in numbers)) == [films_of(number) for number in numbers]
    assert len(llm.requests) == len(set(numbers))
    assert [await page(service, number) for number in (1, 2, 3, 4)] == [films_of(number) for number in (1, 2, 3, 4)]


async def test_others_are_not_kept_waiting_by_one_in_a_hurry(service: Service, llm: LlmServer) -> None:
    """The first caller has 0.2 s; another joins its call, which goes on when the first has left."""
    llm.answer = slow(0.6, paging)
    hurried = asyncio.create_task(service.recommend("아무 영화나", limit=LIMIT, headers={"X-Request-Timeout-Ms": "200"}))
    async with asyncio.timeout(5):
        while not llm.in_flight:
            await asyncio.sleep(0.005)
    patient = asyncio.create_task(page(service, 1))
    assert (await hurried)["data"]["degraded_reason"] == "llm_timeout"
    assert await patient == films_of(1)
    assert len(llm.requests) == 1


async def test_one_in_a_hurry_leaves_a_call_that_others_wait_for(service: Service, llm: LlmServer) -> None:
    llm.answer = slow(0.5, paging)
    patient = asyncio.create_task(page(service, 1))
    async with asyncio.timeout(5):
        while not llm.in_flight:
            await asyncio.sleep(0.005)
    hurried = await service.recommend("아무 영화나", limit=LIMIT, headers={"X-Request-Timeout-Ms": "150"})
    assert hurried["data"]["degraded_reason"] == "llm_timeout"
    assert await patient == films_of(1)
    assert len(llm.requests) == 1


async def test_a_later_page_on_which_the_model_has_nothing_is_not_empty(service: Service, llm: LlmServer) -> None:
    llm.answer = raw_reply(b'{"success": true, "movies": []}')
    answer = await service.recommend("아무 영화나", page=2, limit=LIMIT)
    assert answer["data"]["degraded_reason"] == "llm_empty"
    assert answer["movies"]


async def test_behind_the_models_last_page_there_is_nothing(service: Service, llm: LlmServer) -> None:
    await page(service, PAGES)
    assert await page(service, PAGES + 1) == []
    assert len(llm.requests) == 1


async def test_breakers_count_a_timeout_of_a_shared_call(service: Service, llm: LlmServer, compiled: Path) -> None:
    llm.answer = hang()
    async with running(compiled, llm_server_url=llm.url, request_timeout=0.3, llm_breaker_failures=2) as impatient:
        for number in range(2):
            answer = await impatient.recommend(f"영화 {number}")
            assert answer["data"]["degraded_reason"] == "llm_timeout"
        assert (await impatient.recommend("영화"))["data"]["degraded_reason"] == "breaker_open"


async def test_a_failed_page_is_asked_for_again(service: Service, llm: LlmServer) -> None:
    llm.next_answers = [garbage()]
    assert (await service.recommend("아무 영화나", limit=LIMIT))["data"]["degraded"] is True
    assert await page(service, 1) == films_of(1)
