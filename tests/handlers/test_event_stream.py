"""Events are written as browsers and Spring read them, with heartbeats while nothing happens."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from functools import partial

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from opuscine.context import RequestContext
from opuscine.guard.deadline import Deadline
from opuscine.handlers.event_stream import Event, send_events, wants_events
from opuscine.keys import CONTEXT, LIFECYCLE, Lifecycle
from opuscine.redis_gateway import RedisBudget
from opuscine.telemetry.phases import Phases


def test_an_event_is_one_line_of_json_under_its_name_and_number() -> None:
    assert Event("movie", {"title": "한\n줄"}).encode(3) == 'id: 3\nevent: movie\ndata: {"title":"한\\n줄"}\n\n'.encode()


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/event-stream", True),
        ("text/event-stream;charset=utf-8, */*", True),
        ("text/event-stream, application/json", True),
        ("application/json, text/event-stream", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_a_stream_is_sent_to_those_who_ask_for_it(accept: str, wanted: bool) -> None:
    assert wants_events({"Accept": accept}) is wanted


def serve_events(events: AsyncGenerator[Event, None], *, heartbeat_s: float = 60.0) -> web.Application:
    """Make an application that sends these events, with the parts that a stream looks up."""

    async def handler(request: web.Request) -> web.StreamResponse:
        request[CONTEXT] = RequestContext("r-1", "", "", "", Deadline(60.0), partial(RedisBudget, 1.0, time.monotonic), Phases())
        return await send_events(request, events, headers=dict, heartbeat_s=heartbeat_s)

    app = web.Application()
    app[LIFECYCLE] = Lifecycle()
    app.router.add_get("/", handler)
    return app


async def test_a_stream_that_the_process_cannot_finish_ends_with_a_problem() -> None:
    left = asyncio.Event()

    async def events() -> AsyncGenerator[Event, None]:
        yield Event("movie", {})
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            left.set()

    app = serve_events(events())
    async with TestServer(app) as server, aiohttp.ClientSession() as caller, caller.get(server.make_url("/")) as response:
        await response.content.readuntil(b"\n\n")
        app[LIFECYCLE].time_is_up.set()
        last = (await response.content.read()).decode()
    name, data = last.splitlines()[1:3]
    assert name == "event: error"
    problem = json.loads(data.removeprefix("data: "))
    assert (problem["code"], problem["status"], problem["request_id"]) == ("unavailable", 503, "r-1")
    assert left.is_set()


async def test_comments_keep_a_waiting_stream_alive() -> None:
    release = asyncio.Event()

    async def events() -> AsyncGenerator[Event, None]:
        await release.wait()
        yield Event("done", {})

    app = serve_events(events(), heartbeat_s=0.01)
    async with TestServer(app) as server, aiohttp.ClientSession() as caller, caller.get(server.make_url("/")) as response:
        assert await response.content.readline() == b": waiting\n"
        release.set()
        assert (await response.content.read()).endswith(b"event: done\ndata: {}\n\n")
