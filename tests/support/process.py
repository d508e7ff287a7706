"""The service as a process of its own, started by the command that a user types."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from support.hygiene import HYGIENE, watched_session

START_S = 30.0


def environment(home: Path, settings: Mapping[str, object]) -> dict[str, str]:
    """Return the environment of a newcomer: an empty home, and nothing set but these settings (and what measures coverage)."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG"} or name.startswith("COV")}
    return {**kept, "HOME": str(home), **{name.upper(): str(value) for name, value in settings.items()}}


@dataclass
class ServiceProcess:
    """A running process: where it listens, what it logged, and a caller's session."""

    process: asyncio.subprocess.Process
    caller: aiohttp.ClientSession
    url: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)

    async def logged(self, event: str, *, times: int = 1) -> dict[str, Any]:
        """Wait for the n-th line of an event and return it."""
        async with asyncio.timeout(START_S):
            while len(lines := [line for line in self.log if line["event"] == event]) < times:
                await asyncio.sleep(0.01)
        return lines[times - 1]

    async def ended(self) -> int:
        """Wait for the process to end and return its status."""
        async with asyncio.timeout(START_S):
            return await self.process.wait()


@asynccontextmanager
async def serving(home: Path, **settings: object) -> AsyncIterator[ServiceProcess]:
    """Run `opuscine serve` in an empty folder on a free port, open to everyone and logging JSON, until the block ends."""
    HYGIENE.confide_settings(settings)
    open_door = {"auth": "off", "rate_limit_read": "off", "rate_limit_recommend": "off"}
    defaults: dict[str, object] = {"port": 0, "environment": "staging", "host": "127.0.0.1", **open_door}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "opuscine", "serve"),
        cwd=home,
        env=environment(home, defaults | settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with watched_session() as caller:
        service = ServiceProcess(process, caller)
        reader = asyncio.create_task(_read(service))
        try:
            listening = asyncio.create_task(service.logged("listening"))
            await asyncio.wait({listening, reader}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                listening.cancel()
                raise AssertionError(f"it ended at its start: {service.log}")
            service.url = listening.result()["address"]
            yield service
        finally:
            if process.returncode is None:
                process.terminate()
            await service.ended()
            await reader


async def _read(service: ServiceProcess) -> None:
    assert service.process.stdout is not None
    async for line in service.process.stdout:
        text = line.decode()
        HYGIENE.wrote("a process's log", text)
        service.log.append(json.loads(text) if text.startswith("{") else {"event": "text", "text": text})
