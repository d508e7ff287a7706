"""Dispatch leads every request where aiohttp would, and the middlewares see what they would see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from opuscine.connections.dispatch import PRIVATE_NAMES, Dispatch
from opuscine.connections.expectation import expect_later
from opuscine.connections.open_connections import OpenConnections
from opuscine.connections.runner import ConnectionRunner

BOUNDS = {"header_s": 5.0, "body_s": 5.0, "idle_s": 5.0}
CALLS = (
    *(("GET", path) for path in ("/", "/films/popular", "/films/12", "/films/%31%32", "/films/a%2Fb", "/films/12/", "/films", "/no", "//")),
    *(("GET", path) for path in ("/films/12?region=KR", "/films/12?region=US", "/films/%EA%B8%B0", "/films/../films/12", "/inner/x")),
    *((method, "/films/12") for method in ("HEAD", "POST", "PUT", "OPTIONS")),
    ("GET", f"/films/{'1' * 100}"),
)


def application() -> web.Application:
    """Build an application whose answers say how the request was seen, by the middlewares and by the handler."""

    def seen(request: web.Request) -> str:
        resource = request.match_info.route.resource
        return f"{request.method} {resource.canonical if resource else None} {dict(request.match_info)} {dict(request.query)}"

    async def handle(request: web.Request) -> web.Response:
        assert request.match_info.current_app is request.app
        return web.Response(text=seen(request), headers={"X-App": request.app["name"]})

    @web.middleware
    async def outer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = error
        response.headers["X-Outer"] = f"{seen(request)} {response.headers.get('X-Inner')} {handler.__name__}".encode().hex()
        return response

    @web.middleware
    async def inner(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        response.headers["X-Inner"] = seen(request).encode().hex()
        return response

    app = web.Application(middlewares=[outer, inner])
    app["name"] = "outer"
    for method, path in (("GET", "/"), ("GET", "/films/popular"), ("GET", "/films/{id}"), ("POST", "/films/{id}"), ("HEAD", "/films/{id}")):
        app.router.add_route(method, path, handle, expect_handler=expect_later)
    return app


@asynccontextmanager
async def serving(runner: web.AppRunner) -> AsyncIterator[str]:
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def answers(runner: web.AppRunner, expect: bool | None = None) -> list[tuple[int, dict[str, str], str]]:
    """Return what each of the calls is answered, each made twice."""
    found = []
    async with serving(runner) as url, aiohttp.ClientSession() as caller:
        for method, path in CALLS * 2:
            async with caller.request(
                method, URL(url + path, encoded=True), expect100=bool(expect), data=b"x" if expect else None
            ) as response:
                headers = {name: value for name, value in response.headers.items() if name != "Date"}
                found.append((response.status, headers, await response.text()))
    return found


@pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")
@pytest.mark.filterwarnings("ignore:returning HTTPException object:DeprecationWarning")
@pytest.mark.parametrize("expect", [False, True])
@pytest.mark.parametrize("nested", [False, True])
async def test_requests_are_led_where_aiohttp_leads_them(expect: bool, nested: bool) -> None:
    apps = [application(), application()]
    if nested:
        for app in apps:
            app.add_subapp("/inner/", application())
    connections = OpenConnections(limit=10, **BOUNDS)
    ours = await answers(ConnectionRunner(apps[0], connections, access_log=None), expect)
    assert ours == await answers(web.AppRunner(apps[1], access_log=None), expect)
    assert {status for status, _, _ in ours} == {200, 404, 405}


async def test_no_more_targets_are_kept_than_there_is_room_for() -> None:
    app = web.Application()

    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=request.match_info["id"])

    app.router.add_get("/films/{id}", handle)
    runner = ConnectionRunner(app, OpenConnections(limit=10, **BOUNDS), access_log=None)
    async with serving(runner) as url, aiohttp.ClientSession() as caller:
        assert runner.server is not None
        few = Dispatch(app, kept_targets=3)
        runner.server.request_handler = few
        for number in (*range(8), *range(8)):
            async with caller.get(f"{url}/films/{number}") as response:
                assert await response.text() == str(number)
        assert 0 < len(few) <= 3


def test_the_private_names_that_are_used_are_those_of_this_aiohttp() -> None:
    """Another minor version may name or use them otherwise; then the tests above decide whether requests still arrive."""
    assert version("aiohttp").startswith("3.14.")
    app = web.Application()
    assert [name for name in PRIVATE_NAMES[web.Application] if not hasattr(app, name)] == []
    assert [name for name in PRIVATE_NAMES[web.Request] if name not in web.Request.ATTRS] == []
