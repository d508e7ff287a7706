"""Callers that mean harm, over raw sockets: each sends as it is told and writes down what became of its connection.

They go to a service on this machine only, and every one of them gives up after `give_up_s`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

HEAD = b"GET /health/liveness HTTP/1.1\r\nHost: x\r\n"
BODY_HEAD = b"POST /api/movies/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BOMB_BLOCK = 16_777_216  # zeros in one block of a bomb


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attacker's connection."""

    answer: bytes
    took_s: float  # from connecting to the end of the connection
    gave_up: bool = False  # the service had not closed it by then

    @property
    def status(self) -> int:
        """Return the status of the first answer; 0 is none."""
        return int(self.answer.split(b" ", 2)[1]) if self.answer.startswith(b"HTTP/") else 0


async def attack(port: int, pieces: AsyncIterator[bytes] | Iterable[bytes], *, give_up_s: float = 30.0) -> Outcome:
    """Send pieces until the service closes the connection, and read to its end."""
    began = time.monotonic()
    answer = bytearray()
    gave_up = False
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sending = asyncio.create_task(_send(writer, pieces))
    try:
        async with asyncio.timeout(give_up_s):
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(65_536):
                    answer += piece
    except TimeoutError:
        gave_up = True
    finally:
        took_s = time.monotonic() - began
        sending.cancel()
        writer.transport.abort()
        await asyncio.wait({sending})
    return Outcome(bytes(answer), took_s, gave_up)


async def _send(writer: asyncio.StreamWriter, pieces: AsyncIterator[bytes] | Iterable[bytes]) -> None:
    with contextlib.suppress(ConnectionError):
        if isinstance(pieces, AsyncIterator):
            async for piece in pieces:
                writer.write(piece)
                await writer.drain()
        else:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()


async def drip(first: bytes, again: bytes, pause_s: float) -> AsyncIterator[bytes]:
    """Give a beginning, and then the same few bytes for ever."""
    yield first
    while True:
        await asyncio.sleep(pause_s)
        yield again


async def slow_headers(port: int, *, pause_s: float = 0.2, give_up_s: float = 30.0) -> Outcome:
    """Send a header after the other, and never the last."""
    return await attack(port, drip(HEAD, b"X-A: b\r\n", pause_s), give_up_s=give_up_s)


async def slow_body(port: int, *, pause_s: float = 0.2, give_up_s: float = 30.0) -> Outcome:
    """Send a body one byte after the other."""
    return await attack(port, drip(BODY_HEAD + b"Content-Length: 60000\r\n\r\n", b" ", pause_s), give_up_s=give_up_s)


async def slow_chunks(port: int, *, pause_s: float = 0.2, give_up_s: float = 30.0) -> Outcome:
    """Send a body of chunks that never ends."""
    return await attack(port, drip(BODY_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", pause_s), give_up_s=give_up_s)


async def gzip_bomb(port: int, bomb: bytes, *, give_up_s: float = 30.0) -> Outcome:
    """Send a body that would be a thousand times as large once it is inflated."""
    head = BODY_HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    return await attack(port, (head, *(bomb[at : at + 65_536] for at in range(0, len(bomb), 65_536))), give_up_s=give_up_s)


def make_bomb(size_bytes: int = 2_000_000) -> bytes:
    """Make a gzip stream of zeros; its blocks are alike, so one of them is compressed and repeated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = deflate.compress(bytes(BOMB_BLOCK)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + block * (size_bytes // len(block) + 1)


async def crowd(one: Callable[[], Awaitable[Outcome]], count: int, *, within_s: float = 0.5) -> list[Outcome]:
    """Let many attack at one time; they connect within `within_s`, since a burst would only test the kernel's queue."""

    async def later(number: int) -> Outcome:
        await asyncio.sleep(within_s * number / count)
        return await one()

    return list(await asyncio.gather(*(later(number) for number in range(count))))
