"""A prepared response is what aiohttp's own would be, byte for byte, whatever is asked and whatever is done to it on its way."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

import pytest
from aiohttp import web
from multidict import CIMultiDict

from opuscine.connections.prepared_response import PRIVATE_NAMES, PreparedResponse

BODY = '{"film": "기생충"}'.encode() * 30
HEADERS = (("Cache-Control", "no-store"), ("Content-Type", "application/json"))
CHANGES = web.AppKey("changes", list[Callable[[web.Response], object]])


def replace_body(response: web.Response) -> None:
    response.body = b"other"


CHANGED: dict[str, Callable[[web.Response], object]] = {
    "nothing": lambda _: None,
    "status": lambda response: response.set_status(202),
    "reason": lambda response: response.set_status(200, "Fine"),
    "no content": lambda response: response.set_status(204),
    "body": replace_body,
    "no body": lambda response: setattr(response, "body", None),
    "empty body": lambda response: setattr(response, "body", b""),
    "text": lambda response: setattr(response, "text", "words"),
    "cookie": lambda response: response.set_cookie("a", "b"),
    "coding": lambda response: response.enable_compression(web.ContentCoding.gzip),
    "chunks": lambda response: response.enable_chunked_encoding(),
    "end": lambda response: response.force_close(),
    "header": lambda response: response.headers.update({"Server": "x", "Date": "today"}),
    "no type": lambda response: response.headers.pop("Content-Type"),
    "length": lambda response: response.headers.update({"Content-Length": str(len(BODY))}),
    "connection": lambda response: response.headers.update({"Connection": "close"}),
}
REQUESTS = {
    "GET": b"GET /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST": b"POST /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "HEAD": b"HEAD /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "HTTP/1.0": b"GET /%b HTTP/1.0\r\nHost: a\r\n\r\n",
    "HTTP/1.0 kept": b"GET /%b HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET /%b HTTP/1.0\r\nHost: a\r\n\r\n",
    "kept": b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\nGET /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
}


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[web.Application, int]]:
    """Serve both kinds of response, `/ours` and `/theirs`, with the changes that the test puts in."""

    async def ours(request: web.Request) -> web.Response:
        return changed(request, PreparedResponse(BODY, CIMultiDict(HEADERS)))

    async def theirs(request: web.Request) -> web.Response:
        return changed(request, web.Response(body=BODY, headers=CIMultiDict(HEADERS)))

    def changed(request: web.Request, response: web.Response) -> web.Response:
        for change in request.app[CHANGES]:
            change(response)
        return response

    async def on_prepare(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Vary"] = "Origin"

    app = web.Application()
    app[CHANGES] = []
    for path, handler in (("/ours", ours), ("/theirs", theirs)):
        app.router.add_route("*", path, handler)
    app.on_response_prepare.append(on_prepare)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield app, runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def answer_to(port: int, request: bytes) -> bytes:
    """Send bytes and return all that comes back; the date is the one thing that may differ."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
    return re.sub(rb"Date: \w{3}, [^\r]*", b"Date: now", answer)


@pytest.mark.parametrize("change", CHANGED)
async def test_the_bytes_are_those_of_aiohttp(change: str) -> None:
    async with serving() as (app, port):
        app[CHANGES].append(CHANGED[change])
        for request in REQUESTS.values():
            count = request.count(b"%b")
            given = [await answer_to(port, request % ((name,) * count)) for name in (b"ours", b"theirs")]
            assert sorted(given[0].split(b"\r\n")) == sorted(given[1].split(b"\r\n"))
            assert given[0].partition(b"\r\n\r\n")[2:] == given[1].partition(b"\r\n\r\n")[2:] or count > 1


async def test_a_response_is_sent_once_and_says_how_long_it_was() -> None:
    async with serving() as (app, port):
        sent: list[web.Response] = []
        app[CHANGES].append(sent.append)
        answer = await answer_to(port, REQUESTS["GET"] % b"ours")
        [response] = sent
        assert response.prepared
        assert response.body_length == len(answer) - answer.count(b"Date: now") * (len(b"now") - len(b"Wed, 25 Nov 2026 15:28:47 GMT"))
        await response.write_eof()  # as aiohttp's own, it does nothing the second time
        with pytest.raises(RuntimeError):
            await response.write(b"more")


def test_the_private_names_that_are_used_are_those_of_this_aiohttp() -> None:
    """Another minor version may name or use them otherwise; then the tests above decide whether the bytes are still right."""
    assert version("aiohttp").startswith("3.14.")
    response = web.Response(body=b"x")
    assert [name for name in PRIVATE_NAMES if not hasattr(response, name)] == []
    assert hasattr(web.BaseRequest, "_prepare_hook")
