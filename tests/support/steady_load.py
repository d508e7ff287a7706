"""A steady load over connections that are kept alive, or over a new one each time; every request that fails is counted and told.

Run as a program, it prints what came of it as JSON: `python -m support.steady_load --url … --rate 300 --requests 6000`. It speaks HTTP
by itself, since clients such as aiohttp's repeat a GET that failed without saying so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

ANSWER_S = 20.0  # longest wait for one answer
BODY = json.dumps({"message": "2019년 한국 스릴러", "limit": 2}).encode()


@dataclass
class Report:
    """What came of a load."""

    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0

    @property
    def sent(self) -> int:
        """Return how many requests there were."""
        return self.answered + self.failed.total()


@dataclass
class Load:
    """Send requests at a rate, until so many were sent or it is told to stop; every fourth one is a POST."""

    url: str
    rate: float
    requests: int
    connections: int = 16
    key: str = ""
    fresh: bool = False
    path: str = "/api/movies/496243/ott"
    report: Report = field(default_factory=Report)
    stopped: bool = False

    def head(self, number: int) -> bytes:
        """Write the request with this number."""
        headers = ["Host: load", *([f"X-Api-Key: {self.key}"] if self.key else []), *(["Connection: close"] if self.fresh else [])]
        if number % 4:
            lines, body = [f"GET {self.path} HTTP/1.1", *headers], b""
        else:
            posted = ["Content-Type: application/json", f"Content-Length: {len(BODY)}"]
            lines, body = ["POST /api/movies/recommend HTTP/1.1", *headers, *posted], BODY
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def run(self) -> Report:
        """Send all; return what came of it."""
        await asyncio.gather(*(self._caller(place) for place in range(self.connections)))
        return self.report

    async def _caller(self, place: int) -> None:
        """Send every `connections`-th request on one connection, opened anew when the service says that it closes it."""
        begun = time.monotonic()
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for number in range(place, self.requests, self.connections):
            await asyncio.sleep(begun + number / self.rate - time.monotonic())
            if self.stopped:
                break
            asked = time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_S):
                    streams = streams or await self._connect()
                    status, closes = await self._ask(*streams, number)
            except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
                self.report.failed[type(error).__name__] += 1
                closes = True
            else:
                if status == 200:
                    self.report.answered += 1
                else:
                    self.report.failed[str(status)] += 1
            self.report.longest_s = max(self.report.longest_s, time.monotonic() - asked)
            if closes and streams:
                streams[1].close()
                streams = None
        if streams:
            streams[1].close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = urlsplit(self.url)
        return await asyncio.open_connection(address.hostname, address.port)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> tuple[int, bool]:
        """Return the status of one answer and whether the connection ends with it."""
        writer.write(self.head(number))
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        lengths = [line.partition(":")[2] for line in head.splitlines() if line.startswith("content-length:")]
        await reader.readexactly(int("".join(lengths)))
        return int(head.split()[1]), "connection: close" in head


def main(arguments: Sequence[str]) -> int:
    """Run a load and print its report; SIGTERM ends it early."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--key", default="")
    parser.add_argument("--fresh", action="store_true")
    load = Load(**vars(parser.parse_args(arguments)))

    async def run() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, setattr, load, "stopped", True)
        await load.run()

    with suppress(KeyboardInterrupt):
        asyncio.run(run())
    print(json.dumps({"answered": load.report.answered, "failed": dict(load.report.failed), "longest_s": round(load.report.longest_s, 3)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
