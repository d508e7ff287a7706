"""How often one caller may call: GCRA, counted in Redis for all processes together, in this process while Redis is away.

A limit of `100/minute` admits a burst of 100 and then 100/60 a second: over any stretch of time that begins with a full burst,
exactly `100 + floor(elapsed * 100/60)`. One number is kept per caller, the theoretical arrival time (GCRA, ITU-T I.371).
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, NamedTuple, Protocol, TypeVar

import structlog

from opuscine.errors import OpusCineError

log = structlog.get_logger("opuscine.guard")

_PERIODS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_MAX_LIMIT = 100_000  # a day's microseconds times this stays below 2**53, the end of Lua's exact integers
_RATE = re.compile(r"([0-9]{1,6})/(second|minute|hour|day)(?:;burst=([0-9]{1,6}))?")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_KEPT_DIGESTS = 1_024

BudgetT = TypeVar("BudgetT", bound="Budget")
BudgetT_contra = TypeVar("BudgetT_contra", bound="Budget", contravariant=True)


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


class Verdict(NamedTuple):
    """Whether a request is admitted, and what is left. A tuple, since a frozen dataclass takes twice as long to make (measured)."""

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
        digest, limit, step = _digest(key), self._rate.limit, self._step
        now = int(self._clock() * 1e9) * limit
        arrival = self._arrivals.get(digest, now)
        arrival = max(arrival, now)
        room = now + self._span - arrival
        allowed = room >= step
        if allowed:
            arrival += step
            room -= step
        self._remember(digest, arrival, now)
        return Verdict(allowed, limit, room // step, (arrival - now) / limit / 1e9, (step - room) / limit / 1e9 if room < step else 0.0)

    def follow(self, key: str, verdict: Verdict) -> None:
        """Take over what somebody else has counted for `key`, be it here or elsewhere."""
        digest, now = _digest(key), self._now()
        arrival = max(self._arrivals.get(digest, now), now) + (self._step if verdict.allowed else 0)
        arrival = max(arrival, now + int(verdict.reset_after_s * 1e9) * self._rate.limit)
        self._remember(digest, min(arrival, now + self._span), now)

    def _now(self) -> int:
        return int(self._clock() * 1e9) * self._rate.limit

    def _remember(self, digest: bytes, arrival: int, now: int) -> None:
        arrivals = self._arrivals
        arrivals[digest] = arrival
        arrivals.move_to_end(digest)
        # Two out for one in: those who have their whole burst again need not be remembered.
        for _ in range(2):
            oldest = next(iter(arrivals))
            if arrivals[oldest] > now and len(arrivals) <= self._max_keys:
                break
            del arrivals[oldest]


class Budget(Protocol):
    """How long one request may still wait for Redis."""

    @property
    def remaining_s(self) -> float:
        """Return the seconds left, never below 0.0."""
        ...

    def now(self) -> float:
        """Return the reading of the clock that `spend_since` compares with."""
        ...

    def spend_since(self, began: float) -> None:
        """Take the time from `began` until now off the budget."""
        ...


class ScriptRunner(Protocol[BudgetT_contra]):
    """Who runs a Lua script in Redis for the limiter."""

    async def run_script(self, script: str, keys: Sequence[str], args: Sequence[int], budget: BudgetT_contra, /) -> object:
        """Return the script's reply within the budget, which it spends, or raise an `OpusCineError` when Redis is away."""
        ...


class CountUnavailableError(OpusCineError):
    """Say that Redis gave no usable count."""


class RedisRateLimiter(Generic[BudgetT]):
    """Count in Redis, by its clock, for all processes that use the same name. Needs Redis 5 or newer.

    About one caller there is one question at a time; whoever comes meanwhile is counted together by the next. So a burst of any size
    costs a few round trips and is counted while it lasts: asked one by one, 500 requests at once outlasted the budget, and Redis
    seemed away just when the limit was needed (measured: 233 of them were admitted by a limit of 100).
    """

    def __init__(self, rate: Rate, runner: ScriptRunner[BudgetT], *, name: str, prefix: str = "opuscine:limit") -> None:
        """Keep one key `{prefix}:{name}:{digest of the caller}` per caller, which expires when its whole burst is there again.

        Raises:
            ValueError: the name is not of `a-z`, digits, `_` and `-`.
        """
        self._rate = rate
        self._runner = runner
        self._prefix = f"{prefix}:{_checked(name)}:"
        self._waiting: dict[str, list[_Waiter[BudgetT]]] = {}  # by key, while a question about it is under way
        self._tasks: set[asyncio.Task[None]] = set()

    async def check(self, key: str, budget: BudgetT) -> Verdict:
        """Count one request of `key` if it is admitted.

        Raises:
            OpusCineError: Redis is away, so nothing is known.
        """
        name = self._prefix + _digest(key).hex()
        waiting = self._waiting.get(name)
        if waiting is not None:
            waiter = _Waiter(budget)
            waiting.append(waiter)
            return await waiter.verdict()
        self._waiting[name] = []
        try:
            [verdict] = await self._count(name, 1, budget)
            return verdict
        except OpusCineError as error:
            _tell(error, self._waiting[name])
            raise
        finally:
            self._go_on(name)

    def _go_on(self, name: str) -> None:
        """Ask for those who have come meanwhile, in a task of its own since each of them may leave, or be done with this key."""
        if not self._waiting[name]:
            del self._waiting[name]
            return
        task = asyncio.create_task(self._ask_for_all(name), name="rate limit")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_for_all(self, name: str) -> None:
        waiters = [waiter for waiter in self._waiting[name] if not waiter.left]
        self._waiting[name] = []
        failure: OpusCineError = CountUnavailableError("the question was given up")
        try:
            if waiters:
                verdicts = await self._count(name, len(waiters), waiters[-1].lead())
                for waiter, verdict in zip(waiters, verdicts, strict=True):
                    waiter.hear(verdict)
        except OpusCineError as error:
            failure = error
            _tell(error, self._waiting[name])
        finally:
            _tell(failure, waiters)
            self._go_on(name)

    async def _count(self, name: str, requests: int, budget: BudgetT) -> list[Verdict]:
        """Count requests that came together, and return a verdict for each, those that are admitted first."""
        rate = self._rate
        args = (rate.limit, rate.period_s * 1_000_000, rate.burst, requests)
        reply = await self._runner.run_script(_GCRA, [name], args, budget)
        match reply:
            case [int(admitted), int(remaining), int(retry_us), int(reset_us)] if 0 <= admitted <= requests:
                step_s = rate.period_s / rate.limit
                last = Verdict(admitted == requests, rate.limit, remaining, reset_us / 1e6, retry_us / 1e6)
                # To each of them as if they had come one after the other: as many as were admitted after it were left then.
                before = [
                    Verdict(True, rate.limit, remaining + after, last.reset_after_s - after * step_s, 0.0 if after else last.retry_after_s)
                    for after in reversed(range(admitted))
                ]
                return before + [last] * (requests - admitted)
        raise CountUnavailableError(f"Redis answered the limiter's script with {type(reply).__name__}, not four integers that fit")


class _Waiter(Generic[BudgetT]):
    """Someone who waits for a question to end and is then asked about together with others."""

    def __init__(self, budget: BudgetT) -> None:
        self._budget = budget
        self._came = budget.now()
        self._waited_s: float | None = None  # until it led; the question's own time is spent by whoever asks
        self._answer: asyncio.Future[Verdict | OpusCineError] = asyncio.get_running_loop().create_future()

    @property
    def left(self) -> bool:
        """Say whether nobody waits here any more."""
        return self._answer.done()

    def lead(self) -> BudgetT:
        """Give the budget to ask with, which whoever asks spends."""
        self._waited_s = self._budget.now() - self._came
        return self._budget

    def hear(self, answer: Verdict | OpusCineError) -> None:
        """Take the answer, which may be that there is none."""
        if not self.left:
            self._answer.set_result(answer)

    async def verdict(self) -> Verdict:
        """Wait for the answer, and spend the time of it.

        There is no bound here but those of the two questions: a busy loop hears late, and is not to take that for Redis' silence.
        """
        try:
            answer = await self._answer
        finally:
            self._budget.spend_since(self._came if self._waited_s is None else self._budget.now() - self._waited_s)
        if isinstance(answer, OpusCineError):
            raise answer
        return answer


def _tell(error: OpusCineError, waiters: Iterable[_Waiter[BudgetT]]) -> None:
    for waiter in waiters:
        waiter.hear(error)


# TAT is kept exactly, as whole microseconds and 1/limit parts of one. A TAT further away than any caller can get (another rate wrote
# it, or Redis' clock was set back) counts as a used-up burst.
_GCRA = """
local limit, period, burst, requests = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
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
local room = (now + span - tat) * limit + span_part - part
local admitted = math.min(requests, math.floor(room / period))
if admitted > 0 then
  part = part + step_part * admitted
  tat, part = tat + step * admitted + math.floor(part / limit), part % limit
  room = room - period * admitted
  redis.call('SET', KEYS[1], string.format('%.0f:%.0f', tat, part), 'PX', math.floor((tat - now) / 1000) + 1)
end
return {
  admitted,
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

    What Redis says is counted here too, whichever process had the requests, so that a caller who has used up a burst gets no second one
    when Redis goes. From then on each process admits the whole rate.
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
        self.policy = policy_header([(name, rate)])
        self._shared = shared
        self._local = LocalRateLimiter(rate, clock=clock, max_keys=max_keys)
        self._clock = clock
        self._allowed = 0
        self._denied = 0
        self._counted_locally = 0
        self._away = False
        self._logged_away = False
        self._logged_at = -math.inf

    @property
    def alone(self) -> bool:
        """Say whether this process counts for itself, so that there is nothing to wait for."""
        return self._shared is None

    async def check(self, key: str, budget: BudgetT) -> Verdict:
        """Count one request of `key` (any text: it is hashed) if it is admitted. Never raises for Redis' sake."""
        if self._shared is None:
            return self.check_here(key)
        return self._counted(await self._judge(self._shared, key, budget))

    def check_here(self, key: str) -> Verdict:
        """Count one request by this process' own count."""
        return self._counted(self._local.check(key))

    def admit_here(self, key: str) -> Verdict | None:
        """Count one request as `check` does if this process counts for itself and admits it; else return None, and nothing is counted."""
        if self._shared is not None:
            return None
        verdict = self._local.check(key)
        return self._counted(verdict) if verdict.allowed else None

    def _counted(self, verdict: Verdict) -> Verdict:
        if verdict.allowed:
            self._allowed += 1
        else:
            self._denied += 1
        return verdict

    def header(self, verdict: Verdict) -> str:
        """Format `RateLimit` for a verdict of this limiter, as `limit_header` does."""
        return _limit_item(self.name, verdict)

    @property
    def info(self) -> RateLimiterInfo:
        """Return the counters as of now."""
        return RateLimiterInfo(self._allowed, self._denied, self._counted_locally, self._away)

    async def _judge(self, shared: RedisRateLimiter[BudgetT], key: str, budget: BudgetT) -> Verdict:
        try:
            verdict = await shared.check(key, budget)
        except OpusCineError as error:
            self._note(away=True, cause=str(error))
            self._counted_locally += 1
            return self._local.check(key)
        self._note(away=False, cause="")
        self._local.follow(key, verdict)
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
    return ", ".join(_limit_item(_checked(name), verdict) for name, verdict in verdicts)


def _limit_item(name: str, verdict: Verdict) -> str:
    return f'"{name}";r={verdict.remaining};t={math.ceil(verdict.reset_after_s if verdict.remaining else verdict.retry_after_s)}'


def retry_after_header(verdict: Verdict, cap_s: int = 2) -> str:
    """Format `Retry-After`: 1 to `cap_s` seconds. HttpClient5 sleeps for it inside the caller's thread, so it stays short."""
    return str(max(1, min(cap_s, math.ceil(verdict.retry_after_s))))


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"a limiter's name is of a-z, digits, _ and -, at most 32 of them, not {name!r}")
    return name


@lru_cache(maxsize=_KEPT_DIGESTS)  # whoever calls calls again: 0.1 µs instead of 0.5 (measured)
def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
