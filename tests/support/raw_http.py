"""Both ends of HTTP/1.1 over raw transports, so that they cost little beside what is measured. Bodies have a Content-Length."""

from __future__ import annotations

import asyncio
from typing import cast


def body_length(head: bytes) -> int:
    """Return what a head in lower case says of its body; 0 without a word."""
    return int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)


def json_answer(body: bytes) -> bytes:
    """Write a good answer, head and body."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def json_request(path: str, host: str, body: bytes, headers: bytes = b"") -> bytes:
    """Write a POST, head and body; further headers end with a line's end each."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return b"%b%b\r\n%b" % (head.encode(), headers, body)


class Answerer(asyncio.Protocol):
    """One connection to a server: reads requests, and gives each to `asked`."""

    def __init__(self) -> None:
        """Start unconnected."""
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def asked(self, head: bytes) -> None:
        """Answer a request, now or later, by `give`; the head is in lower case."""
        raise NotImplementedError

    def give(self, answer: bytes) -> None:
        """Send a whole answer, unless the caller has left."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only

    def data_received(self, data: bytes) -> None:
        """Pass on every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = body_length(head)
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self.asked(head)


class Connection(asyncio.Protocol):
    """One kept-alive connection of a caller that sends one request at a time."""

    CUT_OFF = 0  # the status of an answer that never came

    def __init__(self) -> None:
        """Start unconnected."""
        self.transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._buffer = bytearray()
        self._wanted = -1

    @property
    def is_open(self) -> bool:
        """Tell whether a request may be sent."""
        return self.transport is not None and not self.transport.is_closing()

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and return the status and the body of its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        if self.transport is not None:  # else it is lost, and the answer with it
            self.transport.write(request)
        else:
            self._answer.set_result((self.CUT_OFF, b""))
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only

    def data_received(self, data: bytes) -> None:
        """Collect an answer."""
        self._buffer += data
        if self._wanted < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._wanted = end + 4 + body_length(bytes(self._buffer[:end]).lower())
        if len(self._buffer) >= self._wanted and self._answer is not None and not self._answer.done():
            status = int(self._buffer[9:12])
            body = bytes(self._buffer[self._buffer.find(b"\r\n\r\n") + 4 : self._wanted])
            del self._buffer[: self._wanted]
            self._wanted = -1
            self._answer.set_result((status, body))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the protocol's name
        """Tell who waits."""
        self.transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self.CUT_OFF, b""))
