"""The door itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from redis.exceptions import ResponseError

from opuscine.guard.breaker import Breaker, BreakerInfo, BreakerOpenError
from opuscine.redis_gateway.address import RedisAddress
from opuscine.redis_gateway.away import AWAY, RedisAwayError, is_lost_connection, is_refusal, reason_of
from opuscine.redis_gateway.budget import RedisBudget
from opuscine.redis_gateway.clients import Argument, open_client
from opuscine.redis_gateway.write_queue import WriteQueue

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """How to reach Redis, and how much of a request's time it may take."""

    url: str = field(repr=False)
    budget_s: float = 0.05  # per request, over all its uses
    max_connections: int = 32  # also the number of uses under way at once; per node of a cluster
    connect_timeout_s: float = 0.25
    probe_timeout_s: float = 0.5
    write_budget_s: float = 0.25  # of one batch in the background
    write_queue_items: int = 1000
    write_queue_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RedisInfo:
    """The state of the gateway, for metrics and `/admin/stats`. Counters run since the start of the process."""

    address: str  # without credentials
    topology: str
    breaker: str  # "closed", "open", "half_open"
    in_use: int
    uses: int
    failures: Mapping[str, int]  # by reason: timeout, unreachable, refused, breaker_open, budget, closed
    last_error: str
    pending_writes: int
    written: int
    dropped_writes: int


class RedisGateway:
    """Use Redis within a budget, behind a breaker; whatever goes wrong is a `RedisAwayError`.

    Each use runs in a task of its own. A caller whose budget ends leaves; the use goes on to its own bound, so that a slow connect,
    a search for the primary or a late reply is finished on its connection and not cut off, and no reply can meet the wrong question.
    At most `max_connections` uses are under way.
    """

    def __init__(self, settings: RedisSettings, *, breaker: Breaker, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the address; connect to nothing yet.

        Raises:
            SettingsError: the URL, or a certificate it names, cannot be used.
        """
        self._settings = settings
        self._address = RedisAddress.parse(settings.url)
        self._breaker = breaker
        self._clock = clock
        # Two more than uses, for the probe.
        self._client = open_client(
            self._address, max_connections=settings.max_connections + 2, connect_timeout_s=settings.connect_timeout_s
        )
        self._slots = asyncio.Semaphore(settings.max_connections)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._uses = 0
        self._failures: Counter[str] = Counter()
        self._last_error = ""
        self._writes = WriteQueue(self._write_batch, max_items=settings.write_queue_items, max_bytes=settings.write_queue_bytes)

    def budget(self) -> RedisBudget:
        """Return a fresh budget: one for each request."""
        return RedisBudget(self._settings.budget_s, self._clock)

    async def get_many(self, keys: Sequence[str], budget: RedisBudget) -> list[bytes | None]:
        """Read the values of keys, in their order; None where there is none.

        Raises:
            RedisAwayError: nothing could be read.
        """
        if not keys:
            return []
        return await self._use(lambda: self._client.get_many(keys), budget, repeatable=True)

    async def set_many(self, items: Mapping[str, bytes], ttl_s: float, budget: RedisBudget) -> None:
        """Write values that expire after `ttl_s` seconds (at least a millisecond). Some may be written when it raises.

        Raises:
            RedisAwayError: not all could be written, or not in time.
        """
        if items:
            await self._use(lambda: self._client.set_many(items, max(1, round(ttl_s * 1000))), budget)

    def set_later(self, items: Mapping[str, bytes], ttl_s: float) -> None:
        """Write values in the background; dropped and counted when too much waits or Redis is away."""
        self._writes.put(items, ttl_s)

    async def delete(self, keys: Sequence[str], budget: RedisBudget) -> None:
        """Forget keys.

        Raises:
            RedisAwayError: they may still be there.
        """
        if keys:
            await self._use(lambda: self._client.delete(keys), budget)

    async def run_script(self, script: str, keys: Sequence[str], args: Sequence[Argument], budget: RedisBudget) -> Any:
        """Run a Lua script and return its reply; all keys must lie in one slot of a cluster. Never run twice.

        Raises:
            RedisAwayError: it failed, or its reply did not come in time (it may have run).
        """
        return await self._use(lambda: self._client.run_script(script, keys, args), budget)

    async def probe(self) -> dict[str, Any]:
        """Ask Redis whether it is there, past budget and breaker, for health.

        Raises:
            RedisAwayError: it did not answer within `probe_timeout_s`.
        """
        if self._closed:
            raise RedisAwayError("the gateway is closed")
        began = self._clock()
        try:
            async with asyncio.timeout(self._settings.probe_timeout_s):
                await self._client.ping()
        except AWAY as error:
            raise RedisAwayError(f"Redis at {self._address.display} does not answer: {_text(error)}") from error
        return {
            "topology": self._address.topology,
            "breaker": self._breaker.state_name,
            "ping_ms": round((self._clock() - began) * 1000, 1),
        }

    @property
    def info(self) -> RedisInfo:
        """Return counters and state as of now."""
        return RedisInfo(
            address=self._address.display,
            topology=self._address.topology,
            breaker=self._breaker.state_name,
            in_use=len(self._tasks),
            uses=self._uses,
            failures=dict(self._failures),
            last_error=self._last_error,
            pending_writes=len(self._writes),
            written=self._writes.written,
            dropped_writes=self._writes.dropped,
        )

    @property
    def breaker(self) -> BreakerInfo:
        """Return the state of the breaker as of now."""
        return self._breaker.info

    async def close(self, drain_s: float = 0.5) -> None:
        """Write what waits, for at most `drain_s`, end every use and close all connections. Later uses raise `RedisAwayError`."""
        await self._writes.close(drain_s)
        self._closed = True
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                await self._client.aclose()
        except AWAY as error:  # it ends here either way
            self._last_error = _text(error)

    async def _write_batch(self, items: Mapping[str, bytes], ttl_s: float) -> None:
        await self.set_many(items, ttl_s, RedisBudget(self._settings.write_budget_s, self._clock))

    async def _use(self, operation: Callable[[], Awaitable[T]], budget: RedisBudget, *, repeatable: bool = False) -> T:
        """Do one thing with Redis: the only way in."""
        self._uses += 1
        if self._closed:
            raise self._away("closed", "the gateway is closed")
        if budget.remaining_s <= 0:
            raise self._away("budget", "the request's budget for Redis is used up")
        began = budget.now()
        try:
            result = await self._breaker.call(self._wait_for, operation, budget.remaining_s, repeatable)
        except BreakerOpenError as error:
            raise self._away("breaker_open", "its breaker is open") from error
        except AWAY as error:
            raise self._away(reason_of(error), _text(error)) from error
        finally:
            budget.spend_since(began)
        if isinstance(result, _Refusal):
            raise self._away("refused", _text(result.error)) from result.error
        return result

    async def _wait_for(self, operation: Callable[[], Awaitable[T]], wait_s: float, repeatable: bool) -> T | _Refusal:
        """Wait for a use until the budget ends; this is what the breaker sees, and a refusal is no failure to it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        try:
            async with asyncio.timeout_at(until if self._slots.locked() else None):
                await self._slots.acquire()
        except TimeoutError:
            raise TimeoutError(f"no free connection within {wait_s * 1000:.0f} ms") from None
        task = loop.create_task(self._run(operation, repeatable))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        await asyncio.wait((task,), timeout=until - loop.time())
        # After a stall of the loop the reply may lie in the socket already: it counts.
        for _ in range(_TURNS_FOR_A_REPLY):
            if task.done():
                break
            await asyncio.sleep(0)
        else:
            raise TimeoutError(f"no reply within {wait_s * 1000:.0f} ms")
        if task.cancelled():
            raise ConnectionAbortedError("the gateway was closed")
        return task.result()

    async def _run(self, operation: Callable[[], Awaitable[T]], repeatable: bool) -> T | _Refusal:
        try:
            async with asyncio.timeout(self._client.limit_s):
                try:
                    return await operation()
                except AWAY as error:
                    if not (repeatable and is_lost_connection(error)):
                        raise
                return await operation()
        except ResponseError as error:
            if not is_refusal(error):
                raise
            return _Refusal(error)
        finally:
            self._slots.release()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to ask for it

    def _away(self, reason: str, text: str) -> RedisAwayError:
        self._failures[reason] += 1
        if reason not in {"breaker_open", "budget"}:  # these say nothing new
            self._last_error = text
        return RedisAwayError(f"Redis at {self._address.display} is away: {text}")


_TURNS_FOR_A_REPLY = 5  # from the socket through the use (a cluster's needs three) to the one who waits for it


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: ResponseError


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
