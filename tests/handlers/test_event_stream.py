"""Events are written as browsers and Spring read them, with heartbeats while nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, make_mocked_request

from opuscine.handlers.event_stream import Event, send_events, wants_events


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
    assert wants_events(make_mocked_request("POST", "/", headers={"Accept": accept})) is wanted


async def test_comments_keep_a_waiting_stream_alive() -> None:
    release = asyncio.Event()

    async def events() -> AsyncGenerator[Event, None]:
        await release.wait()
        yield Event("done", {})

    async def handler(request: web.Request) -> web.StreamResponse:
        return await send_events(request, events(), headers=dict, heartbeat_s=0.01)

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestServer(app) as server, aiohttp.ClientSession() as caller, caller.get(server.make_url("/")) as response:
        assert await response.content.readline() == b": waiting\n"
        release.set()
        assert (await response.content.read()).endswith(b"event: done\ndata: {}\n\n")
