"""A request that is answered at once is answered as it would be the ordinary way, is guarded by the same, and counted once."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from opuscine.app import create_app
from opuscine.fast_path import FastMiddleware, FastPath, FastRoutes, fast_path
from opuscine.identity.keys_editor import revoke_key
from opuscine.keys import AUTHENTICATOR, CONNECTIONS, FAST_PATH, LIFECYCLE, READ_LIMIT
from opuscine.middlewares.body import Body
from opuscine.settings import Settings
from support.door import JWT, ORIGIN, OTT, Keys, bearer, token
from support.llm_server import LlmServer
from support.metrics_page import scrape
from support.service import Service, running

RECOMMEND = "/api/movies/recommend"
WISH = {"message": "비 오는 날 볼만한 잔잔한 영화", "user_id": "42", "limit": 3}
RATES = {"rate_limit_read": "50/hour", "rate_limit_recommend": "50/hour"}
MOMENTARY = re.compile(r'"[a-z_]*(?:_ms|time|seconds|as_of)[a-z_]*":(?:"[^"]*"|[0-9.]+)')
LISTS = ("vary", "access-control-expose-headers")  # of which the order says nothing
UNLIKE = {"date", "content-length", "x-request-id", "server-timing"}  # differ from one answer to the next

Call = tuple[str, str, Mapping[str, str], object]

FAST: dict[str, Call] = {
    "a film": ("GET", OTT, {}, None),
    "a film, here": ("GET", f"{OTT}?region=KR", {}, None),
    "a series": ("GET", "/api/tv/66732/ott", {}, None),
    "a film, traced and in a hurry": (
        "GET",
        OTT,
        {
            "X-Request-Id": "a-1",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "tracestate": "a=b",
            "X-Request-Timeout-Ms": "900",
        },
        None,
    ),
    "a film, under an id that is none": ("GET", OTT, {"X-Request-Id": "a b"}, None),
    "a wish": ("POST", RECOMMEND, {}, WISH),
    "a wish, under the old name": ("POST", "/recommend", {}, WISH),
    "a wish for JSON": ("POST", RECOMMEND, {"Accept": "application/json, text/event-stream;q=0.5"}, WISH),
}
ORDINARY: dict[str, Call] = {
    "a page's": ("GET", OTT, {"Origin": ORIGIN}, None),
    "what the caller holds": ("GET", OTT, {"If-None-Match": "*"}, None),
    "only the head": ("HEAD", OTT, {}, None),
    "the last of its connection": ("GET", OTT, {"Connection": "close"}, None),
    "without a key": ("GET", OTT, {"X-Api-Key": ""}, None),
    "with a wrong key": ("GET", OTT, {"X-Api-Key": "oc_aaaaaaaa_" + "b" * 43}, None),
    "with a key that may not": ("GET", OTT, {"X-Api-Key": "watcher"}, None),
    "with a body": ("GET", OTT, {}, {"a": 1}),
    "nowhere": ("GET", "/nowhere", {}, None),
    "no region": ("GET", f"{OTT}?region=kr", {}, None),
    "a fresh wish": ("POST", RECOMMEND, {"Cache-Control": "no-cache"}, WISH),
    "a wish in other words": ("POST", RECOMMEND, {}, {**WISH, "message": "다른 영화"}),
    "a wish that is none": ("POST", RECOMMEND, {}, {**WISH, "limit": 0}),
    "a wish of another kind": ("POST", RECOMMEND, {"Content-Type": "text/plain"}, WISH),
    "a wish for events": ("POST", RECOMMEND, {"Accept": "text/event-stream"}, WISH),
    "a wish, packed": ("POST", RECOMMEND, {"Content-Encoding": "gzip"}, WISH),
}


async def ask(service: Service, call: Call, keys: Keys) -> tuple[int, list[tuple[str, str]], list[str], str]:
    """Return status, headers, phases and body of an answer, without what differs from one to the next."""
    method, path, headers, body = call
    given = {**keys["backend"], **{name: keys.named.get(value, value) for name, value in headers.items()}}
    async with service.caller.request(method, service.url + path, headers=given, json=body) as response:
        text = await response.text()
        request_id = response.headers["X-Request-Id"]
        assert request_id == headers.get("X-Request-Id") or len(request_id) == 32
        shown = [(name.lower(), value) for name, value in response.headers.items() if name.lower() not in (*UNLIKE, *LISTS, "ratelimit")]
        shown += [(name, part.strip()) for name in LISTS for value in response.headers.getall(name, []) for part in value.split(",")]
        shown += [("ratelimit", value.partition(";t=")[0]) for value in response.headers.getall("RateLimit", [])]
        phases = [part.strip().partition(";")[0] for part in response.headers.get("Server-Timing", "").split(",")]
        return response.status, sorted(shown), phases, MOMENTARY.sub("", text.replace(request_id, ""))


@pytest.mark.parametrize("origins", ["", ORIGIN])
@pytest.mark.parametrize("name", [*FAST, *ORDINARY])
async def test_both_ways_answer_and_count_alike(compiled: Path, tmp_path: Path, name: str, origins: str) -> None:
    keys = Keys.of(tmp_path, backend="read recommend act_as admin metrics", watcher="metrics")
    given = {**FAST, **ORDINARY}[name]
    async with AsyncExitStack() as stack:
        llm = await stack.enter_async_context(LlmServer())
        settings = {
            **keys.settings,
            "llm_server_url": llm.url,
            "cors_origins": origins,
            "rate_limit_read": "50/hour",
            "rate_limit_recommend": "50/hour",
        }
        fast, ordinary = [await stack.enter_async_context(running(compiled, fast=way, **settings)) for way in (True, False)]
        answers, counts = [], []
        for service in (fast, ordinary):
            for kept in (FAST["a film"], FAST["a film, here"], FAST["a series"], FAST["a wish"]):
                await ask(service, kept, keys)
            answers.append(await ask(service, given, keys))
            page = await scrape(service.caller, service.url, keys["watcher"])
            counts.append({sample: value for sample, value in page.samples.items() if is_counted(sample[0])})
    assert answers[0] == answers[1]
    assert counts[0] == counts[1]
    assert len(counts[0]) > 40
    assert answered(fast) == (1 if name in FAST or (name == "a page's" and not origins) else 0)


def is_counted(name: str) -> bool:
    """Say whether a sample counts what was done, and not how long that took, what it weighed, or what the machine did."""
    return not name.startswith(("process_", "python_", "opuscine_event_loop", "system_", "opuscine_network")) and not name.endswith(
        ("_bucket", "_sum", "_seconds", "_bytes", "_bytes_total", "_created", "_time")
    )


def answered(service: Service) -> int:
    """Return how many requests the fast path has answered."""
    path = service.app[FAST_PATH]
    assert path is not None
    return path.answered


def head(path: str, key: str, *lines: str) -> bytes:
    """Write a request without a body."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", f"X-Api-Key: {key}", *lines, "", ""]).encode()


class Wire:
    """A connection on which a test says what is sent together."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, bytes]:
        """Read one answer."""
        async with asyncio.timeout(10):
            read = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line.split(":")[1]) for line in read.split("\r\n") if line.lower().startswith("content-length"))
            return int(read.split()[1]), await self.reader.readexactly(length)


@asynccontextmanager
async def wired(service: Service) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


async def test_requests_that_come_together_are_answered_in_their_order(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read recommend")
    key = keys.named["backend"]
    async with running(compiled, **keys.settings) as service, wired(service) as wire:
        series = "/api/tv/66732/ott"
        for path in (OTT, series):
            wire.writer.write(head(path, key))
            await wire.answer()
        wire.writer.write(head(OTT, key) + head("/health", key) + head(series, key))
        bodies = [(await wire.answer())[1] for _ in range(3)]
        assert [b"ott_links" in body for body in bodies] == [True, False, True]
        assert answered(service) == 0
        for _ in range(3):  # one after the other, in two pieces each
            request = head(OTT, key)
            wire.writer.write(request[:40])
            await wire.writer.drain()
            wire.writer.write(request[40:])
            assert (await wire.answer())[1] == bodies[0]
        assert answered(service) == 3
        assert service.app[CONNECTIONS].info.idle >= 1


async def test_a_body_in_pieces_is_answered_as_one_that_is_whole(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read recommend act_as")
    body = json.dumps(WISH).encode()
    request = head(RECOMMEND, keys.named["backend"], f"Content-Length: {len(body)}").replace(b"GET", b"POST")
    async with LlmServer() as llm, running(compiled, **keys.settings, llm_server_url=llm.url) as service, wired(service) as wire:
        for pieces in ([request + body], [request + body], [request, body], [request + body[:9], body[9:20], body[20:]], [request + body]):
            for piece in pieces:
                wire.writer.write(piece)
                await wire.writer.drain()
                await asyncio.sleep(0.01)  # so that they do come one by one; nothing depends on it
            assert (await wire.answer())[0] == 200
        assert len(llm.requests) == 1
        assert answered(service) >= 2


async def test_who_calls_too_often_is_refused_and_counted_once(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read recommend")
    async with running(compiled, **keys.settings, rate_limit_read="4/hour") as service:
        statuses = [(await ask(service, FAST["a film"], keys))[0] for _ in range(6)]
        assert statuses == [200] * 4 + [429] * 2
        assert answered(service) == 3
        info = service.app[READ_LIMIT].info
        assert info is not None
        assert (info.allowed, info.denied) == (4, 2)


async def test_a_key_that_is_taken_away_opens_nothing_from_then_on(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read recommend")
    async with running(compiled, **keys.settings) as service:
        for _ in range(2):
            assert (await ask(service, FAST["a film"], keys))[0] == 200
        revoke_key(keys.path, keys.named["backend"][3:11])
        await service.app[AUTHENTICATOR].reload()
        assert (await ask(service, FAST["a film"], keys))[0] == 401
        assert answered(service) == 1


async def test_a_service_that_drains_closes_its_connections(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read recommend")
    async with running(compiled, **keys.settings) as service:
        await ask(service, FAST["a film"], keys)
        service.app[LIFECYCLE].draining = True
        _, headers, *_ = await ask(service, FAST["a film"], keys)
        assert ("connection", "close") in headers
        assert answered(service) == 0


async def test_a_token_that_was_believed_before_is_answered_at_once(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read")
    async with running(compiled, **keys.settings, **JWT) as service:
        mine = bearer(token("user-1", scope="read"))
        for _ in range(3):
            assert (await ask(service, ("GET", OTT, {**mine, "X-Api-Key": ""}, None), keys))[0] in {200, 401}


async def test_what_fails_here_goes_the_ordinary_way(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read recommend")
    async with running(compiled, **keys.settings) as service:
        first = await ask(service, FAST["a film"], keys)

        class Broken(FastPath):
            def _answer(self, *_: Any) -> bytes | None:
                raise RuntimeError("broken on purpose")

        path = service.app[FAST_PATH]
        assert path is not None
        path.__class__ = Broken
        assert (await ask(service, FAST["a film"], keys))[3] == first[3]


def test_a_middleware_that_cannot_take_it_keeps_all_requests_off() -> None:
    @web.middleware
    async def of_another_maker(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request)

    own = Body(operation_of=lambda _: None, limit_bytes=1)
    routes = FastRoutes(find={}, handlers={})
    assert fast_path(web.Application(), [own], routes) is not None
    assert fast_path(web.Application(), [own, of_another_maker], routes) is None


def test_every_middleware_of_ours_can_take_it(compiled: Path) -> None:
    app = create_app(Settings(_env_file=None, cache_dir=compiled, cors_origins=ORIGIN))
    assert all(isinstance(middleware, FastMiddleware) for middleware in app.middlewares)
    assert app[FAST_PATH] is not None
