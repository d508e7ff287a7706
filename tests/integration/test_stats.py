"""`/admin/stats` shows every part, as it is now."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from opuscine.contract import StatsAnswer
from support.api_server import FilmServer
from support.door import OTT, Keys
from support.llm_server import LlmServer, drop
from support.redis_server import RedisServer
from support.service import running


@pytest.mark.wide
async def test_each_part_is_shown_after_traffic_for_each(compiled: Path, tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, admin="read recommend admin")
    with RedisServer(tmp_path / "redis") as redis:
        async with LlmServer() as llm, FilmServer() as api:
            upstreams = {"llm_server_url": llm.url, "api_server_url": api.url, "redis_url": redis.url}
            async with running(compiled, **keys.settings, **upstreams, rate_limit_read="100/minute", llm_breaker_failures=1) as service:
                service.caller.headers.update(keys["admin"])
                await service.get(OTT)
                await service.get("/api/movies/999999999/ott")
                await service.get(OTT, headers={"X-Api-Key": "oc_nonsense"}, status=401)
                llm.answer = drop()
                await service.recommend()
                async with asyncio.timeout(20):
                    stats = await service.get("/admin/stats")
                    while not all(upstream["up"] for upstream in stats["upstreams"].values()):
                        await asyncio.sleep(0.02)
                        stats = await service.get("/admin/stats")
    StatsAnswer.model_validate(stats)
    assert stats["catalogue"]["movie_count"] == 267
    assert stats["tiers"]["answered"]["local"] >= 1
    assert stats["tiers"]["answered"]["none"] >= 1
    assert set(stats["tiers"]["failed"]) == {"local", "redis", "api"}
    assert {name: (breaker["state"], breaker["opened"]) for name, breaker in stats["breakers"].items()} == {
        "llm": ("open", 1),
        "api_server": ("closed", 0),
        "redis": ("closed", 0),
    }
    assert set(stats["upstreams"]) == {"llm", "redis", "api_server"}
    assert all(upstream["up"] for upstream in stats["upstreams"].values())
    assert stats["limits"]["read"]["allowed"] == 2
    assert sum(stats["callers"]["refused"].values()) == 1
    assert stats["recommend"]["fallbacks"] == {"llm_unavailable": 1}
    assert stats["recommend"]["answered"] == {"catalogue": 1}
    assert (stats["llm"]["calls"]["in_flight"], stats["llm"]["calls"]["waiting"]) == (0, 0)
    assert stats["redis"]["uses"] >= 1
    assert stats["process"]["worker"] == "0"
    assert stats["process"]["cpu_seconds_total"] > 0
    assert stats["process"]["resident_memory_bytes"] > 10_000_000
    assert stats["process"]["requests_in_flight"] == 1
