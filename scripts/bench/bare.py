"""The yardstick: the least that aiohttp can do. `python -m bench.bare PORT FILE LLM_URL`.

`GET` answers prepared bytes; `POST` hands the body on to the LLM server through one ClientSession, and its answer back. No middleware, no
check, no log.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web

SESSION = web.AppKey("session", aiohttp.ClientSession)
CONNECTIONS = 2_000


def bare_app(prepared: bytes, llm_url: str) -> web.Application:
    """Build the application."""

    async def get(_request: web.Request) -> web.Response:
        return web.Response(body=prepared, content_type="application/json")

    async def post(request: web.Request) -> web.Response:
        body = await request.read()
        async with request.app[SESSION].post(llm_url, data=body, headers={"Content-Type": "application/json"}) as response:
            return web.Response(body=await response.read(), content_type="application/json")

    async def session(app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as app[SESSION]:
            yield

    app = web.Application()
    app.router.add_get("/api/movies/{id}/ott", get)
    app.router.add_post("/api/movies/recommend", post)
    app.cleanup_ctx.append(session)
    return app


if __name__ == "__main__":
    uvloop.install()
    web.run_app(
        bare_app(Path(sys.argv[2]).read_bytes(), f"{sys.argv[3]}/movie-recommend"),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        backlog=2048,
    )
