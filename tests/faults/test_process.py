"""What a caller sees when the processes that answer him die, are replaced, or are told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import aiohttp

from support.fault_wall import fault
from support.llm_server import LlmServer, hang
from support.notified import unit
from support.steady_load import Load
from support.workers import is_running, lines, processes, until_logged


@fault(
    "Process",
    "A worker is killed",
    caller_gets="the end of the connection for requests in its hands; all others are answered by another worker",
    within="a new worker serves within 2 s",
    told_by="log `worker died`; under systemd, the journal of `opuscine@N`",
)
async def test_killed(tmp_path: Path, workers: dict[str, object]) -> None:
    async with unit(tmp_path, workers) as service:
        url = await service.url()
        before = processes(service)
        load = Load(url, rate=100, requests=10_000, connections=4, fresh=True)
        calling = asyncio.create_task(load.run())
        await asyncio.sleep(0.5)
        os.kill(before[1], signal.SIGKILL)
        await until_logged(service, "worker ready", 3)
        load.stopped = True
        report = await calling
        after = processes(service)
        assert (await service.stopped())[0] == 0
    assert report.answered > 50
    assert "ConnectionRefusedError" not in report.failed
    assert report.failed.total() <= 4
    assert after[1] != before[1]
    assert after[2] == before[2]
    (died,) = lines(service, "worker died")
    assert (died["number"], died["status"]) == (1, -9)


@fault(
    "Process",
    "All workers are replaced one after another under load",
    caller_gets="every answer, some with `Connection: close`",
    within="the time of the answer",
    told_by="log `rolling restart begun`, `worker ready`, `worker ended`",
)
async def test_rolling_restart(tmp_path: Path, workers: dict[str, object]) -> None:
    async with unit(tmp_path, workers) as service:
        url = await service.url()
        before = processes(service)
        load = Load(url, rate=200, requests=20_000, connections=12)
        calling = asyncio.create_task(load.run())
        await asyncio.sleep(0.5)
        service.process.send_signal(signal.SIGUSR2)
        await until_logged(service, "worker ended", 2)
        await asyncio.sleep(0.5)
        load.stopped = True
        report = await calling
        after = processes(service)
        assert not [pid for pid in before.values() if is_running(pid)]
        assert (await service.stopped())[0] == 0
    assert report.failed == Counter()
    assert report.answered > 200
    assert not set(before.values()) & set(after.values())
    assert not lines(service, "answers cut off")


@fault(
    "Process",
    "The service is stopped while the model is silent",
    caller_gets="503 with `Retry-After` for a stream that has not begun (else an `error` event), the end of the connection for others",
    within="`DRAIN_TIMEOUT` and half a second",
    told_by="log `answers cut off` with their count",
)
async def test_stopped(tmp_path: Path, workers: dict[str, object]) -> None:
    slow_stop = {**workers, "workers": "", "drain_timeout": 0.5}
    async with LlmServer() as llm, unit(tmp_path, slow_stop | {"llm_server_url": llm.url}) as service, aiohttp.ClientSession() as caller:
        llm.answer = hang()
        url = await service.url()
        question = {"message": "영화"}
        stream = asyncio.create_task(caller.post(f"{url}/recommend", json=question, headers={"Accept": "text/event-stream"}))
        async with asyncio.timeout(20):
            while not llm.in_flight:
                await asyncio.sleep(0.005)
        _, took_s = await service.stopped()
        response = await stream
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert (await response.json())["code"] == "unavailable"
    assert took_s < 5
    assert lines(service, "answers cut off")
