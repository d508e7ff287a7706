"""A TCP proxy that can make a network fail: reset, stall, swallow or close connections, and be well again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Literal

Behaviour = Literal["pass", "stall", "blackhole", "reset", "close"]


class TcpProxy:
    """Carry bytes between callers and one upstream. `port` is where callers connect to.

    Behaviours, which hold for open and new connections: "pass"; "stall" keeps all bytes until "pass" comes again; "blackhole" throws
    them away; "reset" and "close" end new connections at once with RST and FIN (end the open ones with `drop_all`).
    """

    def __init__(self, upstream_port: int) -> None:
        """Lead to `upstream_port` of this machine."""
        self.port = 0
        self.accepted = 0
        self._upstream_port = upstream_port
        self._behaviour: Behaviour = "pass"
        self._flows = asyncio.Event()
        self._flows.set()
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, upstream_port: int) -> AsyncIterator[TcpProxy]:
        """Run a proxy for the length of the block."""
        proxy = cls(upstream_port)
        await proxy.start()
        try:
            yield proxy
        finally:
            await proxy.stop()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End everything."""
        assert self._server is not None
        self._server.close()
        self.drop_all()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def open_connections(self) -> int:
        """Return how many callers are connected through to the upstream."""
        return len(self._links)

    def behave(self, behaviour: Behaviour) -> None:
        """Change what happens to bytes and new connections from now on."""
        self._behaviour = behaviour
        if behaviour == "stall":
            self._flows.clear()
        else:
            self._flows.set()

    def drop_all(self, *, reset: bool = False) -> None:
        """End every open connection, by FIN or by RST."""
        for pair in tuple(self._links):
            for writer in pair:
                _end(writer, reset=reset)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._behaviour in {"reset", "close"}:
            _end(writer, reset=self._behaviour == "reset")
            return
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            _end(writer, reset=True)
            return
        link = (writer, upstream_writer)
        self._links.add(link)
        pumps = [asyncio.create_task(self._pump(reader, upstream_writer)), asyncio.create_task(self._pump(upstream_reader, writer))]
        self._tasks.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._tasks.difference_update(pumps)
            for end in link:
                _end(end, reset=False)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flows.wait()
                if self._behaviour == "blackhole":
                    continue
                writer.write(data)
                await writer.drain()


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    connection = writer.transport.get_extra_info("socket")
    if reset and connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if reset:
        writer.transport.abort()
    else:
        writer.close()
