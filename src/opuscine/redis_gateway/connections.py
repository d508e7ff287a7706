"""redis-py's connections, taught to notice before use that their peer is gone.

A connection that was reset while it lay in the pool has no end of stream but an error on its reader, which redis-py 8.1.0 does not
look at: the next use fails, on uvloop as RuntimeError. (A connection that was closed in order is noticed by its pool, but not by a
cluster's node.)
"""

from __future__ import annotations

import ssl
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelManagedConnection


class _Noticing(AbstractConnection):
    """Reconnect a dead connection where it is taken from a pool.

    Nothing is judged later than that: during the handshake, a peer that accepts and closes would make it connect again for ever.
    """

    async def connect(self) -> None:
        """Connect unless there is a living connection. Called by `ConnectionPool` at check-out."""
        if self._is_dead():
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]

    def should_reconnect(self) -> bool:
        """Tell whether to disconnect before use. Called by a cluster's node at check-out, and by both when it is given back."""
        return bool(super().should_reconnect()) or self._is_dead()  # type: ignore[no-untyped-call]

    def _is_dead(self) -> bool:
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            return False
        return reader.at_eof() or reader.exception() is not None or writer.transport.is_closing()


class _Encrypted(SSLConnection):
    """Share one TLS context: redis-py builds one per connection, which reads the system's authorities each time (17 ms)."""

    def __init__(self, *, tls_context: ssl.SSLContext, **kwargs: Any) -> None:
        """Use `tls_context` in place of redis-py's own options."""
        super().__init__(**kwargs)
        self.ssl_context.context = tls_context


class TcpConnection(_Noticing, Connection):
    """A plain connection to one server."""


class TlsConnection(_Noticing, _Encrypted):
    """A TLS connection to one server."""


class UnixConnection(_Noticing, UnixDomainSocketConnection):
    """A connection through a Unix socket."""


class PrimaryConnection(_Noticing, SentinelManagedConnection):
    """A plain connection to whichever server the sentinels call primary."""


class TlsPrimaryConnection(_Noticing, SentinelManagedConnection, _Encrypted):
    """A TLS connection to whichever server the sentinels call primary."""
