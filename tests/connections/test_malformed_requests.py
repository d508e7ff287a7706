"""What malformed requests leave behind: nothing but a line in the log."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from opuscine.keys import CONNECTIONS
from support.attackers import attack
from support.door import eventually
from support.malformed_requests import CORPUS, GOOD, attempt_all
from support.process import serving
from support.service import running


def test_there_are_enough_of_them() -> None:
    assert len(CORPUS) >= 60
    assert len({malformed.sent for malformed in CORPUS.values()}) == len(CORPUS)


async def test_malformed_requests_leave_no_task_and_no_connection(compiled: Path) -> None:
    async with running(compiled, header_timeout=0.7, body_timeout=0.7) as service:
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
