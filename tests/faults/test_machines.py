"""What callers see when machines behind nginx die."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path

import pytest

from support.cluster import LINKS, RECOMMEND, cluster, problem_of
from support.fault_wall import fault
from support.llm_server import LlmServer

pytestmark = pytest.mark.wide


@fault(
    "Process",
    "One of two machines behind nginx dies under load, and comes back",
    caller_gets="GET: 200 from the other; POST: 200, or 502 if the dead machine had it in its hands; no question is put to the model twice",
    within="1 s more",
    told_by="nginx' log ▸ `machine`, `machine_status`; alert `OpusCineDown`",
)
async def test_killed_machine(tmp_path: Path, compiled: Path) -> None:
    """At 80 requests a second one machine is killed and started again; half of them are GETs, half questions, each of its own."""
    seconds, per_second = 10, 80
    gets: Counter[int] = Counter()
    posts: Counter[int] = Counter()
    async with LlmServer() as llm, cluster(tmp_path, compiled, llm_server_url=llm.url) as (machines, nginx, caller):

        async def call(number: int) -> None:
            if number % 2:
                async with caller.get(nginx.url + LINKS) as response:
                    await response.read()
                    gets[response.status] += 1
            else:
                async with caller.post(nginx.url + RECOMMEND, json={"message": f"물음 {number}"}) as response:
                    await response.read()
                    posts[response.status] += 1

        async def misfortune() -> None:
            await asyncio.sleep(2)
            await machines.kill(0)
            await asyncio.sleep(2)
            await machines.start(0)

        async with asyncio.TaskGroup() as group:
            fate = group.create_task(misfortune())
            begun, number = time.monotonic(), 0
            while number < seconds * per_second or not fate.done():
                group.create_task(call(number))
                number += 1
                await asyncio.sleep(max(0.0, begun + number / per_second - time.monotonic()))
        asked = Counter(request.json["message"] for request in llm.requests)
        # The machine that came back is asked again, a little after nginx left it out.
        lines, both = nginx.log.count("\n"), {f"127.0.0.1:{port}" for port in machines.ports}
        async with asyncio.timeout(30):
            while len({json.loads(line)["machine"] for line in nginx.log.splitlines()[lines:]} & both) < 2:
                async with caller.get(nginx.url + LINKS) as response:
                    assert response.status == 200
                await asyncio.sleep(0.05)
    assert gets == {200: number // 2}
    assert set(asked.values()) == {1}
    # A question in the hands of the machine that died fails, since the model may have it already.
    assert set(posts) <= {200, 502}
    assert posts[502] <= per_second


@fault(
    "Process",
    "All machines behind nginx are away, the last one after the other",
    caller_gets="200 while there is one; then 502 from nginx, `application/problem+json` with `code: unavailable` and a request id",
    within="1 s more",
    told_by="nginx' log ▸ `machine_status`; alert `OpusCineDown`",
)
async def test_no_machine(tmp_path: Path, compiled: Path) -> None:
    async with LlmServer() as llm, cluster(tmp_path, compiled, llm_server_url=llm.url) as (machines, nginx, caller):
        await machines.kill(1)
        for number in range(20):
            async with caller.post(nginx.url + RECOMMEND, json={"message": f"혼자 {number}"}) as response:
                assert response.status == 200
        assert Counter(request.json["message"] for request in llm.requests) == {f"혼자 {number}": 1 for number in range(20)}
        await machines.kill(0)
        async with caller.post(nginx.url + RECOMMEND, json={"message": "아무도 없다"}) as response:
            assert response.status == 502
            assert (await problem_of(response))["code"] == "unavailable"
