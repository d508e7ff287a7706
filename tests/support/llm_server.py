"""A real LLM server for the tests: an aiohttp application on real sockets, with a recorder and switchable behaviour.

async with LlmServer() as llm:          # on a free loopback port, speaking movie-recommend
    ... LLM_SERVER_URL=llm.url ...
    llm.answer = status(500)            # from now on
    llm.next_answers = [drop(), reply()]  # the next two, then `answer` again
    await llm.stop(); await llm.start() # refusing connections, then back on the same port
    assert llm.requests[-1].json["message"] == "..."
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]

PARASITE: dict[str, Any] = {
    "id": 496243,
    "title": "기생충",
    "original_title": "기생충",
    "overview": "두 가족이 한집에서 얽힌다.",
    "release_date": "2019-05-30",
    "poster_path": "/parasite.jpg",
    "backdrop_path": "/parasite-wide.jpg",
    "vote_average": 8.5,
    "vote_count": 18000,
    "popularity": 91.2,
    "genre_ids": [35, 53, 18],
    "media_type": "movie",
}


def success_body(*movies: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    """Build the body of a good movie-recommend answer; without films it names 기생충."""
    shown = [dict(movie) for movie in movies] or [dict(PARASITE)]
    return {
        "success": True,
        "movies": shown,
        "pagination": {"page": 1, "limit": 20, "total_results": len(shown), "total_pages": 1},
        "query_metadata": {"confidence": 0.9, "reasoning": "분위기로 골랐습니다."},
        "conversation": {"turn": 1},
        **members,
    }


def reply(*movies: Mapping[str, Any], content_type: str = "application/json", **members: Any) -> Behaviour:
    """Answer 200 with these films."""
    return raw_reply(json.dumps(success_body(*movies, **members), ensure_ascii=False).encode(), content_type=content_type)


def raw_reply(body: bytes, *, content_type: str = "application/json", headers: Mapping[str, str] | None = None) -> Behaviour:
    """Answer 200 with these bytes."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": content_type, **(headers or {})})

    return answer


def garbage() -> Behaviour:
    """Answer 200 with an HTML page."""
    return raw_reply(b"<html><body>Gateway says hello</body></html>", content_type="text/html")


def refusal(error: str = "model not loaded") -> Behaviour:
    """Answer 200 with `success: false`."""
    return raw_reply(json.dumps({"success": False, "error": error, "movies": []}).encode())


def status(code: int, **headers: str) -> Behaviour:
    """Answer with a status and a small JSON body; headers are written with underscores: `Retry_After="1"`."""

    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, body=b'{"detail": "as told"}', headers={"Content-Type": "application/json", **named})

    return answer


def redirect(to: str, code: int = 307) -> Behaviour:
    """Send the caller elsewhere."""
    return status(code, Location=to)


def hang() -> Behaviour:
    """Never answer; ends when the caller leaves or the server stops."""

    async def answer(_: web.Request) -> web.StreamResponse:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("unreachable")

    return answer


def slow(by_s: float, then: Behaviour | None = None) -> Behaviour:
    """Answer after a while."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(by_s)
        return await (then or reply())(request)

    return answer


def drip(interval_s: float = 0.02, body: bytes | None = None) -> Behaviour:
    """Answer 200 at once, then one byte of the body every so often."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for byte in body or json.dumps(success_body()).encode():
            await response.write(bytes([byte]))
            await asyncio.sleep(interval_s)
        return response

    return answer


def cut(*, chunked: bool = False) -> Behaviour:
    """Answer 200, send half of the body and close the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = json.dumps(success_body()).encode()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if not chunked:
            response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        _transport(request).close()
        return response

    return answer


def drop(*, after: bytes = b"", reset: bool = False) -> Behaviour:
    """Close the connection without an answer, after these raw bytes if any; `reset` sends a TCP reset instead of an end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        transport = _transport(request)
        if after:
            transport.write(after)
        if reset:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
        return web.Response()

    return answer


def huge(size: int) -> Behaviour:
    """Answer 200 with valid JSON of about this many bytes, chunked."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"success": true, "movies": [], "padding": "')
        for _ in range(size // 65_536 + 1):
            await response.write(b"x" * 65_536)
        await response.write(b'"}')
        return response

    return answer


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request as it came in."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes
    connection: int  # counts from 1 in the order of arrival; the same for requests over one connection

    @property
    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass
class LlmServer:
    """The server: `answer` and `health` say how it behaves, the rest what it saw."""

    prefix: str = ""  # a path that the server lives below, such as "/llm"
    answer: Behaviour = field(default_factory=reply)
    next_answers: list[Behaviour] = field(default_factory=list)
    health: Behaviour = field(default_factory=lambda: raw_reply(b'{"status": "ok"}'))
    requests: list[RecordedRequest] = field(default_factory=list)  # questions only
    probes: list[RecordedRequest] = field(default_factory=list)
    strays: list[RecordedRequest] = field(default_factory=list)  # to any other path
    in_flight: int = 0
    most_in_flight: int = 0
    abandoned: int = 0  # questions whose caller left before the answer
    port: int = 0

    def __post_init__(self) -> None:
        """Prepare; nothing listens yet."""
        self._runner: web.AppRunner | None = None
        self._connections: list[asyncio.Transport] = []

    @property
    def url(self) -> str:
        """Return the value for LLM_SERVER_URL."""
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    async def __aenter__(self) -> Self:
        """Start on a free port."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Listen: on a free port the first time, afterwards on the same one."""
        app = web.Application(client_max_size=2**24)
        app.router.add_post(f"{self.prefix}/movie-recommend", self._ask)
        app.router.add_get(f"{self.prefix}/health", self._health)
        app.router.add_post(f"{self.prefix}/v1/chat/completions", self._ask)
        app.router.add_get(f"{self.prefix}/v1/models", self._health)
        app.router.add_route("*", "/{anything:.*}", self._stray)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the listener and every connection; what hangs is cancelled. From then on connections are refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await self._record(request))
        behave = self.next_answers.pop(0) if self.next_answers else self.answer
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await behave(request)
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self.in_flight -= 1

    async def _health(self, request: web.Request) -> web.StreamResponse:
        self.probes.append(await self._record(request))
        return await self.health(request)

    async def _stray(self, request: web.Request) -> web.StreamResponse:
        self.strays.append(await self._record(request))
        return web.Response(status=404)

    async def _record(self, request: web.Request) -> RecordedRequest:
        transport = _transport(request)
        if transport not in self._connections:
            self._connections.append(transport)
        number = self._connections.index(transport) + 1
        headers = CIMultiDictProxy(CIMultiDict(request.headers))
        return RecordedRequest(request.method, request.path_qs, headers, await request.read(), number)


def _transport(request: web.Request) -> asyncio.Transport:
    transport = request.transport
    assert transport is not None
    return transport
