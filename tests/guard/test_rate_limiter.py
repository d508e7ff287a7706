"""The rate limiter without Redis: rates, the local count, the fall-back, the headers."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from opuscine.errors import OpusCineError
from opuscine.guard.rate_limiter import (
    CountUnavailableError,
    LocalRateLimiter,
    Rate,
    RateLimiter,
    RedisRateLimiter,
    Verdict,
    limit_header,
    policy_header,
    retry_after_header,
)

HUNDRED_A_MINUTE = Rate(100, 60, 100)
RATES = st.builds(
    lambda limit, period_s, share: Rate(limit, period_s, max(1, limit * share // 100)),
    st.integers(1, 100_000),
    st.sampled_from([1, 60, 3600, 86_400]),
    st.integers(1, 100),
)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Budget:
    """A second for Redis, by the real clock unless another is given."""

    def __init__(self, left_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.left_s = left_s
        self.now = clock

    @property
    def remaining_s(self) -> float:
        return max(0.0, self.left_s)

    def spend_since(self, began: float) -> None:
        self.left_s -= self.now() - began


class FakeRedis:
    """Run the limiter's script by answering what the test says."""

    def __init__(self) -> None:
        self.reply: object = [1, 99, 0, 600_000]
        self.next_replies: list[object] = []
        self.keys: list[str] = []
        self.asked: list[int] = []  # for how many requests at once
        self.gate: asyncio.Semaphore | None = None  # None: it answers at once

    async def run_script(self, _script: str, keys: Sequence[str], args: Sequence[int], budget: Budget, /) -> object:
        began = budget.now()
        self.keys.extend(keys)
        self.asked.append(args[3])
        if self.gate is not None:
            await self.gate.acquire()
        budget.spend_since(began)
        if self.next_replies:
            return self.next_replies.pop(0)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("60/minute", Rate(60, 60, 60)),
        (" 5 / Second ", Rate(5, 1, 5)),
        ("1000/hour;burst=10", Rate(1000, 3600, 10)),
        ("1/day", Rate(1, 86_400, 1)),
        ("100000/second", Rate(100_000, 1, 100_000)),
        ("off", None),
        ("OFF", None),
    ],
)
def test_a_rate_is_read_from_text(text: str, rate: Rate | None) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "60",
        "0/minute",
        "-1/minute",
        "60/week",
        "60/minutes",
        "100001/second",
        "10/minute;burst=11",
        "10/minute;burst=0",
        "६०/minute",
        "on",
    ],
)
def test_a_bad_rate_is_refused_with_what_is_valid(text: str) -> None:
    with pytest.raises(ValueError, match=r"valid are off, or a number from 1 to 100000.*60/minute;burst=10"):
        Rate.parse(text)


@given(st.text(max_size=40))
def test_no_text_makes_the_reader_of_rates_fail_otherwise(text: str) -> None:
    try:
        Rate.parse(text)
    except ValueError as error:
        assert "valid are" in str(error)  # noqa: PT017


def test_a_burst_is_admitted_and_then_one_for_each_share_of_the_period() -> None:
    clock = Clock()
    limiter = LocalRateLimiter(HUNDRED_A_MINUTE, clock=clock)
    admitted = sum(limiter.check("caller").allowed for _ in range(500))
    assert admitted == 100
    clock.now += 0.59
    assert not limiter.check("caller").allowed
    clock.now += 0.02
    assert limiter.check("caller").allowed
    assert not limiter.check("caller").allowed
    clock.now += 3600
    assert sum(limiter.check("caller").allowed for _ in range(500)) == 100


def test_a_smaller_burst_bounds_what_comes_at_once_and_not_the_rate() -> None:
    clock = Clock()
    limiter = LocalRateLimiter(Rate(60, 60, 10), clock=clock)
    assert sum(limiter.check("caller").allowed for _ in range(50)) == 10
    admitted = 0
    for _ in range(480):
        clock.now += 0.125
        admitted += limiter.check("caller").allowed
    assert admitted == 60


@given(RATES, st.lists(st.integers(0, 5_000_000_000), min_size=1, max_size=60))
def test_the_count_is_that_of_an_exact_token_bucket(rate: Rate, gaps_ns: list[int]) -> None:
    clock = Clock()
    limiter = LocalRateLimiter(rate, clock=clock)
    tokens, last = Fraction(rate.burst), int(clock.now * 1e9)
    for gap in gaps_ns:
        clock.now += gap / 1e9
        now = int(clock.now * 1e9)
        tokens = min(Fraction(rate.burst), tokens + Fraction((now - last) * rate.limit, rate.period_s * 10**9))
        last = now
        allowed = tokens >= 1
        tokens -= allowed
        verdict = limiter.check("caller")
        assert verdict.allowed == allowed
        assert verdict.remaining == math.floor(tokens)
        missing = (rate.burst - tokens) * rate.period_s / rate.limit
        assert verdict.reset_after_s == pytest.approx(float(missing), abs=1e-8)
        wait = max(Fraction(0), 1 - tokens) * rate.period_s / rate.limit
        assert verdict.retry_after_s == pytest.approx(float(wait), abs=1e-8)


@given(RATES)
def test_who_comes_back_after_the_stated_time_is_admitted(rate: Rate) -> None:
    clock = Clock()
    limiter = LocalRateLimiter(Rate(rate.limit, rate.period_s, 1), clock=clock)
    verdict = limiter.check("caller")
    assert verdict.allowed
    assert verdict.remaining == 0
    clock.now += verdict.retry_after_s + 1e-6
    assert limiter.check("caller").allowed


def test_callers_are_counted_apart() -> None:
    limiter = LocalRateLimiter(Rate(1, 60, 1), clock=Clock())
    assert limiter.check("one").allowed
    assert limiter.check("other").allowed
    assert not limiter.check("one").allowed


def test_memory_is_bounded_by_forgetting_who_was_not_seen_for_longest() -> None:
    limiter = LocalRateLimiter(Rate(1, 60, 1), clock=Clock(), max_keys=10)
    limiter.check("insistent")
    for number in range(100):
        limiter.check(f"caller {number}")
        assert not limiter.check("insistent").allowed
    assert len(limiter) == 10


def test_who_has_a_whole_burst_again_is_forgotten() -> None:
    clock = Clock()
    limiter = LocalRateLimiter(Rate(1, 1, 1), clock=clock)
    for number in range(50):
        limiter.check(f"early {number}")
    clock.now += 2
    for number in range(50):
        limiter.check(f"late {number}")
    assert len(limiter) == 50


def test_what_somebody_else_admitted_counts_but_never_more_than_a_burst() -> None:
    clock = Clock()
    limiter = LocalRateLimiter(Rate(10, 10, 10), clock=clock)
    for _ in range(50):
        limiter.follow("caller", Verdict(True, 10, 0, 0.0, 0.0))
    assert not limiter.check("caller").allowed
    clock.now += 1
    assert limiter.check("caller").allowed


def test_a_key_may_be_any_text() -> None:
    limiter = LocalRateLimiter(Rate(1, 60, 1), clock=Clock())
    for key in ("", "\x00", "\ud800", "가" * 100_000):
        assert limiter.check(key).allowed
        assert not limiter.check(key).allowed


async def test_no_text_of_a_caller_reaches_redis() -> None:
    redis = FakeRedis()
    await RedisRateLimiter(HUNDRED_A_MINUTE, redis, name="read").check("user@example.com\r\nDEL x", Budget())
    [key] = redis.keys
    assert re.fullmatch(r"opuscine:limit:read:[0-9a-f]{32}", key)


def test_a_limiter_needs_a_plain_name() -> None:
    with pytest.raises(ValueError, match="a-z, digits, _ and -"):
        RedisRateLimiter(HUNDRED_A_MINUTE, FakeRedis(), name="per user")
    with pytest.raises(ValueError, match="a-z, digits, _ and -"):
        RateLimiter[Budget](HUNDRED_A_MINUTE, None, name='x"')


async def test_without_redis_the_process_counts_alone() -> None:
    limiter = RateLimiter[Budget](Rate(3, 60, 3), None, name="read", clock=Clock())
    assert [(await limiter.check("caller", Budget())).allowed for _ in range(4)] == [True, True, True, False]
    assert (limiter.info.allowed, limiter.info.denied, limiter.info.counted_locally, limiter.info.away) == (3, 1, 0, False)


async def test_redis_verdict_is_taken_when_there_is_one() -> None:
    redis = FakeRedis()
    limiter = RateLimiter(HUNDRED_A_MINUTE, RedisRateLimiter(HUNDRED_A_MINUTE, redis, name="read"), name="read", clock=Clock())
    assert await limiter.check("caller", Budget()) == Verdict(True, 100, 99, 0.6, 0.0)
    redis.reply = [0, 0, 250_000, 60_000_000]
    assert await limiter.check("caller", Budget()) == Verdict(False, 100, 0, 60.0, 0.25)
    assert (limiter.info.allowed, limiter.info.denied) == (1, 1)


@pytest.mark.parametrize("reply", [OpusCineError("gone"), None, [1, 2], [b"1", 0, 0, 0], "OK"], ids=str)
async def test_while_redis_is_away_or_talks_nonsense_there_is_still_a_limit(reply: object) -> None:
    rate = Rate(3, 60, 3)
    redis = FakeRedis()
    redis.reply = reply
    limiter = RateLimiter(rate, RedisRateLimiter(rate, redis, name="read"), name="read", clock=Clock())
    assert [(await limiter.check("caller", Budget())).allowed for _ in range(5)] == [True, True, True, False, False]
    assert limiter.info.counted_locally == 5
    assert limiter.info.away


async def test_a_burst_used_up_in_redis_is_not_given_again_when_redis_goes() -> None:
    rate = Rate(5, 60, 5)
    redis = FakeRedis()
    limiter = RateLimiter(rate, RedisRateLimiter(rate, redis, name="read"), name="read", clock=Clock())
    for _ in range(4):
        assert (await limiter.check("caller", Budget())).allowed
    redis.reply = OpusCineError("gone")
    assert [(await limiter.check("caller", Budget())).allowed for _ in range(3)] == [True, False, False]


async def test_each_change_is_logged_once_and_flapping_at_most_once_a_second() -> None:
    redis, clock = FakeRedis(), Clock()
    good, gone = redis.reply, OpusCineError("gone")
    limiter = RateLimiter(HUNDRED_A_MINUTE, RedisRateLimiter(HUNDRED_A_MINUTE, redis, name="read"), name="read", clock=clock)
    with capture_logs() as lines:
        for reply in (good, good, gone, gone, gone):
            redis.reply = reply
            await limiter.check("caller", Budget())
        assert [(line["log_level"], line["limiter"]) for line in lines] == [("warning", "read")]
        clock.now += 5
        redis.reply = good
        for _ in range(3):
            await limiter.check("caller", Budget())
        assert [line["log_level"] for line in lines] == ["warning", "info"]
        clock.now += 5
        for number in range(100):
            redis.reply = (good, gone)[number % 2]
            await limiter.check("caller", Budget())
            clock.now += 0.01
    assert len(lines) <= 4


def let_answer(redis: FakeRedis, times: int = 1) -> None:
    """Let it answer so many questions that are, or will be, under way."""
    assert redis.gate is not None
    for _ in range(times):
        redis.gate.release()


async def asked(redis: FakeRedis, times: int) -> None:
    """Wait until so many questions have come to it."""
    async with asyncio.timeout(5):
        while len(redis.asked) < times:
            await asyncio.sleep(0)


async def gathering(redis: FakeRedis, limiter: RedisRateLimiter[Budget], *budgets: Budget) -> list[asyncio.Task[Verdict]]:
    """Let callers come while the first of them is being asked about."""
    redis.gate = redis.gate or asyncio.Semaphore(0)
    tasks = []
    for budget in budgets:
        tasks.append(asyncio.create_task(limiter.check("caller", budget)))
        await asyncio.sleep(0)
    return tasks


async def test_whoever_comes_while_a_question_is_under_way_is_asked_about_together() -> None:
    redis = FakeRedis()
    limiter = RedisRateLimiter(Rate(10, 10, 10), redis, name="read")
    tasks = await gathering(redis, limiter, *(Budget() for _ in range(5)))
    redis.next_replies = [[1, 9, 0, 1_000_000], [3, 0, 1_000_000, 10_000_000]]
    let_answer(redis, 9)
    assert await asyncio.gather(*tasks) == [
        Verdict(True, 10, 9, 1.0, 0.0),
        Verdict(True, 10, 2, 8.0, 0.0),
        Verdict(True, 10, 1, 9.0, 0.0),
        Verdict(True, 10, 0, 10.0, 1.0),
        Verdict(False, 10, 0, 10.0, 1.0),
    ]
    assert redis.asked == [1, 4]


async def test_whoever_leaves_is_not_counted_and_holds_up_nobody() -> None:
    redis = FakeRedis()
    limiter = RedisRateLimiter(HUNDRED_A_MINUTE, redis, name="read")
    tasks = await gathering(redis, limiter, *(Budget() for _ in range(4)))
    tasks[0].cancel()  # it is he who asks
    tasks[2].cancel()
    redis.next_replies = [[1, 99, 0, 600_000], [2, 97, 0, 1_800_000]]
    let_answer(redis, 9)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [True, False, True, False]
    assert redis.asked == [1, 2]


async def test_all_who_waited_may_leave() -> None:
    redis = FakeRedis()
    limiter = RedisRateLimiter(HUNDRED_A_MINUTE, redis, name="read")
    tasks = await gathering(redis, limiter, *(Budget() for _ in range(3)))
    for task in tasks[1:]:
        task.cancel()
    await asyncio.wait(tasks[1:])
    let_answer(redis, 9)
    assert (await tasks[0]).allowed
    assert (await limiter.check("caller", Budget())).allowed
    assert redis.asked == [1, 1]


async def test_a_failure_is_told_to_all_whom_it_concerns() -> None:
    redis = FakeRedis()
    limiter = RedisRateLimiter(HUNDRED_A_MINUTE, redis, name="read")
    tasks = await gathering(redis, limiter, *(Budget() for _ in range(3)))
    redis.reply = OpusCineError("gone")
    let_answer(redis, 9)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["gone"] * 3
    assert redis.asked == [1]


async def test_a_question_that_fails_keeps_nobody_waiting_who_came_meanwhile() -> None:
    """Redis is away for them too: to ask again would be to wait again."""
    redis = FakeRedis()
    limiter = RedisRateLimiter(HUNDRED_A_MINUTE, redis, name="read")
    first = await gathering(redis, limiter, Budget(), Budget())
    redis.next_replies = [[1, 99, 0, 600_000]]
    let_answer(redis)
    assert (await first[0]).allowed
    await asked(redis, 2)
    late = await gathering(redis, limiter, Budget(), Budget())
    redis.reply = OpusCineError("gone")
    let_answer(redis, 9)
    assert [str(outcome) for outcome in await asyncio.gather(first[1], *late, return_exceptions=True)] == ["gone"] * 3
    assert redis.asked == [1, 1]


async def test_a_question_that_is_cut_off_leaves_nobody_behind() -> None:
    redis = FakeRedis()
    limiter = RedisRateLimiter(HUNDRED_A_MINUTE, redis, name="read")
    tasks = await gathering(redis, limiter, Budget(), Budget(), Budget())
    redis.next_replies = [[1, 99, 0, 600_000]]
    let_answer(redis)
    assert (await tasks[0]).allowed
    await asked(redis, 2)
    [flight] = [task for task in asyncio.all_tasks() if task.get_name() == "rate limit"]
    flight.cancel()
    assert [type(outcome) for outcome in await asyncio.gather(*tasks[1:], return_exceptions=True)] == [CountUnavailableError] * 2
    let_answer(redis, 9)
    assert (await limiter.check("caller", Budget())).allowed


async def test_all_waiting_is_spent_of_ones_own_budget_and_once() -> None:
    redis, clock = FakeRedis(), Clock()
    limiter = RedisRateLimiter(HUNDRED_A_MINUTE, redis, name="read")
    budgets = [Budget(5.0, clock) for _ in range(3)]
    tasks = await gathering(redis, limiter, *budgets)
    clock.now += 1
    redis.next_replies = [[1, 99, 0, 600_000], [2, 97, 0, 1_800_000]]
    let_answer(redis)
    await tasks[0]
    await asked(redis, 2)
    clock.now += 2
    let_answer(redis, 9)
    await asyncio.gather(*tasks)
    assert [budget.remaining_s for budget in budgets] == [4.0, 2.0, 2.0]


async def test_a_long_stall_of_the_loop_is_not_taken_for_redis_silence() -> None:
    redis = FakeRedis()
    limiter = RedisRateLimiter(HUNDRED_A_MINUTE, redis, name="read")
    tasks = await gathering(redis, limiter, *(Budget(0.01) for _ in range(3)))
    redis.next_replies = [[1, 99, 0, 600_000], [2, 97, 0, 1_800_000]]
    time.sleep(0.03)  # noqa: ASYNC251  the stall itself
    let_answer(redis, 9)
    assert [verdict.allowed for verdict in await asyncio.gather(*tasks)] == [True] * 3


async def test_what_other_processes_were_given_is_known_when_redis_goes() -> None:
    redis = FakeRedis()
    limiter = RateLimiter(Rate(10, 10, 10), RedisRateLimiter(Rate(10, 10, 10), redis, name="read"), name="read", clock=Clock())
    redis.reply = [1, 2, 0, 8_000_000]  # seven of the eight elsewhere
    assert (await limiter.check("caller", Budget())).allowed
    redis.reply = OpusCineError("gone")
    assert [(await limiter.check("caller", Budget())).allowed for _ in range(4)] == [True, True, False, False]
    redis.reply = [0, 0, 1_000_000, 10_000_000]
    assert not (await limiter.check("another", Budget())).allowed
    redis.reply = OpusCineError("gone")
    assert not (await limiter.check("another", Budget())).allowed


@pytest.mark.parametrize("reply", [[2, 0, 0, 0], [-1, 0, 0, 0]], ids=str)
async def test_more_than_were_asked_about_cannot_be_admitted(reply: list[int]) -> None:
    redis = FakeRedis()
    redis.reply = reply
    with pytest.raises(OpusCineError, match="four integers"):
        await RedisRateLimiter(HUNDRED_A_MINUTE, redis, name="read").check("caller", Budget())


def test_headers_name_each_limit() -> None:
    allowed, denied = Verdict(True, 100, 50, 29.2, 0.0), Verdict(False, 10, 0, 60.0, 5.4)
    assert policy_header([("read", HUNDRED_A_MINUTE), ("user", Rate(10, 3600, 5))]) == '"read";q=100;w=60, "user";q=10;w=3600'
    assert limit_header([("read", allowed), ("user", denied)]) == '"read";r=50;t=30, "user";r=0;t=6'
    with pytest.raises(ValueError, match="name"):
        policy_header([('a";q=1', HUNDRED_A_MINUTE)])
    with pytest.raises(ValueError, match="name"):
        limit_header([("a\r\nb", allowed)])


@pytest.mark.parametrize(("retry_s", "header"), [(0.0, "1"), (0.4, "1"), (1.2, "2"), (86_400.0, "2")])
def test_retry_after_is_short_and_whole(retry_s: float, header: str) -> None:
    assert retry_after_header(Verdict(False, 1, 0, retry_s, retry_s)) == header
