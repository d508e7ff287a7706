"""An issuer's JWKS address as a real aiohttp server, whose behaviour a test chooses."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any, Literal

from aiohttp import web

Behaviour = Literal["ok", "error", "hang", "redirect", "garbage", "list", "no_keys", "huge", "endless", "gzip", "cut"]


class JwksServer:
    """Serve a JWK set on a free port; every request is counted in `fetches`."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        """Serve these keys, once started."""
        self.keys = list(keys)
        self.behaviour: Behaviour = "ok"
        self.cache_control = ""
        self.fetches = 0
        self.paths: list[str] = []
        self.accepting = asyncio.Event()  # while it is not set, requests are held back after they were counted
        self.accepting.set()
        self._port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Return the address of the set."""
        return f"http://127.0.0.1:{self._port}/keys.json"

    async def __aenter__(self) -> JwksServer:
        """Begin to listen."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse connections from now on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.fetches += 1
        self.paths.append(request.path)
        await self.accepting.wait()
        body = json.dumps({"keys": self.keys}).encode()
        match self.behaviour:
            case "error":
                return web.Response(status=500, text="no")
            case "hang":
                await asyncio.Event().wait()
            case "redirect" if request.path == "/keys.json":
                raise web.HTTPFound("/elsewhere.json")
            case "garbage":
                body = b"<html>maintenance</html>"
            case "list":
                body = b'["keys"]'
            case "no_keys":
                body = b'{"keys": []}'
            case "huge":
                body += b" " * 2_000_000
            case "gzip":
                return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
            case "endless" | "cut":
                return await self._trickle(request, body, endless=self.behaviour == "endless")
        headers = {"Cache-Control": self.cache_control} if self.cache_control else {}
        return web.Response(body=body, headers=headers)

    @staticmethod
    async def _trickle(request: web.Request, body: bytes, *, endless: bool) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = None if endless else len(body)
        if endless:
            response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        while endless:
            await response.write(b" " * 1000)
            await asyncio.sleep(0.01)
        if request.transport is not None:
            request.transport.abort()
        return response
