"""A real server that keeps the HTTP contract, or breaks it in a chosen way: what a caller's program is tested against."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Json = Any

FILM_ID = 496243
LINK = {
    "provider_name": "넷플릭스",
    "provider_id": 8,
    "logo_path": "",
    "display_priority": 1,
    "link": "https://www.netflix.com/kr/title/81221938",
    "type": "flatrate",
    "region": "KR",
}
FILM = {
    "id": FILM_ID,
    "title": "기생충",
    "original_title": "기생충",
    "media_type": "movie",
    "match": {"method": "id", "score": 1.0},
    "ott_links": [LINK],
}


@dataclass
class ContractServer:
    """Hold how the server behaves, to be set before or between calls, and what it was asked.

    `answers` replaces the JSON of one path, `statuses` its status; `raw` replaces a whole body by bytes. With `key` set,
    everything but the probes wants it as X-Api-Key. `hanging` names paths that never answer, `dripping` those that send
    a byte now and then without end, `endless` those that send as fast as they can without end.
    """

    url: str = ""
    degraded: bool = False
    key: str | None = None
    answers: dict[str, Json] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    dripping: set[str] = field(default_factory=set)
    endless: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer any request the way this server is set to."""
        path = request.path
        body = await request.read()
        self.requests.append((request.method, request.path_qs, dict(request.headers), body))
        if path in self.hanging:
            await asyncio.Event().wait()
        if path in self.dripping:
            return await self._send_for_ever(request, b" ", pause_s=0.02)
        if path in self.endless:
            return await self._send_for_ever(request, b" " * 65536, pause_s=0)
        if self.key is not None and not path.startswith("/health") and request.headers.get("X-Api-Key") != self.key:
            return self._problem(401, "unauthorized", "An API key is needed.")
        if path in self.raw:
            return web.Response(body=self.raw[path], status=self.statuses.get(path, 200), headers=self.headers.get(path))
        status = self.statuses.get(path, 200)
        if status != 200 and path not in self.answers:
            return self._problem(status, "unavailable", "The catalogue is not there yet.", self.headers.get(path))
        answer = self.answers.get(path, self._good(path, body))
        if answer is None:
            return self._problem(404, "not_found", "There is nothing here.")
        return web.json_response(answer, status=status)

    def _good(self, path: str, body: bytes) -> Json:
        match path:
            case "/health/liveness" | "/health/readiness":
                return {"status": "UP"}
            case "/health":
                llm = "DOWN" if self.degraded else "UP"
                return {
                    "status": "UP",
                    "degraded": self.degraded,
                    "components": {"llm": {"status": llm, "details": {}}, "catalogue": {"status": "UP", "details": {}}},
                    "movie_count": 120,
                    "tv_count": 30,
                    "version": "0.1.0",
                }
            case "/api/movies/popular":
                return {"success": True, "movies": [FILM], "total_results": 120, "page": 1}
            case "/api/movies/recommend":
                data = {
                    "source": "catalogue" if self.degraded else "llm",
                    "degraded": self.degraded,
                    "degraded_reason": "llm_unreachable" if self.degraded else "",
                }
                limit = json.loads(body)["limit"]
                return {"success": True, "data": data, "movies": [FILM] * limit, "total_results": limit, "error": None}
            case _ if path == f"/api/movies/{FILM_ID}/ott":
                return {
                    "success": True,
                    "movie_id": FILM_ID,
                    "media_type": "movie",
                    "region": "KR",
                    "ott_links": [LINK],
                    "source": "local",
                    "error": None,
                }
        return None

    def _problem(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> web.Response:
        body = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code, "success": False}
        return web.json_response(body, status=status, content_type="application/problem+json", headers=headers)

    async def _send_for_ever(self, request: web.Request, piece: bytes, *, pause_s: float) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(piece)
            await asyncio.sleep(pause_s)


@asynccontextmanager
async def contract_server(host: str = "127.0.0.1") -> AsyncIterator[ContractServer]:
    """Run a contract server on a free port of `host` for as long as the block lasts."""
    server = ContractServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        server.url = f"http://{host}:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
