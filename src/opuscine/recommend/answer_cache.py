"""Answers that are kept: in the process, and in Redis for all processes and machines."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from opuscine.byte_lru import ByteLru
from opuscine.model import TitleRef
from opuscine.recommend.kept_answer import KeptAnswer, answer_key, read_row, row_key, write_row
from opuscine.recommend.wish import Wish
from opuscine.redis_gateway import RedisAwayError, RedisBudget, RedisGateway
from opuscine.settings import CacheSettings

BROKEN_LOG_INTERVAL_S = 60.0

log = structlog.get_logger("opuscine.recommend")


@dataclass(slots=True)
class TierCounts:
    """What one tier did since the start of the process."""

    hits: int = 0  # answers given while fresh
    misses: int = 0
    stale: int = 0  # answers given because the model failed
    stored: int = 0


class AnswerCache:
    """Keep answers under the digest of all they depend on: fresh for a while, and for a while more for when the model fails.

    The process is asked first, then Redis; both are written. A Redis that is away, and a row that cannot be read, is a miss: the latter is
    counted, and logged no more than once a minute.
    """

    def __init__(
        self, settings: CacheSettings, *, generation: Callable[[], str], gateway: RedisGateway | None, now: Callable[[], float]
    ) -> None:
        """Take the gateway, if there is a Redis; `generation` names the catalogue, `now` gives seconds since 1970."""
        self._settings = settings
        self._generation = generation
        self._gateway = gateway
        self._now = now
        self._here: ByteLru[bytes, KeptAnswer] = ByteLru(settings.max_bytes, lambda answer: answer.size)
        self._logged_at = -math.inf
        self.process, self.redis = TierCounts(), TierCounts()
        self.broken_rows = 0

    @property
    def on(self) -> bool:
        """Say whether anything is kept at all."""
        return self._settings.ttl_s > 0 and (self._settings.max_bytes > 0 or self._gateway is not None)

    def key(self, wish: Wish) -> bytes:
        """Return the key of a wish's answer as the catalogue is now."""
        return answer_key(wish, self._generation())

    def is_fresh(self, answer: KeptAnswer) -> bool:
        """Say whether an answer may be given while the model is well."""
        return self._now() < answer.fresh_until

    def age_s(self, answer: KeptAnswer) -> int:
        """Return the age of an answer in whole seconds."""
        return answer.age_s(self._now())

    def here(self, key: bytes) -> KeptAnswer | None:
        """Return a fresh answer that the process holds."""
        answer = self.peek(key)
        if answer is None:
            self.process.misses += self.on
        else:
            self.note_hit()
        return answer

    def peek(self, key: bytes) -> KeptAnswer | None:
        """Return the same without counting it."""
        answer = self._here.get(key)
        return answer if answer is not None and self.is_fresh(answer) else None

    def note_hit(self) -> None:
        """Count an answer of the process that was given while fresh."""
        self.process.hits += 1

    @property
    def holds_any(self) -> bool:
        """Say whether the process holds an answer, fresh or not."""
        return self._here.bytes_held > 0

    async def elsewhere(self, key: bytes, budget: RedisBudget | None) -> KeptAnswer | None:
        """Return a fresh answer that Redis holds."""
        answer = (await self._read([key], budget)).get(key)
        if answer is None or not self.is_fresh(answer):
            self.redis.misses += self.on and self._gateway is not None
            return None
        self.redis.hits += 1
        return answer

    async def last_resort(self, key: bytes, budget: RedisBudget | None) -> KeptAnswer | None:
        """Return an answer for when there is no other: as fresh as there is one, and no older than it may be."""
        kept, tier = self._usable(self._here.get(key)), self.process
        if kept is None:
            kept, tier = (await self._read([key], budget)).get(key), self.redis
        if kept is not None and self.is_fresh(kept):
            tier.hits += 1
        elif kept is not None:
            tier.stale += 1
        return kept

    async def given(self, wishes: Mapping[int, Wish], budget: RedisBudget | None) -> dict[int, Mapping[TitleRef, str]]:
        """Return the films of those answers that are kept, fresh or not, under the names that the wishes are given."""
        keys = {name: self.key(wish) for name, wish in wishes.items()}
        found = {key: kept for key in keys.values() if (kept := self._usable(self._here.get(key))) is not None}
        found |= await self._read([key for key in keys.values() if key not in found], budget)
        return {name: found[key].given for name, key in keys.items() if key in found}

    def keep(self, key: bytes, body: bytes, given: Mapping[TitleRef, str]) -> None:
        """Keep an answer, in Redis in the background. Never waits, never raises."""
        if not self.on:
            return
        now = self._now()
        fresh_until = now + self._settings.ttl_s
        answer = KeptAnswer(body, given, now, fresh_until, fresh_until + self._settings.stale_ttl_s)
        self.process.stored += self._here.put(key, answer)
        if self._gateway is not None:
            self._gateway.set_later({row_key(key): write_row(key, answer)}, self._settings.ttl_s + self._settings.stale_ttl_s)
            self.redis.stored += 1

    @property
    def bytes_held(self) -> int:
        """Return how much memory the answers take that the process holds."""
        return self._here.bytes_held

    def stats(self) -> dict[str, Any]:
        """Return what the administration shows of the cache."""
        process = {**asdict(self.process), "evicted": self._here.evicted, "entries": len(self._here), "bytes": self._here.bytes_held}
        return {"process": process, "redis": {**asdict(self.redis), "broken": self.broken_rows}}

    def _usable(self, answer: KeptAnswer | None) -> KeptAnswer | None:
        return answer if answer is not None and self._now() < answer.stale_until else None

    async def _read(self, keys: Sequence[bytes], budget: RedisBudget | None) -> dict[bytes, KeptAnswer]:
        """Read what Redis holds and may still be given, all at once, and hold it here as well."""
        if self._gateway is None or not self.on or not keys:
            return {}
        try:
            rows = await self._gateway.get_many([row_key(key) for key in keys], self._gateway.budget() if budget is None else budget)
        except RedisAwayError:
            return {}
        found = {}
        for key, row in zip(keys, rows, strict=True):
            answer = None if row is None else self._usable(self._decode(key, row))
            if answer is not None:
                found[key] = answer
                self._here.put(key, answer)
        return found

    def _decode(self, key: bytes, row: bytes) -> KeptAnswer | None:
        try:
            return read_row(row, key, now=self._now())
        except ValueError as error:
            self.broken_rows += 1
            if self._now() - self._logged_at >= BROKEN_LOG_INTERVAL_S:
                self._logged_at = self._now()
                log.warning("answer_row_broken", cause=str(error), so_far=self.broken_rows, consequence="taken for absent")
            return None
