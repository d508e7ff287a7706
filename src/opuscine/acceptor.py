"""How connections are taken from sockets, which other processes may share.

An event loop accepts all that waits at each wake-up: on a shared socket one busy process takes nearly every connection that way. Here
each takes one at a time, and waits a little before its first the more it holds, so that whoever holds less is quicker.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence

import structlog
from aiohttp import web

from opuscine.sockets import LISTEN_BACKLOG, address_of

PATIENCE_S = 0.000_125  # per connection that is held; below half a millisecond uvloop does not wait at all
MOST_PATIENCE_S = 0.004  # what a new connection may cost; those in use are not touched by it
SHORT_OF_S = 1.0  # until it is tried again when the process or the system has no descriptor or memory left
SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = structlog.get_logger("opuscine.acceptor")


class Acceptor:
    """Take connections from listening sockets and give each to a protocol of `server`.

    It stands where aiohttp (3.14) expects an `asyncio.Server`: there it reads `sockets` and calls `close`.
    """

    def __init__(self, sockets: Sequence[socket.socket], server: web.Server, *, shared: bool) -> None:
        """Take over the sockets, which must not block; only those that are `shared` are accepted from with patience."""
        self.sockets = tuple(sockets)
        self._server = server
        self._patience_s = PATIENCE_S if shared else 0.0
        self._loop = asyncio.get_running_loop()
        self._next: dict[socket.socket, asyncio.Handle] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._open = True

    def start(self) -> None:
        """Begin to accept."""
        for listening in self.sockets:
            self._loop.add_reader(listening.fileno(), self._wake, listening)

    def close(self) -> None:
        """Stop accepting, and close the sockets; connections stay."""
        if not self._open:
            return
        self._open = False
        for handle in self._next.values():
            handle.cancel()
        for listening in self.sockets:
            self._loop.remove_reader(listening.fileno())
            listening.close()

    async def take_waiting(self) -> None:
        """Take what the kernel has accepted for us by now: closing the socket would reset those connections (measured)."""
        for listening in self.sockets:
            for _ in range(LISTEN_BACKLOG):
                try:
                    self._serve(listening.accept()[0])
                except OSError:  # there are no more, or no more can be taken
                    break
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _wake(self, listening: socket.socket) -> None:
        """Somebody waits; the first to come is taken at once or a little later, whoever follows after that one by one."""
        self._loop.remove_reader(listening.fileno())
        patience_s = min(self._patience_s * len(self._server.connections), MOST_PATIENCE_S)
        if patience_s:
            self._next[listening] = self._loop.call_later(patience_s, self._take, listening)
        else:
            self._take(listening)

    def _take(self, listening: socket.socket) -> None:
        try:
            connection = listening.accept()[0]
        except BlockingIOError:
            self._loop.add_reader(listening.fileno(), self._wake, listening)
            return
        except OSError as error:
            if error.errno in SHORT_OF:
                log.error("cannot accept", error=error.strerror, again_in_s=SHORT_OF_S)
                self._next[listening] = self._loop.call_later(SHORT_OF_S, self._take, listening)
                return
            # Else that connection is gone again, and the next one may be fine.
        else:
            self._serve(connection)
        self._next[listening] = self._loop.call_soon(self._take, listening)

    def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        task = self._loop.create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._server, connection)
        except OSError:  # it is gone again
            connection.close()


class AcceptingSite(web.BaseSite):
    """Listen on sockets that are there already."""

    def __init__(self, runner: web.BaseRunner, sockets: Sequence[socket.socket], *, shared: bool) -> None:
        """Take over the sockets; they are closed with the site."""
        super().__init__(runner)
        self._sockets = tuple(sockets)
        self._shared = shared
        self._acceptor: Acceptor | None = None

    @property
    def name(self) -> str:
        """Return the address of the first socket."""
        return address_of(self._sockets[0])

    async def start(self) -> None:
        """Begin to accept."""
        await super().start()
        if self._runner.server is None:
            raise RuntimeError("set up the runner first")
        self._acceptor = Acceptor(self._sockets, self._runner.server, shared=self._shared)
        self._server = self._acceptor  # type: ignore[assignment]  # what aiohttp does with it, it can do
        self._acceptor.start()

    async def take_waiting(self) -> None:
        """Take the connections that wait to be accepted."""
        if self._acceptor is not None:
            await self._acceptor.take_waiting()
