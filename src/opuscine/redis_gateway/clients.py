"""redis-py's clients behind one small interface: one server, a primary found by sentinels, or a cluster.

All of them: no retries of redis-py's own (a cluster repeats a script eleven times by default), RESP2 and no CLIENT SETINFO (a new
connection costs no round trip unless there is a password or a database), no maintenance notifications.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.maint_notifications import MaintNotificationsConfig

from opuscine.errors import SettingsError
from opuscine.redis_gateway.address import RedisAddress
from opuscine.redis_gateway.away import AWAY, is_refusal
from opuscine.redis_gateway.connections import PrimaryConnection, TcpConnection, TlsConnection, TlsPrimaryConnection, UnixConnection

T = TypeVar("T")
Argument = str | int | bytes
_Execute = Callable[..., Awaitable[Any]]


class RedisClient(Protocol):
    """What the gateway asks of Redis. Every method raises redis-py's errors and those of the transport below it."""

    limit_s: float  # how long one use may go on by itself, over all connecting and searching

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read the values of keys, in their order."""
        ...

    async def set_many(self, items: Mapping[str, bytes], ttl_ms: int) -> None:
        """Write values that expire; not atomic."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Forget keys."""
        ...

    async def run_script(self, script: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a Lua script, sending its text only where it is not known yet."""
        ...

    async def ping(self) -> None:
        """Make every server that holds data answer."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


def open_client(address: RedisAddress, *, max_connections: int, connect_timeout_s: float) -> RedisClient:
    """Build the client for an address; nothing is connected yet.

    Raises:
        SettingsError: a certificate file that the address names cannot be used.
    """
    options: dict[str, Any] = {
        "db": address.db,
        "username": address.username or None,
        "password": address.password or None,
        **_common(connect_timeout_s),
    }
    if address.tls:
        options["tls_context"] = _tls_context(address)
    if address.topology == "cluster":
        return ClusterClient(address, options, max_connections)
    if address.topology == "sentinel":
        return _sentinel_client(address, options, max_connections)
    if address.path:
        return ServerClient(_server(UnixConnection, options, max_connections, path=address.path), limit_s=2 * connect_timeout_s)
    [(host, port)] = address.nodes
    connection_class = TlsConnection if address.tls else TcpConnection
    return ServerClient(_server(connection_class, options, max_connections, host=host, port=port), limit_s=2 * connect_timeout_s)


class ServerClient:
    """One server, or the primary that sentinels name."""

    def __init__(self, redis: Redis, *, limit_s: float, sentinel: Sentinel | None = None) -> None:
        """Own `redis`, and `sentinel` if there is one."""
        self.limit_s = limit_s
        self._redis = redis
        self._execute: _Execute = redis.execute_command
        self._sentinel = sentinel

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read with one MGET."""
        values = await self._execute("MGET", *keys)
        if not isinstance(values, list) or len(values) != len(keys):
            raise ValueError("its reply to MGET is not one value for each key")
        return values

    async def set_many(self, items: Mapping[str, bytes], ttl_ms: int) -> None:
        """Write with one pipeline of SET."""
        pipeline = self._redis.pipeline(transaction=False)
        _queue_sets(pipeline.execute_command, items, ttl_ms)
        _raise_first(await pipeline.execute(raise_on_error=False))

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete with one DEL."""
        await self._execute("DEL", *keys)

    async def run_script(self, script: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run by digest, and by text where Redis has been restarted or flushed of scripts."""
        return await _run_script(self._execute, script, keys, args)

    async def ping(self) -> None:
        """Ask for a PONG."""
        await self._execute("PING")

    async def aclose(self) -> None:
        """Close the connections to the server and to the sentinels."""
        await self._redis.aclose()
        if self._sentinel is not None:
            await self._sentinel.aclose()


class ClusterClient:
    """A cluster: keys are spread over its primaries."""

    def __init__(self, address: RedisAddress, options: dict[str, Any], max_connections: int) -> None:
        """Know the nodes of the address; the others are asked for at the first use."""
        connect_timeout_s = options["socket_connect_timeout"]
        self.limit_s = connect_timeout_s * (len(address.nodes) + 4)
        self._min_reset_interval_s = 1.0
        self._reset_at = -1.0
        self._generation = 0
        self._cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in address.nodes],
            max_connections=max_connections,
            username=options["username"],
            password=options["password"],
            # A hung node must leave time to ask the next one for the slots.
            socket_timeout=connect_timeout_s,
            socket_connect_timeout=connect_timeout_s,
            retry=options["retry"],
            protocol=2,
            driver_info=None,
            maint_notifications_config=_NO_MAINTENANCE,
            require_full_coverage=False,
        )
        connections = {"connection_class": TlsConnection if address.tls else TcpConnection}
        extra = {"tls_context": options["tls_context"]} if address.tls else {}
        self._cluster.connection_kwargs.update(connections | extra)
        for node in self._cluster.startup_nodes:
            node.connection_class = connections["connection_class"]
            node.connection_kwargs.update(extra)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read with one MGET per slot, all nodes at once."""
        return await self._watched(lambda: self._cluster.mget_nonatomic(keys))

    async def set_many(self, items: Mapping[str, bytes], ttl_ms: int) -> None:
        """Write with one pipeline per node."""

        async def write() -> None:
            pipeline = self._cluster.pipeline()
            _queue_sets(pipeline.execute_command, items, ttl_ms)
            _raise_first(await pipeline.execute(raise_on_error=False))

        await self._watched(write)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete with one DEL per slot."""
        await self._watched(lambda: self._cluster.delete(*keys))

    async def run_script(self, script: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run where the keys are, which must share one slot."""
        return await self._watched(lambda: _run_script(self._cluster.execute_command, script, keys, args))

    async def ping(self) -> None:
        """Ask every primary for a PONG."""
        await self._watched(lambda: self._cluster.execute_command("PING", target_nodes=RedisCluster.PRIMARIES))

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        await self._cluster.aclose()

    async def _watched(self, use: Callable[[], Awaitable[T]]) -> T:
        """Look up the cluster's nodes anew after a failure.

        Without redis-py's own retries a failed pipeline (so every `get_many`) never makes it do so, and a failover would go unnoticed.
        At most once a second, and only by the first to fail: it takes the connections from under all uses that are under way.
        """
        generation = self._generation
        try:
            return await use()
        except AWAY as error:
            now = time.monotonic()
            if generation == self._generation and now - self._reset_at >= self._min_reset_interval_s and not is_refusal(error):
                self._generation += 1
                self._reset_at = now
                await self._cluster.aclose()
            raise


_NO_MAINTENANCE = MaintNotificationsConfig(enabled=False)


def _common(connect_timeout_s: float) -> dict[str, Any]:
    return {
        "socket_connect_timeout": connect_timeout_s,
        "socket_timeout": None,  # the gateway bounds whole uses; redis-py's own bound costs a task per command on 3.11
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }


def _server(
    connection_class: type[TcpConnection | TlsConnection | UnixConnection], options: dict[str, Any], size: int, **where: Any
) -> Redis:
    pool = ConnectionPool(connection_class, size, _NO_MAINTENANCE, **options, **where)
    return Redis.from_pool(pool)


def _sentinel_client(address: RedisAddress, options: dict[str, Any], max_connections: int) -> ServerClient:
    connect_timeout_s = options["socket_connect_timeout"]
    # Of its own, so that one dead or hung sentinel costs a connect time-out and not redis-py's five seconds.
    asking: dict[str, Any] = {
        **_common(connect_timeout_s),
        "socket_timeout": connect_timeout_s,
        "username": address.sentinel_username or None,
        "password": address.sentinel_password or None,
    }
    tls = {"tls_context": options["tls_context"]} if address.tls else {}
    sentinel = Sentinel([])  # type: ignore[no-untyped-call]
    sentinel.sentinels = [
        _server(TlsConnection if address.tls else TcpConnection, {**asking, **tls}, 4, host=host, port=port) for host, port in address.nodes
    ]
    connection_class = TlsPrimaryConnection if address.tls else PrimaryConnection
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        address.service,
        sentinel,
        connection_class=connection_class,
        max_connections=max_connections,
        maint_notifications_config=_NO_MAINTENANCE,
        **options,
    )
    return ServerClient(Redis.from_pool(pool), limit_s=connect_timeout_s * (len(address.nodes) + 2), sentinel=sentinel)


def _tls_context(address: RedisAddress) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=address.ca_file or None)
        if address.cert_file:
            context.load_cert_chain(address.cert_file, address.key_file or None)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(
            f"REDIS_URL names a certificate that cannot be used ({error.strerror or 'unreadable'}): "
            "ca_file, cert_file and key_file are paths of readable PEM files"
        ) from error
    return context


async def _run_script(execute: Callable[..., Awaitable[Any]], script: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
    try:
        return await execute("EVALSHA", _sha(script), len(keys), *keys, *args)
    except NoScriptError:
        return await execute("EVAL", script, len(keys), *keys, *args)


@lru_cache(maxsize=64)
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()  # what EVALSHA asks for


def _queue_sets(queue: Callable[..., object], items: Mapping[str, bytes], ttl_ms: int) -> None:
    for key, value in items.items():
        queue("SET", key, value, "PX", ttl_ms)


def _raise_first(results: Sequence[Any]) -> None:
    """Raise the first error among a pipeline's results; redis-py itself would put keys and values into its text."""
    for result in results:
        if isinstance(result, Exception):
            raise result
