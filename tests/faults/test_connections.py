"""What a caller sees when there are too many connections, and when one of them falls silent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

from opuscine.keys import CONNECTIONS
from support.attackers import BODY_HEAD, HEAD, attack, slow_headers
from support.door import eventually
from support.fault_wall import fault
from support.service import running


@fault(
    "Connections",
    "There are `MAX_CONNECTIONS` connections and some of them are idle",
    caller_gets="what it asked for: the connection that was idle longest is closed for it",
    within="at once, as ever",
    told_by="log `connection broken`, `cause: evicted`; `/admin/stats` ▸ `connections.closed.evicted`",
)
async def test_no_room_but_idle_connections(compiled: Path) -> None:
    async with running(compiled, max_connections=1) as service:
        idle = asyncio.create_task(attack(service.port, [HEAD + b"\r\n"]))

        async def is_idle() -> bool:
            return service.app[CONNECTIONS].info.idle == 1

        await eventually(is_idle, what="an idle connection")
        await service.get("/health/liveness")
        assert (await idle).status == 200
        assert service.app[CONNECTIONS].info.closed["evicted"] == 1


@fault(
    "Connections",
    "There are `MAX_CONNECTIONS` connections and all of them are in use",
    caller_gets="503 with `Retry-After: 1` and the end of its connection; those in use are left alone",
    within="at once, before it has sent anything",
    told_by="log `connection refused`; `/admin/stats` ▸ `connections.refused`",
)
async def test_no_room(compiled: Path) -> None:
    async with running(compiled, max_connections=1, header_timeout=60) as service:
        holder = asyncio.create_task(slow_headers(service.port))

        async def is_held() -> bool:
            return service.app[CONNECTIONS].open == 1

        await eventually(is_held, what="the one connection")
        outcome = await attack(service.port, [HEAD + b"\r\n"])
        assert (outcome.status, json.loads(outcome.answer.partition(b"\r\n\r\n")[2])["code"]) == (503, "unavailable")
        assert b"Retry-After: 1\r\n" in outcome.answer
        assert not holder.done()
        holder.cancel()
        await asyncio.wait({holder})


@fault(
    "Connections",
    "Somebody connects and says nothing",
    caller_gets="the end of the connection, without a word",
    within="`HEADER_TIMEOUT`, 10 s",
    told_by="`/admin/stats` ▸ `connections.closed.silent`",
)
async def test_silence(compiled: Path) -> None:
    async with running(compiled, header_timeout=0.3) as service:
        outcome = await attack(service.port, [], give_up_s=10)
        assert (outcome.answer, outcome.gave_up) == (b"", False)


@fault(
    "Connections",
    "A caller asks again and again and reads no answer",
    caller_gets="the end of its connection, and with it of what it costs",
    within="30 s from when its answers begin to pile up",
    told_by="log `connection broken`, `cause: not_taken`; `/admin/stats` ▸ `connections.closed.not_taken`",
)
async def test_answers_that_nobody_takes(compiled: Path) -> None:
    async with running(compiled) as service:
        service.app[CONNECTIONS].sending.limit_s = 0.3
        _, writer = await asyncio.open_connection("127.0.0.1", service.port, limit=1024)
        writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)

        async def is_cut() -> bool:
            return bool(service.app[CONNECTIONS].info.closed.get("not_taken"))

        await eventually(is_cut, what="the end of the connection")
        writer.transport.abort()


@fault(
    "Connections",
    "A body breaks off inside of a chunk, and its sender waits for the answer",
    caller_gets="400 and the end of its connection",
    within="at once, not after `BODY_TIMEOUT`",
    told_by="log `request` with status 400; `/admin/stats` ▸ `connections.closed.malformed`",
)
async def test_a_broken_chunk(compiled: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield BODY_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
        await asyncio.sleep(0.1)
        yield b"nonsense\r\n"

    async with running(compiled, body_timeout=60) as service:
        outcome = await attack(service.port, pieces(), give_up_s=10)
        assert (outcome.status, outcome.gave_up) == (400, False)
