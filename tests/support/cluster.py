"""Two machines with nginx before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from support.nginx import Nginx, free_port, nginx_before
from support.process import ServiceProcess, serving

RECOMMEND = "/api/movies/recommend"
LINKS = "/api/movies/496243/ott"


@dataclass
class Machines:
    """Two machines with nginx before them; each is a process that can be killed and started again at its port."""

    folder: Path
    settings: dict[str, object]
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    stacks: dict[int, AsyncExitStack] = field(default_factory=dict)
    processes: dict[int, ServiceProcess] = field(default_factory=dict)

    async def start(self, number: int) -> None:
        """Start a machine."""
        home = self.folder / f"machine-{number}"
        home.mkdir(exist_ok=True)
        stack = AsyncExitStack()
        self.processes[number] = await stack.enter_async_context(serving(home, port=self.ports[number], **self.settings))
        self.stacks[number] = stack

    async def kill(self, number: int) -> None:
        """End a machine as if its plug were pulled."""
        self.processes[number].process.kill()
        await self.stop(number)

    async def stop(self, number: int) -> None:
        """End a machine in good order."""
        await self.stacks.pop(number).aclose()


@asynccontextmanager
async def cluster(folder: Path, compiled: Path, **settings: object) -> AsyncIterator[tuple[Machines, Nginx, aiohttp.ClientSession]]:
    """Run nginx and two machines with these settings, and give them with a session that believes nginx' certificate."""
    machines = Machines(folder, {"cache_dir": compiled, "trusted_proxies": "127.0.0.1", "drain_timeout": 2, **settings})
    async with nginx_before(folder, *(f"127.0.0.1:{port}" for port in machines.ports)) as nginx:
        connector = aiohttp.TCPConnector(ssl=nginx.tls)
        async with aiohttp.ClientSession(connector=connector) as caller:
            try:
                for number in (0, 1):
                    await machines.start(number)
                yield machines, nginx, caller
            finally:
                for number in tuple(machines.stacks):
                    await machines.stop(number)


async def problem_of(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """Return the body of a problem, having checked its form."""
    assert response.content_type == "application/problem+json"
    body: dict[str, Any] = await response.json(content_type=None)
    assert body["status"] == response.status
    assert body["request_id"] == response.headers["X-Request-Id"]
    return body
