"""How often callers may call: by key, user or address, exactly, over processes that share a Redis, and without it."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from opuscine.identity.keys_editor import new_key
from support.door import JWT, OTT, Answer, Keys, ask, bearer, token
from support.hygiene import watched_session
from support.process import ServiceProcess, serving
from support.redis_server import RedisServer, free_port
from support.service import Service, running

RECOMMEND = "/api/movies/recommend"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


async def read(service: Service, headers: Mapping[str, str] | None = None, path: str = OTT) -> Answer:
    return await ask(service.caller, service.url + path, headers)


async def wish(service: Service, headers: Mapping[str, str] | None = None, **fields: Any) -> tuple[int, Mapping[str, str]]:
    async with service.caller.post(service.url + RECOMMEND, json={"message": "영화", "limit": 1, **fields}, headers=headers) as response:
        await response.read()
        return response.status, response.headers


def limit_of(headers: Mapping[str, str]) -> tuple[str, int, int]:
    """Read `RateLimit`: the policy's name, what remains, and the seconds until more does."""
    found = re.fullmatch(r'"([a-z]+)";r=([0-9]+);t=([0-9]+)', headers["RateLimit"])
    assert found is not None
    return found[1], int(found[2]), int(found[3])


async def test_every_counted_answer_says_what_is_left_and_the_refusal_when_to_come_back(compiled: Path) -> None:
    async with running(compiled, rate_limit_read="3/minute", rate_limit_recommend="2/hour") as service:
        for left in (2, 1, 0):
            answer = await read(service)
            assert answer.status == 200
            assert answer.headers["RateLimit-Policy"] == '"read";q=3;w=60'
            name, remaining, seconds = limit_of(answer.headers)
            assert (name, remaining) == ("read", left)
            assert 0 < seconds <= 60
        async with service.caller.get(service.url + OTT) as response:
            problem = await response.json(content_type=None)
            assert (response.status, problem["code"]) == (429, "rate_limited")
            assert response.headers["Content-Type"].startswith("application/problem+json")
            assert 1 <= int(response.headers["Retry-After"]) <= 2
            name, remaining, seconds = limit_of(response.headers)
            assert (name, remaining) == ("read", 0)
            assert 18 <= seconds <= 20  # the true time, where Retry-After is capped
        status, headers = await wish(service)  # another limit
        assert (status, headers["RateLimit-Policy"]) == (200, '"recommend";q=2;w=3600')
        for path in ("/health", "/openapi.json", "/nothing"):
            assert "RateLimit" not in (await read(service, path=path)).headers


async def test_what_is_refused_or_wrong_counts_as_what_it_cost(compiled: Path) -> None:
    """A wish that can't be read costs no recommendation; a reader's mistake counts like any other reading."""
    async with running(compiled, rate_limit_read="2/hour", rate_limit_recommend="1/hour") as service:
        for fields in ({"message": ""}, {"message": "영화", "page": -1}):
            status, headers = await wish(service, **fields)
            assert (status, "RateLimit" in headers) == (422, False)
        assert (await wish(service))[0] == 200
        assert (await wish(service))[0] == 429
        assert [(await read(service, path="/api/movies/0/ott")).status for _ in range(3)] == [422, 422, 429]
        assert (await read(service)).status == 429
        async with service.caller.head(service.url + OTT) as response:
            assert response.status == 429


async def test_readers_are_counted_by_key_and_by_user(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, one="read", two="read")
    async with running(compiled, **keys.settings, **JWT, rate_limit_read="2/hour") as service:
        for headers in (keys["one"], keys["two"], bearer(token("alice")), bearer(token("bob")), bearer(token("one"))):
            assert [(await read(service, headers)).status for _ in range(3)] == [200, 200, 429]
        # One caller, whichever header or token it shows, and whoever it pretends to be.
        assert (await read(service, bearer(keys.named["one"]))).status == 429
        assert (await read(service, bearer(token("alice", jti="another")))).status == 429
        assert (await read(service, {**keys["one"], "X-Forwarded-For": "192.0.2.1"})).status == 429


async def test_a_new_key_of_the_same_name_shares_its_limit(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read")
    second = new_key(keys.path, "backend", ["read"]).key
    async with running(compiled, **keys.settings, rate_limit_read="1/hour") as service:
        assert (await read(service, keys["backend"])).status == 200
        assert (await read(service, {"X-Api-Key": second})).status == 429


async def test_recommendations_are_counted_by_user(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, server="recommend act_as", script="recommend")
    async with running(compiled, **keys.settings, **JWT, rate_limit_recommend="1/hour") as service:

        async def statuses(headers: Mapping[str, str], *users: str) -> list[int]:
            return [(await wish(service, headers, **({"user_id": user} if user else {})))[0] for user in users]

        assert await statuses(keys["server"], "a", "b", "a", "", "b", "") == [200, 200, 429, 200, 429, 429]
        assert await statuses(keys["script"], "a", "b", "") == [200, 429, 429]  # it may not name users, so they are all itself
        assert await statuses(bearer(token("a")), "x", "y", "") == [200, 429, 429]
        assert await statuses(bearer(token("b")), "a") == [200]


async def test_whoever_is_not_known_is_counted_by_address_whatever_it_says(compiled: Path) -> None:
    async with running(compiled, rate_limit_recommend="2/hour", rate_limit_read="2/hour") as service:
        made_up = ({"X-Forwarded-For": f"192.0.2.{n}", "X-Api-Key": f"oc_{n}", "Authorization": f"Bearer {n}"} for n in range(10))
        assert [(await wish(service, next(made_up), user_id=f"user-{n}"))[0] for n in range(4)] == [200, 200, 429, 429]
        assert [(await read(service, next(made_up))).status for _ in range(4)] == [200, 200, 429, 429]


async def test_behind_a_trusted_proxy_addresses_are_told_apart(compiled: Path) -> None:
    async with running(compiled, rate_limit_read="1/hour", trusted_proxies="127.0.0.1") as service:

        async def status(address: str) -> int:
            return (await read(service, {"X-Forwarded-For": address})).status

        assert [await status(address) for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1:4711")] == [200, 200, 429, 429]
        assert await status("198.51.100.7, 192.0.2.1") == 429
        # An IPv6 caller owns a whole /64, so that it could come from a new address each time.
        assert [await status(f"2001:db8::{n}") for n in range(1, 4)] == [200, 429, 429]
        assert await status("2001:db8:0:1::1") == 200


@pytest.mark.parametrize("with_redis", [False, True], ids=["in the process", "in Redis"])
async def test_a_burst_admits_exactly_the_limit(compiled: Path, redis: RedisServer, with_redis: bool) -> None:
    redis.command("FLUSHALL")
    shared = {"redis_url": redis.url} if with_redis else {}
    async with running(compiled, rate_limit_read="50/hour", **shared) as service:
        answers = await asyncio.gather(*(read(service) for _ in range(120)))
        assert Counter(answer.status for answer in answers) == {200: 50, 429: 70}
        assert sorted(limit_of(answer.headers)[1] for answer in answers if answer.status == 200) == list(range(50))
        counted = (await service.get("/admin/stats"))["limits"]["read"]
        assert counted == {"allowed": 50, "denied": 70, "counted_locally": 0, "away": False}
        assert len(redis.command("KEYS", "opuscine:limit:read:*")) == int(with_redis)


@pytest.fixture
async def two_processes(tmp_path: Path, compiled: Path, redis: RedisServer) -> AsyncIterator[list[ServiceProcess]]:
    """Give two processes that share a Redis and admit 100 a minute."""
    redis.command("FLUSHALL")
    settings = {"redis_url": redis.url, "rate_limit_read": "100/minute", "cache_dir": compiled}
    async with AsyncExitStack() as stack:
        first = asyncio.create_task(stack.enter_async_context(serving(tmp_path, **settings)))
        second = await stack.enter_async_context(serving(tmp_path, **settings))
        yield [await first, second]


async def test_two_processes_and_one_redis_admit_one_burst_together(two_processes: list[ServiceProcess]) -> None:
    """Of 500 requests at once, half of them to each, 100 are admitted, and as many as the rate has added by the time of the last."""
    async with watched_session(connector=aiohttp.TCPConnector(limit=0)) as caller:
        urls = [process.url for process in two_processes] * 250
        await asyncio.gather(*(ask(caller, f"{url}/health") for url in urls))  # so that the burst finds its connections
        began = time.monotonic()
        answers = await asyncio.gather(*(ask(caller, url + OTT) for url in urls))
        elapsed_s = time.monotonic() - began
        admitted = Counter(answer.status for answer in answers)
        assert set(admitted) == {200, 429}
        assert 100 <= admitted[200] <= 100 + math.floor(elapsed_s * 100 / 60)

        shares = []
        for process in two_processes:
            async with caller.get(f"{process.url}/admin/stats") as response:
                counted = (await response.json())["limits"]["read"]
            assert (counted["counted_locally"], counted["away"]) == (0, False)
            shares.append(counted["allowed"])
        assert sum(shares) == admitted[200]
        assert min(shares) > 0

        # Then as many as the rate adds, whichever process is asked: up to a refusal, so that nothing is left over.
        total, last = admitted[200], answers[-1]
        while last.at < began + 2.5 or last.status == 200:
            last = await ask(caller, urls[total % 2] + OTT)
            total += last.status == 200
        first_counted = min(answer.at + answer.took_s for answer in answers)  # at the latest; `began` at the earliest
        shortest_s, longest_s = last.at - first_counted, last.at + last.took_s - began
        assert 100 + math.floor(shortest_s * 100 / 60) <= total <= 100 + math.floor(longest_s * 100 / 60)


async def test_without_redis_each_process_limits_alone_and_says_so_once(tmp_path: Path, compiled: Path) -> None:
    settings = {"redis_url": f"redis://127.0.0.1:{free_port()}", "rate_limit_read": "20/hour", "cache_dir": compiled}
    async with serving(tmp_path, **settings) as service:
        answers = [await ask(service.caller, service.url + OTT) for _ in range(30)]
        assert Counter(answer.status for answer in answers) == {200: 20, 429: 10}
        assert [limit_of(answer.headers)[1] for answer in answers[:20]] == list(range(19, -1, -1))
        async with service.caller.get(f"{service.url}/admin/stats") as response:
            stats = await response.json()
        assert stats["limits"]["read"] == {"allowed": 20, "denied": 10, "counted_locally": 30, "away": True}
        assert stats["redis"]["failures"]["unreachable"] >= 5
    said = [line for line in service.log if line["event"] == "rate limit counts in this process only"]
    assert [(line["level"], line["limiter"]) for line in said] == [("warning", "read")]
