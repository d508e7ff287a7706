"""At the bound on connections the longest idle one makes room, and only where none is idle somebody is refused."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from structlog.testing import capture_logs

from opuscine.keys import CONNECTIONS
from support.attackers import BODY_HEAD, HEAD, attack, crowd
from support.door import eventually
from support.llm_server import LlmServer, hang
from support.process import serving
from support.service import Service, running

GET = HEAD + b"\r\n"
POST = BODY_HEAD + b'Content-Length: 16\r\n\r\n{"message": "x"}'


@asynccontextmanager
async def kept_alive(service: Service) -> AsyncIterator[asyncio.StreamReader]:
    """Open a connection on which one request was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        writer.write(GET)
        await reader.readuntil(b'"}')
        yield reader
    finally:
        writer.transport.abort()


async def ends(reader: asyncio.StreamReader, *, within_s: float) -> bool:
    """Say whether the connection ends."""
    try:
        async with asyncio.timeout(within_s):
            return await reader.read() == b""
    except TimeoutError:
        return False


async def test_the_longest_idle_connection_makes_room(compiled: Path) -> None:
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(running(compiled, max_connections=3))
        first, second, third = [await stack.enter_async_context(kept_alive(service)) for _ in range(3)]
        assert service.app[CONNECTIONS].info.idle == 3
        fourth = await stack.enter_async_context(kept_alive(service))
        assert await ends(first, within_s=5)
        assert not any([await ends(reader, within_s=0.05) for reader in (second, third, fourth)])
        info = service.app[CONNECTIONS].info
        assert (info.open, info.refused, info.closed) == (3, 0, {"evicted": 1})


async def test_a_connection_that_is_being_served_is_not_closed_for_a_new_one(compiled: Path) -> None:
    async with LlmServer() as llm, running(compiled, max_connections=2, llm_server_url=llm.url) as service:
        llm.answer = hang()
        busy = [asyncio.create_task(attack(service.port, [POST])) for _ in range(2)]

        async def both_wait() -> bool:
            return llm.in_flight + service.app[CONNECTIONS].open >= 3

        await eventually(both_wait, what="two calls under way")
        outcome = await attack(service.port, [GET])
        head, _, body = outcome.answer.partition(b"\r\n\r\n")
        assert (outcome.status, json.loads(body)["code"]) == (503, "unavailable")
        assert b"application/problem+json" in head
        assert b"Retry-After: 1" in head
        assert service.app[CONNECTIONS].info.refused == 1
        assert not any(call.done() for call in busy)
        for call in busy:
            call.cancel()
        await asyncio.wait(busy)

        async def room() -> bool:
            return (await attack(service.port, [HEAD + b"Connection: close\r\n\r\n"])).status == 200

        await eventually(room, what="room again")


async def test_a_flood_beyond_the_bound_is_refused_in_few_lines(compiled: Path) -> None:
    async with running(compiled, max_connections=1, header_timeout=60) as service:
        _, holder = await asyncio.open_connection("127.0.0.1", service.port)

        async def held() -> bool:
            return service.app[CONNECTIONS].open == 1

        await eventually(held, what="the one connection")
        with capture_logs() as logs:
            outcomes = await crowd(lambda: attack(service.port, [GET], give_up_s=10), 300)
            await asyncio.sleep(1.1)
        assert {outcome.status for outcome in outcomes} <= {503, 0}
        assert not any(outcome.gave_up for outcome in outcomes)
        assert sum(outcome.status == 503 for outcome in outcomes) >= 64
        lines = [line for line in logs if line["event"] == "connection refused"]
        assert len(lines) <= 6
        assert sum(line["count"] for line in lines) == 300
        assert service.app[CONNECTIONS].info.refused == 300
        holder.transport.abort()


FITTING = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from opuscine.server import connections_that_fit
print(connections_that_fit({wanted}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def fitting(soft: int, hard: int, wanted: int) -> tuple[int, int, str]:
    """Return how many connections fit, how many files may be open then, and what was logged."""
    script = FITTING.format(soft=soft, hard=hard, wanted=wanted)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    *logged, last = done.stdout.splitlines()
    fit, files = last.split()
    return int(fit), int(files), "".join(logged)


def test_the_kernel_is_asked_for_as_many_files_as_connections_need() -> None:
    assert fitting(256, 4096, 1000) == (1000, 1512, "")
    assert fitting(4096, 4096, 1000) == (1000, 4096, "")


def test_where_fewer_files_are_allowed_there_are_fewer_connections_and_the_log_says_so() -> None:
    fit, files, logged = fitting(256, 1024, 10_000)
    assert (fit, files) == (512, 1024)
    assert "LimitNOFILE (ulimit -n) to 10512, or MAX_CONNECTIONS to 512" in logged
    assert fitting(64, 64, 10_000)[0] == 32


async def test_a_process_has_its_bound_from_the_setting(tmp_path: Path) -> None:
    async with serving(tmp_path, max_connections=7) as service, service.caller.get(f"{service.url}/admin/stats") as response:
        assert (await response.json())["connections"]["limit"] == 7
