"""Redis as a tier of links, shared by all processes: written by what they find elsewhere, and by `opuscine catalogue publish`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import structlog

from opuscine.model import TitleRef
from opuscine.ott.stored_row import read_row, row_key, write_row
from opuscine.ott.tier import OttAsk, TierName, TitleLinks
from opuscine.providers.table import ProviderTable
from opuscine.redis_gateway import RedisGateway

LINKS_TTL_S = 86_400.0
BROKEN_LOG_INTERVAL_S = 60.0
SHORT_BYTES = 64 * 1024  # rows of a request that are longer together are read in a thread, not on the loop

log = structlog.get_logger("opuscine.ott")


class RedisTier:
    """Find links in Redis, all titles at once and within the request's budget. When Redis is away it raises `RedisAwayError`.

    A row that cannot be read is a miss: counted, and logged no more than once a minute.
    """

    name: TierName = "redis"

    def __init__(
        self,
        gateway: RedisGateway,
        *,
        table: ProviderTable,
        region: str,
        ttl_s: float = LINKS_TTL_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the gateway; `region` is for links of the predecessor's rows that name none, `ttl_s` how long rows live."""
        self._gateway = gateway
        self._table = table
        self._region = region
        self._ttl_s = ttl_s
        self._now = now
        self._clock = clock
        self._logged_at = -math.inf
        self.broken_rows = 0  # since the start of the process

    async def find_many(self, refs: Sequence[TitleRef], ask: OttAsk) -> Mapping[TitleRef, TitleLinks]:
        """Return what the rows of the titles say, by one MGET."""
        budget = self._gateway.budget() if ask.budget is None else ask.budget
        values = await self._gateway.get_many([row_key(ref) for ref in refs], budget)
        rows = {ref: value for ref, value in zip(refs, values, strict=True) if value is not None}
        if sum(map(len, rows.values())) <= SHORT_BYTES:
            found, broken = self._read(rows)
        else:
            found, broken = await asyncio.to_thread(self._read, rows)
        if broken:
            self._note(broken)
        return found

    def keep(self, found: Mapping[TitleRef, TitleLinks]) -> None:
        """Write rows in the background; they are dropped when Redis is away."""
        self._gateway.set_later({row_key(ref): write_row(known) for ref, known in found.items()}, self._ttl_s)

    def _read(self, rows: Mapping[TitleRef, bytes]) -> tuple[dict[TitleRef, TitleLinks], dict[TitleRef, str]]:
        """Return what the rows say, and of those that cannot be read why."""
        found: dict[TitleRef, TitleLinks] = {}
        broken: dict[TitleRef, str] = {}
        now = self._now()
        for ref, row in rows.items():
            try:
                found[ref] = read_row(row, ref=ref, table=self._table, region=self._region, now=now)
            except ValueError as error:
                broken[ref] = str(error)
        return found, broken

    def _note(self, broken: Mapping[TitleRef, str]) -> None:
        self.broken_rows += len(broken)
        if self._clock() - self._logged_at < BROKEN_LOG_INTERVAL_S:
            return
        self._logged_at = self._clock()
        ref, cause = next(iter(broken.items()))
        log.warning("ott_row_broken", key=row_key(ref), cause=cause, so_far=self.broken_rows, consequence="taken for absent")
