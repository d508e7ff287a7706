"""What a Spring backend is tested against: the service as processes under several settings, and a model that does as a message says.

The Java tests get addresses and keys as environment variables, and ask the stage itself (`STAGE_URL`) what the model saw:

- `GET /questions?containing=TEXT`: the questions that hold a text, each with its `traceparent`
- `GET /connections`: how many connections were made through `OPUSCINE_COUNTED_URL`
- `POST /gate`: lets a model that streams (`OPUSCINE_STREAM_URL`) end its answer, which it holds back until then
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from support.completions import films, streamed
from support.door import Keys
from support.llm_server import PARASITE, LlmServer, garbage, hang, reply, status
from support.process import serving
from support.tcp_proxy import TcpProxy

LONG = "긴 줄거리가 이어진다. " * 300
MANY = [{**PARASITE, "id": 900_000_000 + number, "title": f"아주 긴 영화 {number}", "overview": LONG} for number in range(100)]
BEHAVIOURS = {"[garbage]": garbage(), "[500]": status(500), "[hang]": hang(), "[many]": reply(*MANY)}


async def as_told(request: web.Request) -> web.StreamResponse:
    """Behave as the word in brackets says that the message begins with; without one, name 기생충."""
    message: str = (await request.json())["message"]
    return await BEHAVIOURS.get(message.split(" ", 1)[0], reply())(request)


@asynccontextmanager
async def stage(folder: Path, cache_dir: Path) -> AsyncIterator[dict[str, str]]:
    """Start everything and give the environment variables for the Java tests."""
    keys = Keys.of(folder, backend="read recommend act_as", reader="read")
    gate = asyncio.Event()
    answer = films(("기생충", 2019), ("올드보이", 2003), ("살인의 추억", 2003))
    pieces = [answer[start : start + 7] for start in range(0, len(answer), 7)]
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(LlmServer(answer=as_told))
        streaming = await stack.enter_async_context(LlmServer(answer=streamed(pieces, gate=gate)))

        async def service(name: str, **settings: object) -> str:
            home = folder / name
            home.mkdir()
            process = serving(home, **{"llm_server_url": model.url, "cache_dir": cache_dir} | settings)
            return (await stack.enter_async_context(process)).url

        url = await service("guarded", **keys.settings)
        proxy = await stack.enter_async_context(TcpProxy.to(int(url.rsplit(":", 1)[1])))
        openai = {"llm_server_url": streaming.url, "llm_protocol": "openai", "llm_model": "any"}
        yield {
            "OPUSCINE_URL": url,
            "OPUSCINE_KEY": keys.named["backend"],
            "OPUSCINE_READER_KEY": keys.named["reader"],
            "OPUSCINE_COUNTED_URL": f"http://127.0.0.1:{proxy.port}",
            "OPUSCINE_STRICT_URL": await service("strict", fallback="off", llm_breaker_failures=1000),
            "OPUSCINE_BREAKER_URL": await service("breaker", fallback="off", llm_breaker_open=1),
            "OPUSCINE_LIMITED_URL": await service("limited", rate_limit_recommend="1/second", rate_limit_read="2/hour"),
            "OPUSCINE_STREAM_URL": await service("stream", **openai),
            "STAGE_URL": await _witness(stack, model, proxy, gate),
        }
        gate.set()


async def _witness(stack: AsyncExitStack, model: LlmServer, proxy: TcpProxy, gate: asyncio.Event) -> str:
    async def questions(request: web.Request) -> web.Response:
        wanted = request.query["containing"]
        found = [asked for asked in model.requests if wanted in asked.json["message"]]
        return web.json_response([{"message": it.json["message"], "traceparent": it.headers.get("traceparent", "")} for it in found])

    async def connections(_: web.Request) -> web.Response:
        return web.json_response({"accepted": proxy.accepted})

    async def open_gate(_: web.Request) -> web.Response:
        gate.set()
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/questions", questions)
    app.router.add_get("/connections", connections)
    app.router.add_post("/gate", open_gate)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"
