"""Two processes with one Redis answer as one: what one has given the other gives again, and goes on from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.door import eventually
from support.llm_server import LlmServer, garbage, reply
from support.process import ServiceProcess, serving
from support.redis_server import RedisServer

LIMIT = 3


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def llm() -> AsyncIterator[LlmServer]:
    async with LlmServer() as server:
        yield server


@pytest.fixture
async def pair(tmp_path: Path, llm: LlmServer, redis: RedisServer) -> AsyncIterator[tuple[ServiceProcess, ServiceProcess]]:
    settings: dict[str, Any] = {"llm_server_url": llm.url, "redis_url": redis.url, "cache_dir": tmp_path / "cache"}
    async with serving(tmp_path, **settings) as one, serving(tmp_path, **settings) as other:
        yield one, other


async def ask(service: ServiceProcess, page: int = 1, **fields: Any) -> dict[str, Any]:
    """Ask for a page."""
    asked = {"message": "아무 영화나", "page": page, "limit": LIMIT, **fields}
    async with service.caller.post(f"{service.url}/recommend", json=asked) as response:
        body: dict[str, Any] = await response.json()
        assert response.status == 200, body
        return body


async def in_redis(redis: RedisServer, count: int) -> None:
    """Wait until so many answers lie in Redis."""

    async def all_written() -> bool:
        return len(redis.command("KEYS", "opuscine:answer:*")) == count

    await eventually(all_written, what=f"{count} answers are in Redis")


def numbers(answer: dict[str, Any]) -> list[int]:
    return [movie["id"] - 900_000_000 for movie in answer["movies"]]


async def always_the_same(request: web.Request) -> web.StreamResponse:
    """Answer every page with the same films and three more for each page, as a model does that does not page."""
    page = (await request.json())["context"]["page"]
    shown = [{"id": 900_000_000 + n, "title": f"영화 {n}"} for n in range(1, page * LIMIT + 1)]
    return await reply(*shown, pagination={"total_results": 99, "total_pages": 33, "page": page, "limit": LIMIT})(request)


async def test_a_page_goes_on_from_what_another_process_has_given(
    pair: tuple[ServiceProcess, ServiceProcess], llm: LlmServer, redis: RedisServer
) -> None:
    """Pages 1, 2 and 3 are asked of one process and the other in turn, and nothing is given twice."""
    llm.answer = always_the_same
    one, other = pair
    seen: list[int] = []
    for number, service in ((1, one), (2, other), (3, one), (4, other)):
        answer = await ask(service, number)
        assert answer["data"]["source"] == "llm"
        seen += numbers(answer)
        await in_redis(redis, number)
    assert seen == list(range(1, 4 * LIMIT + 1))
    again = [await ask(service, number) for number in (1, 2, 3, 4) for service in pair]
    assert [answer["data"]["source"] for answer in again] == ["cache"] * 8
    assert [number for answer in again[::2] for number in numbers(answer)] == seen
    assert len(llm.requests) == 4


async def test_the_catalogues_page_does_not_repeat_what_the_model_gave_elsewhere(
    pair: tuple[ServiceProcess, ServiceProcess], llm: LlmServer, redis: RedisServer
) -> None:
    one, other = pair
    llm.answer = garbage()
    chosen = await ask(one, message="2019년 한국 스릴러")  # what the catalogue would give first
    llm.answer = reply(*({"id": movie["id"], "title": movie["title"]} for movie in chosen["movies"]))
    first = await ask(one, message="2019년 한국 스릴러")
    await in_redis(redis, 1)
    llm.answer = garbage()
    second = await ask(other, 2, message="2019년 한국 스릴러")
    assert (first["data"]["degraded"], second["data"]["degraded"]) == (False, True)
    assert numbers(first)
    assert not set(numbers(first)) & set(numbers(second))


async def test_users_of_one_server_are_kept_apart_in_what_processes_share(
    pair: tuple[ServiceProcess, ServiceProcess], llm: LlmServer, redis: RedisServer
) -> None:
    one, other = pair
    for count, user in enumerate(("alice", "bob", ""), start=1):
        llm.answer = reply({"id": 900_000_000 + count, "title": f"영화 {count}"})
        assert numbers(await ask(one, user_id=user)) == [count]
    await in_redis(redis, 3)
    llm.answer = garbage()
    for count, user in enumerate(("alice", "bob", ""), start=1):
        answer = await ask(other, user_id=user)
        assert (numbers(answer), answer["data"]["source"]) == ([count], "cache")
    assert (await ask(other, user_id="carol"))["data"]["source"] == "catalogue"
