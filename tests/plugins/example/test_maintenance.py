"""The plugin in its place, in the real service."""

from pathlib import Path

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from opuscine.app import create_app
from opuscine.settings import Settings

ORDER = ("request_context", "timing", "errors", "maintenance", "auth", "rate_limit", "body")


async def test_a_closed_operation_is_refused(aiohttp_client: AiohttpClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINTENANCE_OPERATIONS", "recommendMovies")
    client = await aiohttp_client(create_app(Settings(_env_file=None, cache_dir=tmp_path, middlewares=ORDER)))
    refused = await client.post("/api/movies/recommend", json={"message": "영화"})
    assert refused.status == 503
    assert refused.content_type == "application/problem+json"
    assert (await client.get("/health/liveness")).status == 200
