"""A real API server for the tests: an aiohttp application on real sockets, with a recorder and switchable behaviour.

async with FilmServer({"/movie/615": {"movie": {"ott_links": [...]}}}) as api:   # on a free loopback port
    ... API_SERVER_URL=api.url ...
    api.answer = status(500)     # every title from now on; behaviours are those of `support.llm_server`
    api.answer = None            # by `api.titles` again; what is not in it is 404
    await api.stop(); await api.start()
    assert api.asked == ["/movie/615"]
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Self

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from support.llm_server import Behaviour, RecordedRequest, raw_reply, status


class FilmServer:
    """The server: `titles`, `popular`, `health` and `answer` say how it behaves, the rest what it saw."""

    def __init__(self, titles: Mapping[str, Any] | None = None, *, prefix: str = "") -> None:
        """Know these titles, by path; `prefix` is a path that the server lives below, such as "/films"."""
        self.titles: dict[str, Any] = dict(titles or {})
        self.popular: Behaviour = status(404)
        self.health: Behaviour = raw_reply(b'{"status": "UP"}')
        self.answer: Behaviour | None = None
        self.delay_s = 0.0
        self.requests: list[RecordedRequest] = []  # for titles and popular films
        self.in_flight = 0
        self.most_in_flight = 0
        self.abandoned = 0  # requests whose caller left before the answer
        self.port = 0
        self._prefix = prefix
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Return the value for API_SERVER_URL."""
        return f"http://127.0.0.1:{self.port}{self._prefix}"

    @property
    def asked(self) -> list[str]:
        """Return the paths asked for, in order."""
        return [request.path.removeprefix(self._prefix) for request in self.requests]

    async def __aenter__(self) -> Self:
        """Start on a free port."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Listen: on a free port the first time, afterwards on the same one."""
        app = web.Application()
        app.router.add_get(f"{self._prefix}/health", self._health)
        app.router.add_get(f"{self._prefix}/{{anything:.*}}", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the listener and every connection; from then on connections are refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return await self.health(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        headers = CIMultiDictProxy(CIMultiDict(request.headers))
        self.requests.append(RecordedRequest(request.method, request.path_qs, headers, b"", 0))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            return await self._behaviour(request.path.removeprefix(self._prefix))(request)
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        finally:
            self.in_flight -= 1

    def _behaviour(self, path: str) -> Behaviour:
        if self.answer is not None:
            return self.answer
        if path == "/popular":
            return self.popular
        return raw_reply(json.dumps(self.titles[path]).encode()) if path in self.titles else status(404)
