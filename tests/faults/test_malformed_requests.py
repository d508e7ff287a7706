"""Whatever is sent in place of a request: never a 5xx, never a wait without an end, and the next caller is served."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from faults.malformed_requests import CORPUS, GOOD, Malformed
from opuscine.keys import CONNECTIONS
from support.attackers import Outcome, attack
from support.door import eventually
from support.process import serving
from support.service import running

ANSWER = re.compile(rb"(?:^|\n|\})HTTP/1\.[01] (\d{3}) ")
BOUNDS = {"header_timeout": 0.7, "body_timeout": 0.7}
AT_ONCE = 16
CLOSED_S = 10.0  # loose: bounds are 0.7 s, and a refused body is read for one more


async def attempt(port: int, malformed: Malformed) -> tuple[Outcome, Outcome]:
    """Send one of them, and a good request after it."""
    bad = await attack(port, [malformed.sent], give_up_s=CLOSED_S)
    return bad, await attack(port, [GOOD], give_up_s=CLOSED_S)


async def attempt_all(port: int) -> list[str]:
    """Send all of them, some at a time, and say what was wrong with each answer."""
    places = asyncio.Semaphore(AT_ONCE)
    wrong: list[str] = []

    async def one(name: str, malformed: Malformed) -> None:
        async with places:
            bad, good = await attempt(port, malformed)
        statuses = [int(status) for status in ANSWER.findall(bad.answer)]
        if bad.gave_up:
            wrong.append(f"{name}: the connection stayed open")
        if bad.status not in malformed.status:
            wrong.append(f"{name}: {bad.status} instead of {malformed.status}")
        if any(status >= 500 for status in statuses) or b"/smuggled" in bad.answer:
            wrong.append(f"{name}: {statuses}")
        if len(statuses) > 1:
            wrong.append(f"{name}: was taken for {len(statuses)} requests")
        if any(word in bad.answer for word in (b"secret", b"Traceback", b"opuscine/", b"bytearray")):
            wrong.append(f"{name}: the answer tells more than it should: {bad.answer!r}")
        if statuses and statuses[0] >= 400 and b"application/problem+json" not in bad.answer:
            wrong.append(f"{name}: no problem+json")
        if good.status != 200:
            wrong.append(f"{name}: a good request after it got {good.status}")

    await asyncio.gather(*(one(name, malformed) for name, malformed in CORPUS.items()))
    return wrong


def test_there_are_enough_of_them() -> None:
    assert len(CORPUS) >= 60
    assert len({malformed.sent for malformed in CORPUS.values()}) == len(CORPUS)


async def test_a_process_answers_or_closes_every_malformed_request_and_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path, **BOUNDS) as service:
        port = int(service.url.rpartition(":")[2])
        assert await attempt_all(port) == []

        async def all_closed() -> bool:
            async with service.caller.get(f"{service.url}/admin/stats") as response:
                connections = (await response.json())["connections"]
            return bool(connections["open"] == 1 and sum(connections["closed"].values()) >= 2 * len(CORPUS))

        await eventually(all_closed, what="no connection but the asker's")
    assert not [line for line in service.log if line.get("level") in {"error", "critical"} or "Traceback" in str(line)]


async def test_malformed_requests_leave_no_task_and_no_connection(compiled: Path) -> None:
    async with running(compiled, **BOUNDS) as service:
        await attack(service.port, [GOOD])
        quiet = len(asyncio.all_tasks())
        assert await attempt_all(service.port) == []

        async def as_before() -> bool:
            return service.app[CONNECTIONS].info.open == 0 and len(asyncio.all_tasks()) <= quiet

        await eventually(as_before, what="the quiet number of tasks")


@pytest.mark.parametrize("name", ["no last chunk", "body that breaks off"])
async def test_a_sender_that_leaves_inside_of_its_body_costs_one_line(tmp_path: Path, name: str) -> None:
    async with serving(tmp_path) as service:
        port = int(service.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(CORPUS[name].sent)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await service.logged("connection broken")
    assert [line["cause"] for line in service.log if line["event"] == "connection broken"] == ["left_early"]
    assert not [line for line in service.log if line.get("level") == "error"]
