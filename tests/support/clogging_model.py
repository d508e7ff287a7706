"""An LLM server that clogs, as a process of its own that costs next to nothing: `python -m support.clogging_model AT_ONCE QUICK_S SLOW_S`.

It answers in `QUICK_S`, but in `SLOW_S` when a call comes while as many as `AT_ONCE` are under way, which is what `clogging_beyond` does to
the server inside a test. A call is under way from the moment that all of it is there until its answer leaves, or its caller does.
Its first line tells its port. It ends with its standard input, and then prints how many calls were under way, every 20 ms, as JSON.

async with clogging_model(16) as model:
    ... LLM_SERVER_URL=model.url ...
model.under_way  # [(monotonic seconds, calls), ...], once the block has ended
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvloop

from support.llm_server import success_body
from support.program import program
from support.raw_http import Answerer, json_answer

WATCH_S = 0.02
ANSWER = json_answer(json.dumps(success_body(), ensure_ascii=False).encode())
HEALTHY = json_answer(b'{"status": "ok"}')


@dataclass
class CloggingModel:
    """A running server: where it listens, and afterwards how many calls were under way."""

    url: str
    under_way: list[tuple[float, int]] = field(default_factory=list)


@asynccontextmanager
async def clogging_model(at_once: int, *, quick_s: float = 0.06, slow_s: float = 2.0) -> AsyncIterator[CloggingModel]:
    """Run the server until the block ends."""
    async with program("support.clogging_model", at_once, quick_s, slow_s) as running:
        model = CloggingModel(f"http://127.0.0.1:{int(await running.line())}")
        yield model
        model.under_way = [(at, calls) for at, calls in json.loads(await running.rest())]


@dataclass
class Clog:
    """What all connections share: the bound, and the calls under way."""

    at_once: int
    quick_s: float
    slow_s: float
    under_way: int = 0


class Call(Answerer):
    """One connection to the server."""

    def __init__(self, clog: Clog) -> None:
        """Take what all connections share."""
        super().__init__()
        self._clog = clog
        self._due: asyncio.TimerHandle | None = None

    def asked(self, head: bytes) -> None:
        """Answer after a while that depends on how many calls are under way, this one among them."""
        if head.startswith(b"get "):
            self.give(HEALTHY)
            return
        clog = self._clog
        clog.under_way += 1
        after_s = clog.quick_s if clog.under_way <= clog.at_once else clog.slow_s
        self._due = asyncio.get_running_loop().call_later(after_s, self._answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the protocol's name
        """Give up the call of a caller who left."""
        if self._due is not None:
            self._due.cancel()
            self._end()

    def _answer(self) -> None:
        self._end()
        self.give(ANSWER)

    def _end(self) -> None:
        self._due = None
        self._clog.under_way -= 1


async def serve(clog: Clog) -> list[tuple[float, int]]:
    """Serve until the standard input ends; return how many calls were under way."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Call(clog), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    told = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    end = asyncio.ensure_future(told.read())
    under_way: list[tuple[float, int]] = []
    while not end.done():
        under_way.append((time.monotonic(), clog.under_way))
        await asyncio.wait({end}, timeout=WATCH_S)
    return under_way


if __name__ == "__main__":
    at_once, quick_s, slow_s = sys.argv[1:]
    print(json.dumps(uvloop.run(serve(Clog(int(at_once), float(quick_s), float(slow_s))))))
