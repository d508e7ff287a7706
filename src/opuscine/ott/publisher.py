"""The links of a whole catalogue, written to Redis for machines that do not have it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

import structlog

from opuscine.catalogue.store import LinkRow
from opuscine.codec import dumps, loads
from opuscine.errors import OpusCineError
from opuscine.guard.retry import backoff_s
from opuscine.ott.redis import LINKS_TTL_S
from opuscine.ott.stored_row import row_key, write_row
from opuscine.ott.tier import TitleLinks
from opuscine.redis_gateway import RedisAwayError, RedisBudget, RedisGateway

T = TypeVar("T")

BATCH_BUDGET_S = 1.0
ATTEMPTS = 4  # of one batch, over about two seconds: a failover or a restart does not end a run
BACKOFF_S = 0.5
STARTS = 5

log = structlog.get_logger("opuscine.ott")


class CatalogueFacts(Protocol):
    """The part of the catalogue's description that is published with its links."""

    @property
    def generation(self) -> str:
        """Return the name of what is served."""
        ...

    @property
    def as_of(self) -> datetime:
        """Return when the catalogue's sources were last changed, in aware UTC."""
        ...


class WholeCatalogue(Protocol):
    """A catalogue that can be gone through; a place is of one generation."""

    @property
    def info(self) -> CatalogueFacts:
        """Return the description of the present generation."""
        ...

    def links_after(self, place: int, limit: int) -> Sequence[LinkRow]:
        """Return the next titles behind a place that stream somewhere."""
        ...

    def count_links(self) -> int:
        """Count the titles that stream somewhere."""
        ...


class PublishError(OpusCineError):
    """Say that no run came to its end."""


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """How fast to write, and for how long."""

    rate: float = 2000.0  # rows a second
    batch: int = 200  # rows in one write; never more than a second's worth
    ttl_s: float = LINKS_TTL_S
    resume: bool = True


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come, those rows included that an earlier run had written."""

    generation: str
    done: int
    total: int
    resumed_at: int = 0


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a run stands, kept in Redis beside the rows, so that it is lost together with them."""

    place: int = 0
    done: int = 0
    began: float = 0.0  # by the wall clock: other machines may go on


class Publisher:
    """Write every title's links as a row that `RedisTier` reads, most popular titles first, at a bounded rate.

    An interrupted run is taken up where it stopped by the next one of the same generation, unless its rows have already lived half
    of their time; a finished one starts anew. So does one under which the catalogue changes, or Redis loses what was written.
    """

    def __init__(
        self,
        catalogue: WholeCatalogue,
        gateway: RedisGateway,
        settings: PublishSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take an open catalogue, and a gateway whose breaker stays closed over some failures."""
        self._catalogue = catalogue
        self._gateway = gateway
        self._settings = settings
        self._batch = max(1, min(settings.batch, int(settings.rate)))
        self._clock = clock
        self._wall_clock = wall_clock

    async def run(self, on_progress: Callable[[Progress], None]) -> Progress:
        """Publish all there is, telling `on_progress` after every write.

        Raises:
            RedisAwayError: Redis was away for longer than `ATTEMPTS` bridge. What is written stays, and its position.
            PublishError: catalogue or Redis did not stay the same for the length of a run.
        """
        for _ in range(STARTS):
            progress = await self._run_generation(self._catalogue.info.generation, on_progress)
            if progress is not None:
                return progress
        raise PublishError(f"the catalogue changed, or Redis lost what was written, under each of {STARTS} runs (is its memory full?)")

    async def _run_generation(self, generation: str, on_progress: Callable[[Progress], None]) -> Progress | None:
        """Publish one generation; None if the run must start anew."""
        key = f"opuscine:publish:{generation}"
        position = await self._found_position(key) if self._settings.resume else None
        position = position or _Position(began=self._wall_clock())
        progress = Progress(generation, position.done, self._catalogue.count_links(), resumed_at=position.done)
        on_progress(progress)
        free_at = self._clock()
        while self._catalogue.info.generation == generation:
            rows = self._catalogue.links_after(position.place, self._batch)
            if rows:
                # A delay is not made up for: the rate holds over every stretch of time.
                free_at = max(free_at, self._clock()) + len(rows) / self._settings.rate
                position = await self._publish(rows, position, key)
                progress = replace(progress, done=position.done)
                on_progress(progress)
                await asyncio.sleep(free_at - self._clock())
            if position.place and self._left_s(position) > 1 and await self._note(key) is None:
                log.warning("publishing starts anew: Redis has lost what was written", published=position.done)
                return None
            if not rows:
                await self._persist(lambda budget: self._gateway.delete([key], budget))
                return progress
        log.warning("publishing starts anew: the catalogue has changed", was=generation)
        return None

    async def _publish(self, rows: Sequence[LinkRow], position: _Position, key: str) -> _Position:
        """Write rows, and only then where that leads to."""
        as_of = self._catalogue.info.as_of
        items = {row_key(row.ref): write_row(TitleLinks(row.links, as_of)) for row in rows if row.links}
        await self._persist(lambda budget: self._gateway.set_many(items, self._settings.ttl_s, budget))
        after = replace(position, place=rows[-1].place, done=position.done + len(rows))
        left_s = self._left_s(after)
        if left_s > 0:
            note = {key: dumps(asdict(after))}
            await self._persist(lambda budget: self._gateway.set_many(note, left_s, budget))
        return after

    async def _found_position(self, key: str) -> _Position | None:
        """Return where an interrupted run stands; what cannot be read counts as none."""
        note = await self._note(key)
        if note is None:
            return None
        try:
            fields = loads(note)
            position = _Position(int(fields["place"]), int(fields["done"]), float(fields["began"]))
        except (ValueError, TypeError, KeyError, OverflowError):
            log.warning("the position of an interrupted run cannot be read; publishing starts anew", key=key)
            return None
        fresh = 0 < self._left_s(position) <= self._settings.ttl_s / 2
        return position if fresh and 0 < position.place < 2**63 and position.done >= 0 else None

    def _left_s(self, position: _Position) -> float:
        """Return how long a run may be taken up again: half its rows' life from when it began."""
        return position.began + self._settings.ttl_s / 2 - self._wall_clock()

    async def _note(self, key: str) -> bytes | None:
        [note] = await self._persist(lambda budget: self._gateway.get_many([key], budget))
        return note

    async def _persist(self, use: Callable[[RedisBudget], Awaitable[T]]) -> T:
        """Do one thing with Redis, again if need be: all that is done here may be done twice."""
        failures = 0
        while True:
            try:
                return await use(RedisBudget(BATCH_BUDGET_S))
            except RedisAwayError as error:
                failures += 1
                if failures >= ATTEMPTS:
                    raise
                log.debug("Redis is away; trying again", cause=str(error), failures=failures)
            await asyncio.sleep(backoff_s(failures, base_s=BACKOFF_S, cap_s=1.0, rng=lambda: 1.0))
