"""A real browser without a window, driven by its own protocol (Chrome DevTools Protocol) over aiohttp's WebSocket."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
START_S = 30.0
# The pages are the test's own, so there is nothing to lock in; in containers and as root the sandbox can't start.
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
)


def browser_binary() -> str:
    """Return the path of a browser: `CHROMIUM_BIN`, or the first of the usual names on the PATH; else skip the test."""
    found = os.environ.get("CHROMIUM_BIN") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no browser here: install chromium, or set CHROMIUM_BIN to its path")
    return found


class Browser:
    """A running browser: `open` loads a page and returns what it has written by the time that it says it is done."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Speak to a browser through the socket of its whole."""
        self._socket = socket
        self._numbers = itertools.count(1)

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Browser]:
        """Run a browser with an empty profile in this folder for the length of the block."""
        process = await asyncio.create_subprocess_exec(
            browser_binary(),
            *OPTIONS,
            f"--user-data-dir={folder}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(START_S):
                address = await _address(process, folder / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
                yield cls(socket)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def open(self, url: str, *, within_s: float = 20.0) -> str:
        """Load a page in a tab of its own, wait until it sets `document.body.dataset.done`, and return its text."""
        target = (await self._call("Target.createTarget", url=url))["targetId"]
        session = (await self._call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        try:
            async with asyncio.timeout(within_s):
                while True:
                    expression = "document.body && document.body.dataset.done ? document.body.innerText : null"
                    found = await self._call("Runtime.evaluate", session, expression=expression)
                    if (text := found["result"].get("value")) is not None:
                        return str(text)
                    await asyncio.sleep(0.02)
        finally:
            await self._call("Target.closeTarget", targetId=target)

    async def _call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {}))
        while True:
            message = await self._socket.receive_json(timeout=START_S)
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result


async def _address(process: asyncio.subprocess.Process, file: Path) -> str:
    """Wait for the file in which the browser says where it listens."""
    while True:
        assert process.returncode is None, "the browser ended at its start"
        match _words(file):
            case [port, path]:
                return f"ws://127.0.0.1:{port}{path}"
        await asyncio.sleep(0.02)


def _words(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []
