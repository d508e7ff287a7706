"""Many attackers at one time: each is cut within its bound, and everybody else is served as if they were not there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.attackers import Outcome, crowd, gzip_bomb, make_bomb, slow_body, slow_headers
from support.door import Answer, Load, eventually
from support.fault_wall import fault
from support.process import ServiceProcess, serving

BOUND_S = 3.0
LOOSE_S = 15.0  # this machine runs attackers, callers and service on a core or two
ATTACKERS = 500
RECOMMEND = {"message": "2019년 한국 스릴러", "limit": 3}


async def connections_of(service: ServiceProcess) -> dict[str, object]:
    """Return the part of the stats."""
    async with service.caller.get(f"{service.url}/admin/stats") as response:
        connections: dict[str, object] = (await response.json())["connections"]
        return connections


async def recommendations(service: ServiceProcess, until: asyncio.Event) -> list[int]:
    """Ask for films until told to stop, and return the statuses."""
    statuses = []
    while not until.is_set():
        async with service.caller.post(f"{service.url}/api/movies/recommend", json=RECOMMEND) as response:
            await response.read()
            statuses.append(response.status)
        await asyncio.sleep(0.05)
    return statuses


def failed(answers: list[Answer]) -> list[Answer]:
    """Return the answers that are no success."""
    return [answer for answer in answers if answer.status != 200]


@fault(
    "Connections",
    "500 callers send their headers and 500 their bodies so slowly that they never end",
    caller_gets="each of them 408 and the end of its connection; everybody else what they asked for",
    within="`HEADER_TIMEOUT` and `BODY_TIMEOUT`, each 10 s",
    told_by="log `connection broken` with its `cause` and `count`; `/admin/stats` ▸ `connections.closed.slow_headers`, `slow_body`",
)
async def test_slow_senders(tmp_path: Path) -> None:
    async with serving(tmp_path, header_timeout=BOUND_S, body_timeout=BOUND_S) as service:
        port = int(service.url.rpartition(":")[2])
        over = asyncio.Event()
        load = Load(service.caller, f"{service.url}/api/movies/popular?limit=3")
        async with load.running(callers=2, pause_s=0.02), asyncio.TaskGroup() as group:
            asking = group.create_task(recommendations(service, over))
            headers, bodies = await asyncio.gather(
                crowd(lambda: slow_headers(port, pause_s=1.0, give_up_s=LOOSE_S), ATTACKERS, within_s=1.5),
                crowd(lambda: slow_body(port, pause_s=1.0, give_up_s=LOOSE_S), ATTACKERS, within_s=1.5),
            )
            over.set()
        for outcomes, status in ((headers, 408), (bodies, 408)):
            assert {outcome.status for outcome in outcomes} == {status}
            assert not [outcome for outcome in outcomes if outcome.gave_up or outcome.took_s < BOUND_S * 0.9]
        assert len(load.answers) > 20
        assert failed(load.answers) == []
        assert set(asking.result()) == {200}

        async def gone() -> bool:
            closed = (await connections_of(service))["closed"]
            return isinstance(closed, dict) and closed.get("slow_headers") == closed.get("slow_body") == ATTACKERS

        await eventually(gone, what="every attacker counted")
    lines = [line for line in service.log if line["event"] == "connection broken"]
    assert sum(line["count"] for line in lines) == 2 * ATTACKERS
    assert len(lines) < 40


@fault(
    "Hostile input",
    "Four gzip bombs of 2 MB arrive at one time, each 2 GB once it is inflated",
    caller_gets="415 and the end of its connection, since nothing is ever inflated; everybody else what they asked for",
    within="a second, for which a refused body is still read",
    told_by="log `request` with status 415",
)
async def test_gzip_bombs(tmp_path: Path) -> None:
    bomb = make_bomb(2_000_000)
    async with serving(tmp_path) as service:
        port = int(service.url.rpartition(":")[2])
        load = Load(service.caller, f"{service.url}/api/movies/popular?limit=3")
        memory_before = resident_bytes(service)
        async with load.running(callers=2, pause_s=0.01):
            outcomes: list[Outcome] = await asyncio.gather(*(gzip_bomb(port, bomb, give_up_s=LOOSE_S) for _ in range(4)))
        assert {outcome.status for outcome in outcomes} == {415}
        assert not any(outcome.gave_up for outcome in outcomes)
        assert failed(load.answers) == []
        assert max(answer.took_s for answer in load.answers) < 2.0
        assert resident_bytes(service) - memory_before < 64_000_000  # one of them is 2 GB once it is inflated


def resident_bytes(service: ServiceProcess) -> int:
    """Return how much memory the process holds."""
    fields = Path(f"/proc/{service.process.pid}/statm").read_text().split()
    return int(fields[1]) * 4096
