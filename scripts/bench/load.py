"""The load generator: raw HTTP/1.1 over kept-alive connections, so that it costs little beside what it measures.

Runs as a process of its own, `python -m bench.load`: reads the plan as one JSON object from its standard input and prints what came of it
as one JSON object. In a closed loop each connection sends its next request when the answer is there; in an open loop requests leave at
their own times, and what they wait for a free connection counts.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop

from bench.stage import HERE
from support.raw_http import Connection, json_request

LONGEST_S = 600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: each request takes the next of the paths and of the bodies (none: GET). `per_s` is the rate of an open loop; None: a
    closed loop."""

    url: str
    paths: Sequence[str]
    requests: int
    connections: int = 8
    headers: Mapping[str, str] = field(default_factory=dict)
    bodies: Sequence[str] = ()
    per_s: float | None = None
    least_bytes: int = 1  # of every body
    holds: str = ""  # what every body must hold


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a plan; latencies in seconds, sorted."""

    took_s: float
    statuses: Mapping[str, int]
    wrong: int  # answers of another status, too short, or without what they must hold
    latencies: Sequence[float]

    @property
    def per_s(self) -> float:
        """Return the answers per second."""
        return len(self.latencies) / self.took_s if self.took_s else 0.0

    def quantile(self, share: float) -> float:
        """Return the latency that so many of the answers did not exceed, in seconds."""
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))] if self.latencies else 0.0


def run(plan: Plan) -> Result:
    """Carry out a plan in a process of its own. Raises RuntimeError if that fails."""
    told = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(plan)).encode(),
        check=False,
        capture_output=True,
        timeout=LONGEST_S,
        env={"PYTHONPATH": str(HERE.parent), "PATH": ""},
    )
    if told.returncode:
        raise RuntimeError(f"the load generator failed:\n{told.stderr.decode(errors='replace')[-2000:]}")
    return Result(**json.loads(told.stdout))


class Generator:
    """Carries out one plan."""

    def __init__(self, plan: Plan) -> None:
        """Write every request beforehand."""
        self._plan = plan
        host, _, port = plan.url.removeprefix("http://").partition(":")
        self._address = (host, int(port))
        lines = "".join(f"{name}: {value}\r\n" for name, value in plan.headers.items())
        if plan.bodies:
            self._requests = [json_request(plan.paths[0], f"{host}:{port}", body.encode(), lines.encode()) for body in plan.bodies]
        else:
            self._requests = [f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{lines}\r\n".encode() for path in plan.paths]
        self._sent = 0
        self._latencies: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._wrong = 0

    async def run(self) -> Result:
        """Send everything and wait for every answer."""
        began = time.perf_counter()
        if self._plan.per_s is None:
            await asyncio.gather(*(self._closed_loop() for _ in range(min(self._plan.connections, self._plan.requests))))
        else:
            await self._open_loop(self._plan.per_s)
        took_s = time.perf_counter() - began
        return Result(took_s, {str(status): count for status, count in self._statuses.items()}, self._wrong, sorted(self._latencies))

    async def _closed_loop(self) -> None:
        connection = await self._connect()
        while self._sent < self._plan.requests:
            connection = await self._exchange(connection, time.perf_counter())

    async def _open_loop(self, per_s: float) -> None:
        idle: deque[Connection] = deque([await self._connect() for _ in range(self._plan.connections)])
        waiting: set[asyncio.Task[None]] = set()
        began = time.perf_counter()

        async def one(due: float) -> None:
            connection = idle.popleft() if idle else await self._connect()
            idle.append(await self._exchange(connection, due))

        for number in range(self._plan.requests):
            due = began + number / per_s
            if (early_s := due - time.perf_counter()) > 0:
                await asyncio.sleep(early_s)
            task = asyncio.create_task(one(due))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        if waiting:
            await asyncio.wait(waiting)

    async def _connect(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, *self._address)
        return connection

    async def _exchange(self, connection: Connection, due: float) -> Connection:
        """Send the next request; return the connection for the one after."""
        if not connection.is_open:
            connection = await self._connect()
        request = self._requests[self._sent % len(self._requests)]
        self._sent += 1
        status, body = await connection.exchange(request)
        self._latencies.append(time.perf_counter() - due)
        self._statuses[status] += 1
        if status != 200 or len(body) < self._plan.least_bytes or self._plan.holds.encode() not in body:
            self._wrong += 1
        return connection


def main(text: str) -> None:
    """Run a plan and print its result."""
    plan: dict[str, Any] = json.loads(text)
    result = uvloop.run(Generator(Plan(**plan)).run())
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main(sys.stdin.read())
