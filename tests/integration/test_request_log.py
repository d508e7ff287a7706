"""One line a request says what an operator asks first; under load a part of them stands for all."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.door import OTT, Keys
from support.llm_server import LlmServer, drop, reply, slow
from support.metrics_page import scrape
from support.process import serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_line_names_key_route_source_and_trace_and_nothing_that_people_wrote(tmp_path: Path) -> None:
    keys = Keys.of(tmp_path, backend="read recommend act_as")
    async with LlmServer() as llm, serving(tmp_path, **keys.settings, llm_server_url=llm.url) as service:
        llm.answer = drop()
        headers = {**keys["backend"], "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Request-Id": "order-42"}
        body = {"message": "비밀스러운 문장", "user_id": "geheim"}
        async with service.caller.post(f"{service.url}/api/movies/recommend", json=body, headers=headers) as response:
            assert response.status == 200
        async with service.caller.get(service.url + OTT, headers=keys["backend"]) as response:
            assert response.status == 200
        async with service.caller.get(f"{service.url}/geheim", headers={"X-Api-Key": keys.named["backend"]}) as response:
            assert response.status == 404
        async with service.caller.get(service.url + OTT, headers={"X-Api-Key": "oc_wrong"}) as response:
            assert response.status == 401
        recommended, looked_up, unknown, refused = [await service.logged("request", times=number) for number in (1, 2, 3, 4)]
    assert {name: recommended[name] for name in ("method", "route", "status", "caller", "source", "request_id", "trace_id")} == {
        "method": "POST",
        "route": "/api/movies/recommend",
        "status": 200,
        "caller": "backend",
        "source": "catalogue",
        "request_id": "order-42",
        "trace_id": TRACE,
    }
    assert recommended["degraded"] == "llm_unavailable"
    assert {"auth", "body", "llm", "ott"} <= set(recommended["phases"])
    assert recommended["ms"] > 0
    assert (looked_up["route"], looked_up["source"]) == ("/api/movies/{id}/ott", "local")
    assert (unknown["route"], unknown["status"]) == ("UNKNOWN", 404)
    assert (refused["status"], refused["refused"]) == (401, "malformed")
    logged = str(service.log)
    assert "비밀" not in logged
    assert "geheim" not in logged
    assert keys.named["backend"] not in logged


async def test_under_load_good_answers_are_sampled_and_failures_and_slow_ones_never(tmp_path: Path) -> None:
    async with LlmServer() as llm, serving(tmp_path, llm_server_url=llm.url, fallback="off", log_requests=5, cache_ttl=0) as service:

        async def call(path: str, times: int) -> None:
            for _ in range(times):
                async with service.caller.get(service.url + path) as response:
                    await response.read()

        async def recommend() -> int:
            async with service.caller.post(f"{service.url}/recommend", json={"message": "영화"}) as response:
                return response.status

        llm.answer = drop()
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(call(OTT, 150) for _ in range(4)), call("/nowhere", 150))
        seconds = int(asyncio.get_running_loop().time() - began) + 2
        assert [await recommend() for _ in range(4)] == [502] * 4
        llm.answer = slow(1.2, reply())
        assert await recommend() == 200
        page = await scrape(service.caller, service.url)
        await call("/health", 1)
    lines = [line for line in service.log if line["event"] == "request"]
    good, refused = ([line for line in lines if line["status"] == status and line["route"] != "/recommend"] for status in (200, 404))
    assert 5 <= len(good) <= 5 * seconds + 6 + 2
    assert 5 <= len(refused) <= 5 * seconds + 2
    assert sum(line["status"] == 502 for line in lines) == 4
    assert [line["ms"] > 1000 for line in lines if line["status"] == 200 and line["route"] == "/recommend"] == [True]
    left_out = page.value("opuscine_request_log_lines_left_out_total")
    assert left_out > 0
    assert sum(line.get("left_out", 0) for line in lines) <= left_out + 2
    assert len([line for line in lines if line["route"] != "/health"]) + left_out >= 755
