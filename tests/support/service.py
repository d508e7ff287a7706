"""The service itself for the tests: the real application behind real sockets, with the bounds that production has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from opuscine.app import create_app
from opuscine.keys import FAST_PATH
from opuscine.server import bind, make_runner
from opuscine.settings import Settings
from support.hygiene import HYGIENE, watched_session


@dataclass(slots=True)
class Service:
    """A running service and a caller's session to it."""

    url: str
    port: int
    app: web.Application
    caller: aiohttp.ClientSession

    async def get(self, path: str, *, status: int = 200, **options: Any) -> dict[str, Any]:
        """Call and return the body, having checked the status."""
        async with self.caller.get(self.url + path, **options) as response:
            return await _body(response, status)

    async def post(self, path: str, body: object = None, *, status: int = 200, **options: Any) -> dict[str, Any]:
        """Send JSON and return the body, having checked the status."""
        async with self.caller.post(self.url + path, json=body, **options) as response:
            return await _body(response, status)

    async def recommend(
        self, message: str = "2019년 한국 스릴러", *, status: int = 200, headers: Any = None, **fields: Any
    ) -> dict[str, Any]:
        """Ask for films."""
        return await self.post("/api/movies/recommend", {"message": message, **fields}, status=status, headers=headers)


async def _body(response: aiohttp.ClientResponse, status: int) -> dict[str, Any]:
    body: dict[str, Any] = await response.json(content_type=None)
    assert response.status == status, f"{response.status} instead of {status}: {body}"
    return body


@asynccontextmanager
async def running(cache_dir: Path, **settings: Any) -> AsyncIterator[Service]:
    """Run the service on a free port; settings are given by their names in lower case, and `utc_now` where a test has a clock.

    With `fast=False` every request goes the ordinary way.
    """
    fast = settings.pop("fast", True)
    utc_now: Callable[[], datetime] = settings.pop("utc_now", lambda: datetime.now(UTC))
    HYGIENE.confide_settings(settings)
    given = Settings(_env_file=None, host="127.0.0.1", port=0, cache_dir=cache_dir, drain_timeout=1.0, **settings)
    app = create_app(given, utc_now=utc_now)
    if not fast:
        app[FAST_PATH] = None
    runner = make_runner(app, given)
    await runner.setup()
    try:
        await bind(runner, given)
        port = runner.addresses[0][1]
        async with watched_session() as caller:
            yield Service(url=f"http://127.0.0.1:{port}", port=port, app=app, caller=caller)
    finally:
        await runner.cleanup()


REAL_FILES = {"movies_data_file": "catalogue/tmdb_movies_hybrid_final.json", "tv_data_file": "catalogue/tmdb_tv_series_final.json"}


def real_catalogue(real_data: Path) -> dict[str, Path]:
    """Return the settings that point to the real half-catalogue."""
    return {name: real_data / path for name, path in REAL_FILES.items()}
