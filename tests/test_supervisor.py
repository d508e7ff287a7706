"""Several workers behind a parent: real processes that are killed, replaced, reloaded and stopped while callers call."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from opuscine.supervisor import LONGEST_PAUSE_S, pause_s
from support.llm_server import LlmServer, reply, slow
from support.notified import unit
from support.workers import is_running, lines, processes, until_logged

# Workers that live as they are told, so that what the parent does about it is seen in seconds.
PARENT = """
import sys
from opuscine.sockets import bind_sockets
from opuscine.supervisor import Supervisor
from opuscine.systemd import ServiceManager
from opuscine.telemetry.logs import configure_logs

configure_logs(level="info", readable=False)
command = [sys.executable, "-S", "-c", sys.argv[1]]
sys.exit(Supervisor(1, bind_sockets("127.0.0.1", 0), ServiceManager(""), command, stop_limit_s=5, patience_s=1.0).run())
"""
READY = (
    'import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect("\\0" + os.environ["NOTIFY_SOCKET"][1:]); '
)
GET_READY = READY + 's.send(b"READY=1"); '


async def test_workers_share_one_address_one_compile_and_the_connections(tmp_path: Path, workers: dict[str, object]) -> None:
    async with unit(tmp_path, workers | {"cache_dir": tmp_path / "cache"}) as service:
        url = URL(await service.url())
        with ExitStack() as connections:
            for _ in range(60):
                connection = connections.enter_context(socket.create_connection((url.host or "", url.port or 0), timeout=10))
                connection.sendall(b"GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"200 OK" in await asyncio.to_thread(connection.recv, 4096)
        assert (await service.stopped())[0] == 0
    assert len(lines(service, "catalogue_compiled")) == 1
    took = Counter(line["worker"] for line in lines(service, "request"))
    assert set(took) == {1, 2}
    assert min(took.values()) >= 10
    assert [next(iter(message)) for message in service.told if list(message) != ["STATUS"]] == ["READY", "STOPPING"]


async def test_a_rolling_restart_to_settings_that_are_wrong_is_given_up_and_the_old_workers_go_on(
    tmp_path: Path, workers: dict[str, object]
) -> None:
    async with unit(tmp_path, workers) as service, aiohttp.ClientSession() as caller:
        url = await service.url()
        before = processes(service)
        (tmp_path / ".env").write_text("LLM_TIMEOUT=soon\n")
        service.process.send_signal(signal.SIGUSR2)
        await until_logged(service, "rolling restart given up", 1)
        assert all(is_running(pid) for pid in before.values())
        async with caller.get(f"{url}/health/readiness") as response:
            assert response.status == 200
        assert (await service.stopped())[0] == 0
    assert "opuscine: LLM_TIMEOUT: found 'soon'" in service.text
    assert len(lines(service, "worker started")) == 3


async def test_a_hangup_reloads_every_worker_and_is_told_from_beginning_to_end(tmp_path: Path, workers: dict[str, object]) -> None:
    async with unit(tmp_path, workers) as service:
        await service.url()
        service.process.send_signal(signal.SIGHUP)
        await service.tells("RELOADING")
        await service.tells("READY", times=2)
        assert (await service.stopped())[0] == 0
    assert {line["worker"] for line in lines(service, "reload begun")} == {1, 2}


async def test_a_stop_finishes_the_answers_under_way_and_leaves_no_process_behind(tmp_path: Path, workers: dict[str, object]) -> None:
    async with LlmServer() as llm, unit(tmp_path, workers | {"llm_server_url": llm.url}) as service, aiohttp.ClientSession() as caller:
        llm.answer = slow(1.0, reply())
        url = await service.url()
        calls = [asyncio.create_task(caller.post(f"{url}/recommend", json={"message": f"영화 {number}"})) for number in range(4)]
        async with asyncio.timeout(20):
            while llm.in_flight < 4:
                await asyncio.sleep(0.005)
        pids = processes(service).values()
        status, _ = await service.stopped()
        answers = [await call for call in calls]
    assert status == 0
    assert [(answer.status, answer.headers["Connection"]) for answer in answers] == [(200, "close")] * 4
    assert not [pid for pid in pids if is_running(pid)]


async def test_a_second_signal_ends_everything_at_once(tmp_path: Path, workers: dict[str, object]) -> None:
    async with LlmServer() as llm, unit(tmp_path, workers | {"llm_server_url": llm.url}) as service, aiohttp.ClientSession() as caller:
        llm.answer = slow(30.0, reply())
        url = await service.url()
        call = asyncio.create_task(caller.post(f"{url}/recommend", json={"message": "영화"}))
        async with asyncio.timeout(20):
            while not llm.in_flight:
                await asyncio.sleep(0.005)
        pids = processes(service).values()
        service.process.send_signal(signal.SIGTERM)
        await service.tells("STOPPING")
        status, took_s = await service.stopped()
        with pytest.raises(aiohttp.ClientError):
            await call
        assert not [pid for pid in pids if is_running(pid)]
    assert status == -signal.SIGTERM
    assert took_s < 5


async def test_workers_stop_when_their_parent_is_killed(tmp_path: Path, workers: dict[str, object]) -> None:
    async with unit(tmp_path, workers) as service:
        await service.url()
        pids = processes(service).values()
        service.process.kill()
        async with asyncio.timeout(20):
            while [pid for pid in pids if is_running(pid)]:
                await asyncio.sleep(0.02)
        assert len(lines(service, "stopped")) == 2


async def test_a_first_start_that_fails_is_not_tried_for_ever(tmp_path: Path, workers: dict[str, object]) -> None:
    broken = tmp_path / "movies.json"
    broken.write_text("{")
    async with unit(tmp_path, workers | {"movies_data_file": broken, "cache_dir": tmp_path / "cache"}) as service:
        assert await service.ended() == 1
    assert "movies.json" in service.text
    assert not [message for message in service.told if "READY" in message]


def test_who_dies_at_once_is_waited_with_ever_longer() -> None:
    pauses = [pause_s(deaths) for deaths in range(12)]
    assert pauses[:4] == [0.0, 0.25, 0.5, 1.0]
    assert pauses == sorted(pauses)
    assert pause_s(10_000) == LONGEST_PAUSE_S


async def parent_of(script: str) -> asyncio.subprocess.Process:
    """Start a parent of one worker that runs a script."""
    command = (sys.executable, "-c", PARENT, script)
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)


async def events_of(parent: asyncio.subprocess.Process, *, until: str, times: int) -> list[dict[str, object]]:
    """Read the parent's log until an event came so many times, and stop it."""
    events: list[dict[str, object]] = []
    assert parent.stdout is not None
    async with asyncio.timeout(40):
        while sum(line["event"] == until for line in events) < times:
            line = await parent.stdout.readline()
            if not line:
                raise AssertionError(f"it ended: {events}")
            if line.startswith(b"{"):
                events.append(json.loads(line))
    parent.terminate()
    await parent.communicate()
    return events


async def test_a_crash_loop_slows_down() -> None:
    begun = time.monotonic()
    events = await events_of(await parent_of(GET_READY + "os.abort()"), until="worker died", times=5)
    assert time.monotonic() - begun >= 0.25 + 0.5 + 1.0
    assert [line["pause_s"] for line in events if line["event"] == "worker waited with"] == [0.25, 0.5, 1.0]


async def test_a_worker_that_says_nothing_any_more_is_ended() -> None:
    """By SIGABRT, so that it can say where it is stuck, and by SIGKILL if even that is of no use."""
    events = await events_of(await parent_of(GET_READY + "time.sleep(60)"), until="worker died", times=1)
    assert [line["status"] for line in events if line["event"] == "worker died"] == [-signal.SIGABRT]
    deaf = GET_READY + "import signal; signal.signal(signal.SIGABRT, signal.SIG_IGN); time.sleep(60)"
    events = await events_of(await parent_of(deaf), until="worker died", times=1)
    assert [line["status"] for line in events if line["event"] == "worker died"] == [-signal.SIGKILL]


def addresses_of(parent: asyncio.subprocess.Process) -> list[str]:
    """Return the abstract addresses at which a parent listens to its workers."""
    listed = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()]
    return [name for name in listed if f"@opuscine-{parent.pid}-" in name]


async def test_only_workers_are_believed(tmp_path: Path, workers: dict[str, object]) -> None:
    """What another process tells the parent's socket counts for nothing."""
    script = READY + "time.sleep(60)"
    parent = await parent_of(script)
    try:
        async with asyncio.timeout(20):
            while not (names := addresses_of(parent)):
                await asyncio.sleep(0.02)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            stranger.connect(f"\0{names[0].removeprefix('@')}")
            stranger.send(b"READY=1")
        await asyncio.sleep(0.5)
    finally:
        parent.terminate()
        out, _ = await parent.communicate()
    assert b"worker started" in out
    assert b"worker ready" not in out
