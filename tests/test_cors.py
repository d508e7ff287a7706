"""Pages of allowed origins may call and read every answer; pages of others read nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDictProxy

from opuscine.cors import READABLE, allow_origins

PAGE = "https://page.example"
OTHER = "https://other.example"
Client = TestClient[web.Request, web.Application]


async def films(request: web.Request) -> web.Response:
    return web.Response(text="films", headers={"Vary": "Accept"})


async def fails(request: web.Request) -> web.Response:
    raise web.HTTPForbidden


@asynccontextmanager
async def serving(origins: Sequence[str]) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_route("GET", "/films", films)
    app.router.add_route("HEAD", "/films", films)
    app.router.add_route("POST", "/films/{id}", films)
    app.router.add_route("GET", "/fails", fails)
    allow_origins(app, origins)
    async with TestClient(TestServer(app)) as client:
        yield client


async def preflight(client: Client, path: str, origin: str, method: str, headers: str = "") -> tuple[int, CIMultiDictProxy[str]]:
    sent = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        sent["Access-Control-Request-Headers"] = headers
    async with client.options(path, headers=sent) as response:
        return response.status, response.headers


async def get(client: Client, path: str, **headers: str) -> Mapping[str, str]:
    async with client.get(path, headers=headers) as response:
        return response.headers


async def test_an_allowed_page_may_call_and_read() -> None:
    async with serving([PAGE]) as client:
        status, headers = await preflight(client, "/films/5", PAGE, "POST", "authorization,content-type, X-Request-Timeout-Ms")
        assert status == 200
        assert headers["Access-Control-Allow-Origin"] == PAGE
        assert headers["Access-Control-Allow-Methods"] == "POST"
        assert set(headers["Access-Control-Allow-Headers"].lower().split(",")) == {"authorization", "content-type", "x-request-timeout-ms"}
        assert headers["Access-Control-Max-Age"] == "600"
        assert headers["Vary"] == "Origin"
        answer = await get(client, "/films", Origin=PAGE)
        assert answer["Access-Control-Allow-Origin"] == PAGE
        assert set(answer["Access-Control-Expose-Headers"].split(",")) == set(READABLE)
        assert answer["Vary"] == "Accept, Origin"
        assert "Access-Control-Allow-Credentials" not in {*headers, *answer}


@pytest.mark.parametrize("path", ["/films", "/fails", "/nothing", "/films/5"], ids=["found", "fails", "no address", "no method"])
async def test_every_answer_is_readable_by_the_page_that_may_and_says_that_it_depends_on_it(path: str) -> None:
    async with serving([PAGE]) as client:
        for origin in ("", PAGE, OTHER, "null", PAGE + ".evil.example", PAGE.upper(), PAGE + ":8443"):
            headers = await get(client, path, **({"Origin": origin} if origin else {}))
            assert headers.get("Access-Control-Allow-Origin") == (PAGE if origin == PAGE else None)
            assert "Origin" in headers["Vary"]


@pytest.mark.parametrize(("path", "method"), [("/nothing", "GET"), ("/films", "POST"), ("/films/5", "DELETE"), ("/films", "PUT")])
async def test_a_page_may_find_out_that_an_address_or_a_method_is_none(path: str, method: str) -> None:
    """Without its preflight's leave a page that sends a token would see a network error in place of the 404 or 405."""
    async with serving([PAGE]) as client:
        status, headers = await preflight(client, path, PAGE, method, "Authorization")
        assert status == 200
        assert headers["Access-Control-Allow-Origin"] == PAGE
        assert headers["Access-Control-Allow-Methods"] == method
        assert headers["Access-Control-Allow-Headers"].lower() == "authorization"
        async with client.request(method, path, headers={"Origin": PAGE}) as response:
            assert response.status in {404, 405}
            assert response.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize("path", ["/films", "/nothing"])
async def test_a_preflight_of_another_page_or_for_more_than_is_allowed_fails(path: str) -> None:
    async with serving([PAGE]) as client:
        for origin in (OTHER, "null", PAGE + "."):
            status, headers = await preflight(client, path, origin, "GET")
            assert status in {403, 404}
            assert "Access-Control-Allow-Origin" not in headers
            assert "Access-Control-Allow-Methods" not in headers
        for asked in ("X-Forwarded-For", "authorization, x-other", "cookie"):
            status, headers = await preflight(client, path, PAGE, "GET", asked)
            assert status in {403, 404}
            assert "Access-Control-Allow-Headers" not in headers
        for method in ("TRACE", "get\tx", "", "*"):
            status, headers = await preflight(client, path, PAGE, method)
            assert status in {403, 404}
            assert "Access-Control-Allow-Methods" not in headers


async def test_options_that_is_no_preflight_is_a_method_like_others() -> None:
    async with serving([PAGE]) as client:
        for headers in ({}, {"Origin": PAGE}, {"Access-Control-Request-Method": "GET"}):
            async with client.options("/films", headers=headers) as response:
                assert response.status == 405
                assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD"}
            async with client.options("/nothing", headers=headers) as response:
                assert response.status == 404


async def test_a_star_lets_every_page_read_and_still_names_the_one_that_asked() -> None:
    async with serving(["*"]) as client:
        for path in ("/films", "/nothing"):
            status, headers = await preflight(client, path, OTHER, "GET", "authorization")
            assert (status, headers["Access-Control-Allow-Origin"]) == (200, OTHER)
            answer = await get(client, path, Origin=OTHER)
            assert answer["Access-Control-Allow-Origin"] == OTHER
            assert "Access-Control-Allow-Credentials" not in answer
            assert "Origin" in answer["Vary"]
        assert "Access-Control-Allow-Origin" not in await get(client, "/films")


async def test_several_origins_are_told_apart() -> None:
    async with serving([PAGE, OTHER]) as client:
        for origin in (PAGE, OTHER):
            assert (await get(client, "/nothing", Origin=origin))["Access-Control-Allow-Origin"] == origin


async def test_without_origins_there_is_nothing_for_pages() -> None:
    async with serving([]) as client:
        answer = await get(client, "/films", Origin=PAGE)
        assert answer["Vary"] == "Accept"
        assert "Access-Control-Allow-Origin" not in answer
        status, _ = await preflight(client, "/films", PAGE, "GET")
        assert status == 405
