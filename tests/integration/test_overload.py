"""An LLM server that clogs: what it bears it gets, the others get films from the catalogue, and what needs no model goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from support.llm_server import LlmServer
from support.load import Call, clogging_beyond, closed_loop, percentile_s, report
from support.process import ServiceProcess, serving

KNEE = 16
QUICK_S = 0.5  # long enough that a busy machine's own pauses are not taken for the model's
PAUSE_S = 4.0  # of each caller, so that twice as many ask as the model bears, and this process keeps up
CALLERS = 300
SECONDS = 10.0


async def get(service: ServiceProcess, path: str) -> dict[str, Any]:
    """Call, and return the body of a good answer."""
    async with service.caller.get(service.url + path) as response:
        assert response.status == 200
        body: dict[str, Any] = await response.json()
        return body


async def test_a_model_that_clogs_beyond_16_calls_is_held_near_16_while_300_callers_ask(tmp_path: Path) -> None:
    """The service is a process of its own; each of 300 callers asks something new every four seconds or so."""
    limits: list[int] = []
    others: list[Call] = []
    async with LlmServer() as llm, serving(tmp_path, llm_server_url=llm.url) as service:
        llm.answer = clogging_beyond(llm, KNEE, quick_s=QUICK_S)
        connector = aiohttp.TCPConnector(limit=CALLERS + 10)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def ask(number: int) -> str:
                question = {"message": f"2019년 한국 스릴러 {number}", "limit": 5}
                async with session.post(f"{service.url}/api/movies/recommend", json=question) as response:
                    body = await response.json()
                    return (
                        str(body["data"]["degraded_reason"] or body["data"]["source"]) if response.status == 200 else str(response.status)
                    )

            async def look_up(number: int) -> str:
                path = "/health" if number % 2 else "/api/movies/496243/ott"
                async with session.get(service.url + path) as response:
                    return str(response.status)

            async def watch() -> None:
                while True:
                    limits.append((await get(service, "/admin/stats"))["llm"]["calls"]["limit"])
                    await asyncio.sleep(0.25)

            watching = asyncio.create_task(watch())
            calls, others = await asyncio.gather(
                closed_loop(ask, callers=CALLERS, seconds=SECONDS, pause_s=PAUSE_S),
                closed_loop(look_up, callers=2, seconds=SECONDS, pause_s=0.1),
            )
            watching.cancel()
            stats = (await get(service, "/admin/stats"))["llm"]
    settled = sorted(limits[len(limits) // 2 :])
    told = f"{report(calls)}; {report(others)}; limits {limits}; {stats}"
    assert {call.outcome for call in calls} == {"llm", "overloaded"}, told
    assert KNEE / 2 <= settled[len(settled) // 2] <= KNEE * 1.5, told
    assert sum(call.outcome == "llm" for call in calls) > 0.25 * SECONDS * KNEE / QUICK_S, told
    fallbacks = [call for call in calls if call.outcome == "overloaded"]
    assert percentile_s(fallbacks, 0.5) < 1.0, told
    assert {call.outcome for call in others} == {"200"}, told
    assert percentile_s(others, 0.5) < 0.25, told
