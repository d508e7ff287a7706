"""How often one caller may call: GCRA, counted in Redis for all processes together, in this process while Redis is away.

A limit of `100/minute` admits a burst of 100 and then 100/60 a second: over any stretch of time that begins with a full burst,
exactly `100 + floor(elapsed * 100/60)`. One number is kept per caller, the theoretical arrival time (GCRA, ITU-T I.371).
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from opuscine.errors import OpusCineError

log = structlog.get_logger("opuscine.guard")

_PERIODS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_MAX_LIMIT = 100_000  # a day's microseconds times this stays below 2**53, the end of Lua's exact integers
_RATE = re.compile(r"([0-9]{1,6})/(second|minute|hour|day)(?:;burst=([0-9]{1,6}))?")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")

BudgetT = TypeVar("BudgetT")
BudgetT_contra = TypeVar("BudgetT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in a period, and how many of them may come at once."""

    limit: int
    period_s: int
    burst: int

    @classmethod
    def parse(cls, text: str) -> Rate | None:
        """Read `60/minute`, `60/minute;burst=10` (no more than 10 at once), or `off`, which is None.

        Raises:
            ValueError: it is none of these; the text says what is valid.
        """
        word = "".join(text.split()).lower()
        if word == "off":
            return None
        found = _RATE.fullmatch(word)
        if found is not None:
            limit = int(found[1])
            burst = limit if found[3] is None else int(found[3])
            if 1 <= burst <= limit <= _MAX_LIMIT:
                return cls(limit, _PERIODS_S[found[2]], burst)
        raise ValueError(
            f"valid are off, or a number from 1 to {_MAX_LIMIT}, a slash and second, minute, hour or day (60/minute), "
            "then ;burst= and a number up to the first if fewer may come at once (60/minute;burst=10)"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is admitted, and what is left."""

    allowed: bool
    limit: int  # requests per period, as the rate says
    remaining: int  # requests that would be admitted now, one after the other
    reset_after_s: float  # until the whole burst is there again
    retry_after_s: float  # until one more request would be admitted; 0.0 where that is now


class LocalRateLimiter:
    """Count in this process, for at most `max_keys` callers: the one not seen for longest is forgotten first."""

    def __init__(self, rate: Rate, *, clock: Callable[[], float] = time.monotonic, max_keys: int = 50_000) -> None:
        """Start with a full burst for everybody."""
        self._rate = rate
        self._clock = clock
        self._max_keys = max_keys
        # In units of 1/limit ns, in which one request is worth a whole number: no rounding, ever.
        self._step = rate.period_s * 1_000_000_000
        self._span = self._step * rate.burst
        self._arrivals: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        """Return how many callers are remembered."""
        return len(self._arrivals)

    def check(self, key: str) -> Verdict:
        """Count one request of `key` if it is admitted."""
        digest, now = _digest(key), self._now()
        arrival = max(self._arrivals.get(digest, now), now)
        allowed = arrival + self._step <= now + self._span
        if allowed:
            arrival += self._step
        self._remember(digest, arrival, now)
        room = now + self._span - arrival
        return Verdict(
            allowed=allowed,
            limit=self._rate.limit,
            remaining=room // self._step,
            reset_after_s=self._seconds(arrival - now),
            retry_after_s=self._seconds(max(0, self._step - room)),
        )

    def record(self, key: str) -> None:
        """Count one request of `key` that somebody else has admitted."""
        digest, now = _digest(key), self._now()
        arrival = max(self._arrivals.get(digest, now), now) + self._step
        self._remember(digest, min(arrival, now + self._span), now)

    def _now(self) -> int:
        return int(self._clock() * 1e9) * self._rate.limit

    def _seconds(self, units: int) -> float:
        return units / self._rate.limit / 1e9

    def _remember(self, digest: bytes, arrival: int, now: int) -> None:
        self._arrivals[digest] = arrival
        self._arrivals.move_to_end(digest)
        # Two out for one in: those who have their whole burst again need not be remembered.
        for _ in range(2):
            oldest = next(iter(self._arrivals))
            if self._arrivals[oldest] > now and len(self._arrivals) <= self._max_keys:
                break
            del self._arrivals[oldest]


class ScriptRunner(Protocol[BudgetT_contra]):
    """Who runs a Lua script in Redis for the limiter, within a budget that the limiter only hands on."""

    async def run_script(self, script: str, keys: Sequence[str], args: Sequence[int], budget: BudgetT_contra, /) -> object:
        """Return the script's reply, or raise an `OpusCineError` when Redis is away."""
        ...


class CountUnavailableError(OpusCineError):
    """Say that Redis gave no usable count."""


class RedisRateLimiter(Generic[BudgetT]):
    """Count in Redis, by its clock, for all processes that use the same name. Needs Redis 5 or newer."""

    def __init__(self, rate: Rate, runner: ScriptRunner[BudgetT], *, name: str, prefix: str = "opuscine:limit") -> None:
        """Keep one key `{prefix}:{name}:{digest of the caller}` per caller, which expires when its whole burst is there again.

        Raises:
            ValueError: the name is not of `a-z`, digits, `_` and `-`.
        """
        self._rate = rate
        self._runner = runner
        self._prefix = f"{prefix}:{_checked(name)}:"
        self._args = (rate.limit, rate.period_s * 1_000_000, rate.burst)

    async def check(self, key: str, budget: BudgetT) -> Verdict:
        """Count one request of `key` if it is admitted.

        Raises:
            OpusCineError: Redis is away, so nothing is known.
        """
        reply = await self._runner.run_script(_GCRA, [self._prefix + _digest(key).hex()], self._args, budget)
        match reply:
            case [int(allowed), int(remaining), int(retry_us), int(reset_us)]:
                return Verdict(allowed == 1, self._rate.limit, remaining, reset_us / 1e6, retry_us / 1e6)
        raise CountUnavailableError(f"Redis answered the limiter's script with {type(reply).__name__}, not four integers")


# TAT is kept exactly, as whole microseconds and 1/limit parts of one. A TAT further away than any caller can get (another rate wrote
# it, or Redis' clock was set back) counts as a used-up burst.
_GCRA = """
local limit, period, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local step, step_part = math.floor(period / limit), period % limit
local span = step * burst + math.floor(step_part * burst / limit)
local span_part = (step_part * burst) % limit
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local tat, part = now, 0
local kept, kept_part = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+):(%d+)$')
if kept and tonumber(kept) >= now then
  tat, part = tonumber(kept), math.min(tonumber(kept_part), limit - 1)
  if tat > now + span or (tat == now + span and part > span_part) then
    tat, part = now + span, span_part
  end
end
local next_tat, next_part = tat + step, part + step_part
if next_part >= limit then
  next_tat, next_part = next_tat + 1, next_part - limit
end
local allowed = next_tat < now + span or (next_tat == now + span and next_part <= span_part)
if allowed then
  tat, part = next_tat, next_part
  redis.call('SET', KEYS[1], string.format('%.0f:%.0f', tat, part), 'PX', math.floor((tat - now) / 1000) + 1)
end
local room = (now + span - tat) * limit + span_part - part
return {
  allowed and 1 or 0,
  math.floor(room / period),
  math.ceil(math.max(0, period - room) / limit),
  math.ceil(tat - now + part / limit),
}
"""


@dataclass(frozen=True, slots=True)
class RateLimiterInfo:
    """Counters since the start of the process, for metrics."""

    allowed: int
    denied: int
    counted_locally: int  # of these, as Redis was away
    away: bool


class RateLimiter(Generic[BudgetT]):
    """Limit by Redis' count, and by this process' own while Redis is away: there is never no limit.

    What Redis admits is counted here too, so that a caller who has used up a burst gets no second one when Redis goes. Without
    Redis each process admits the whole rate.
    """

    def __init__(
        self,
        rate: Rate,
        shared: RedisRateLimiter[BudgetT] | None,
        *,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        max_keys: int = 50_000,
    ) -> None:
        """Limit in this process alone where `shared` is None. The name stands in log and headers.

        Raises:
            ValueError: the name is not of `a-z`, digits, `_` and `-`.
        """
        self.rate = rate
        self.name = _checked(name)
        self._shared = shared
        self._local = LocalRateLimiter(rate, clock=clock, max_keys=max_keys)
        self._clock = clock
        self._allowed = 0
        self._denied = 0
        self._counted_locally = 0
        self._away = False
        self._logged_away = False
        self._logged_at = -math.inf

    async def check(self, key: str, budget: BudgetT) -> Verdict:
        """Count one request of `key` (any text: it is hashed) if it is admitted. Never raises for Redis' sake."""
        verdict = await self._judge(key, budget)
        if verdict.allowed:
            self._allowed += 1
        else:
            self._denied += 1
        return verdict

    @property
    def info(self) -> RateLimiterInfo:
        """Return the counters as of now."""
        return RateLimiterInfo(self._allowed, self._denied, self._counted_locally, self._away)

    async def _judge(self, key: str, budget: BudgetT) -> Verdict:
        if self._shared is None:
            return self._local.check(key)
        try:
            verdict = await self._shared.check(key, budget)
        except OpusCineError as error:
            self._note(away=True, cause=str(error))
            self._counted_locally += 1
            return self._local.check(key)
        self._note(away=False, cause="")
        if verdict.allowed:
            self._local.record(key)
        return verdict

    def _note(self, *, away: bool, cause: str) -> None:
        """Log a change once, and no more than one line a second if it goes to and fro."""
        self._away = away
        if away is self._logged_away or self._clock() - self._logged_at < 1.0:
            return
        self._logged_away = away
        self._logged_at = self._clock()
        if away:
            log.warning("rate limit counts in this process only", limiter=self.name, cause=cause)
        else:
            log.info("rate limit counts in Redis again", limiter=self.name)


def policy_header(rates: Iterable[tuple[str, Rate]]) -> str:
    """Format `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10) from names and their rates.

    Raises:
        ValueError: a name is not of `a-z`, digits, `_` and `-`.
    """
    return ", ".join(f'"{_checked(name)}";q={rate.limit};w={rate.period_s}' for name, rate in rates)


def limit_header(verdicts: Iterable[tuple[str, Verdict]]) -> str:
    """Format `RateLimit` (same draft) from names and their verdicts.

    `t` is the time until the whole burst is there again; where nothing remains, until one request would be admitted, which is also
    when `Retry-After` would have the caller come back if it were not capped.

    Raises:
        ValueError: a name is not of `a-z`, digits, `_` and `-`.
    """
    return ", ".join(
        f'"{_checked(name)}";r={verdict.remaining};t={math.ceil(verdict.reset_after_s if verdict.remaining else verdict.retry_after_s)}'
        for name, verdict in verdicts
    )


def retry_after_header(verdict: Verdict, cap_s: int = 2) -> str:
    """Format `Retry-After`: 1 to `cap_s` seconds. HttpClient5 sleeps for it inside the caller's thread, so it stays short."""
    return str(max(1, min(cap_s, math.ceil(verdict.retry_after_s))))


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"a limiter's name is of a-z, digits, _ and -, at most 32 of them, not {name!r}")
    return name


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
