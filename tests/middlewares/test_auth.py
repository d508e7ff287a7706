"""The door by itself: who comes in as whom, and what a refusal costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from pydantic import SecretStr
from structlog.testing import capture_logs

from opuscine.context import RequestContext
from opuscine.contract import ProblemError
from opuscine.guard.deadline import Deadline
from opuscine.handlers.docs import index
from opuscine.identity.attempts import Attempts
from opuscine.identity.authenticator import Authenticator, IdentitySettings
from opuscine.identity.caller import ANYBODY, NOBODY, Caller
from opuscine.identity.jwt import JwtSettings
from opuscine.identity.keys_editor import new_key
from opuscine.keys import CONTEXT
from opuscine.middlewares.auth import Auth, Everybody
from opuscine.operations import Operation
from opuscine.redis_gateway import RedisBudget
from support.door import bearer, token
from support.jwks_server import JwksServer
from support.manual_clock import ManualClock
from support.tokens import AUDIENCE, ISSUER, SECRET, jwk_of, rsa_key

OPEN = Operation("GET", "/", index, "getIndex", "", "", None)
READ = Operation("GET", "/films", index, "listFilms", "", "", None, scope="read")
JWT = JwtSettings(issuer=ISSUER, audience=AUDIENCE, algorithm="HS256", key=SecretStr(SECRET))


class Door:
    """The middleware with a real authenticator behind it."""

    def __init__(self, authenticator: Authenticator, *, budget: int = 20) -> None:
        self.clock = ManualClock()
        self.attempts = Attempts(budget=budget, clock=self.clock)
        self.operation: Operation | None = READ
        self.middleware = Auth(authenticator=lambda: authenticator, attempts=self.attempts, operation_of=lambda _: self.operation)
        self.context = context_of("192.0.2.1")

    async def knock(self, headers: Mapping[str, str] | None = None, *, client: str = "192.0.2.1", method: str = "GET") -> Caller:
        """Return who the handler behind the door was called by."""
        self.context = context_of(client)
        request = make_mocked_request(method, "/films", headers=CIMultiDict(headers or {}))
        request[CONTEXT] = self.context

        async def handler(request: web.Request) -> web.StreamResponse:
            return web.Response(text="films")

        self.response = await self.middleware(request, handler)
        return self.context.caller

    async def refusal(self, headers: Mapping[str, str] | None = None, *, client: str = "192.0.2.1") -> ProblemError:
        with pytest.raises(ProblemError) as caught:
            await self.knock(headers, client=client)
        return caught.value


def context_of(client: str) -> RequestContext:
    return RequestContext("request-1", "", "", client, Deadline(1), partial(RedisBudget, 1.0, time.monotonic))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def key(path: Path) -> dict[str, str]:
    return {"X-Api-Key": new_key(path, "backend", ["read"]).key}


@pytest.fixture
async def authenticator(path: Path, key: dict[str, str], session: aiohttp.ClientSession) -> AsyncIterator[Authenticator]:
    opened = await Authenticator.open(IdentitySettings(path, JWT), session=session)
    yield opened
    await opened.close()


@pytest.fixture
def door(authenticator: Authenticator) -> Door:
    return Door(authenticator, budget=3)


async def test_a_caller_with_the_scope_comes_in_under_its_name(door: Door, key: dict[str, str]) -> None:
    assert (await door.knock(key)).id == "key:backend"
    assert door.context.notes == {"caller": "backend"}
    assert (await door.knock(bearer(token("alice")))).id == "jwt:alice"
    assert door.context.notes == {"caller": "jwt"}  # users are not named in logs
    assert "auth" in door.context.phases.seconds
    assert door.response.headers["Vary"] == "Authorization, X-Api-Key"


async def test_a_caller_without_the_scope_is_known_and_refused(door: Door) -> None:
    problem = await door.refusal(bearer(token("alice", scope="recommend admin metrics act_as")))
    assert (problem.type.code, problem.headers) == ("forbidden", {})
    assert door.context.caller.id == "jwt:alice"


async def test_nobody_is_refused_with_the_way_in(door: Door) -> None:
    with capture_logs() as lines:
        problem = await door.refusal()
    assert problem.type.code == "unauthenticated"
    assert problem.headers == {"WWW-Authenticate": 'Bearer realm="opuscine"'}
    assert lines == [{"event": "authentication refused", "log_level": "debug", "reason": "missing", "request_id": "request-1"}]
    assert len(door.attempts) == 0


async def test_what_is_no_operation_passes_unseen(door: Door) -> None:
    """Addresses that lead nowhere, and preflights."""
    door.operation = None
    assert await door.knock(method="OPTIONS") is NOBODY
    assert await door.knock({"X-Api-Key": "wrong"}) is NOBODY
    assert len(door.attempts) == 0


async def test_an_open_operation_is_told_who_comes_and_turns_nobody_away(door: Door, key: dict[str, str]) -> None:
    door.operation = OPEN
    assert await door.knock() is NOBODY
    assert (await door.knock(key)).name == "backend"
    assert (await door.knock(bearer(token("alice")))).subject == "alice"
    for _ in range(10):
        assert await door.knock(bearer("wrong")) is NOBODY
    assert (await door.knock(key)).name == "backend"
    assert "Vary" not in door.response.headers
    door.operation = READ
    assert (await door.refusal({"X-Api-Key": "wrong"})).type.code == "too_many_failures"  # they counted


async def test_an_open_operation_waits_for_no_issuer(session: aiohttp.ClientSession) -> None:
    async with JwksServer(jwk_of(rsa_key(), "first")) as issuer:
        issuer.accepting.clear()
        settings = JwtSettings(issuer=ISSUER, audience=AUDIENCE, jwks_url=issuer.url)
        opening = asyncio.create_task(Authenticator.open(IdentitySettings(jwt=settings), session=session))
        door = Door(await opening)  # it has given up waiting
        door.operation = OPEN
        alice = bearer(token("alice", key=rsa_key(), algorithm="RS256", kid="first"))
        async with asyncio.timeout(1.5):
            while issuer.fetches < 2:
                assert await door.knock(alice) is NOBODY
                await asyncio.sleep(0.01)
        issuer.accepting.set()
        async with asyncio.timeout(5):
            while await door.knock(alice) is NOBODY:
                await asyncio.sleep(0.01)
        assert len(door.attempts) == 0
        await opening.result().close()


async def test_an_address_without_attempts_left_is_held_off_but_not_its_good_callers(door: Door, key: dict[str, str]) -> None:
    seen = bearer(token("alice"))
    await door.knock(seen)
    for _ in range(3):
        assert (await door.refusal(bearer("wrong"))).type.status == 401
    problem = await door.refusal(bearer("wrong"))
    assert (problem.type.status, problem.type.code) == (429, "too_many_failures")
    assert problem.headers == {"Retry-After": "2"}
    await door.knock(key)
    await door.knock(seen)
    assert (await door.refusal(bearer(token("bob")))).type.status == 429  # to look at it costs what the budget saves
    assert (await door.refusal()).type.status == 429
    assert (await door.refusal(bearer("wrong"), client="192.0.2.2")).type.status == 401
    door.clock.advance(19.5)
    problem = await door.refusal(bearer("wrong"))
    assert (problem.type.status, problem.headers) == (429, {"Retry-After": "1"})
    door.clock.advance(0.6)
    await door.knock(bearer(token("bob")))


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key"])
async def test_a_header_that_stands_there_twice_is_an_attempt(door: Door, key: dict[str, str], name: str) -> None:
    secret = key["X-Api-Key"]
    value = secret if name == "X-Api-Key" else f"Bearer {secret}"
    headers = CIMultiDict([(name, value), (name, value)])
    with capture_logs() as lines:
        problem = await door.refusal(headers)
    assert problem.detail == (await door.refusal()).detail
    assert [line["reason"] for line in lines] == ["ambiguous"]
    assert secret not in str(lines)
    assert len(door.attempts) == 1
    door.operation = OPEN
    assert await door.knock(headers) is NOBODY


async def test_with_authentication_off_everybody_may_do_everything() -> None:
    request = make_mocked_request("GET", "/films", headers={"X-Api-Key": "whatever"})
    request[CONTEXT] = context_of("192.0.2.1")

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response()

    await Everybody()(request, handler)
    assert request[CONTEXT].caller is ANYBODY
