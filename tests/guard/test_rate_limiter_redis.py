"""The rate limiter counting in a real Redis: exactly, over processes, through a loss of Redis."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from opuscine.guard.rate_limiter import _GCRA, LocalRateLimiter, Rate, RateLimiter, RedisRateLimiter, Verdict
from opuscine.redis_gateway import RedisBudget, RedisGateway
from support.redis_gateways import open_gateway
from support.redis_server import RedisServer

HUNDRED_A_MINUTE = Rate(100, 60, 100)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    running.command("FLUSHALL")
    return running


def limiter_on(gateway: RedisGateway, rate: Rate) -> RateLimiter[RedisBudget]:
    return RateLimiter(rate, RedisRateLimiter(rate, gateway, name="test"), name="test")


async def test_a_burst_is_admitted_on_the_dot(server: RedisServer) -> None:
    async with open_gateway(server.url) as gateway:
        limiter = limiter_on(gateway, HUNDRED_A_MINUTE)
        began = time.monotonic()
        verdicts = [await limiter.check("caller", RedisBudget(5)) for _ in range(180)]
        more = math.floor((time.monotonic() - began) * 100 / 60)
        admitted = [verdict for verdict in verdicts if verdict.allowed]
        assert 100 <= len(admitted) <= 100 + more
        assert [verdict.remaining for verdict in admitted[:50]] == list(range(99, 49, -1))
        assert 0 < verdicts[-1].retry_after_s <= 0.6
        assert 59 < verdicts[-1].reset_after_s <= 60
        assert (limiter.info.counted_locally, gateway.info.failures) == (0, {})
        assert (await limiter.check("another", RedisBudget(5))).remaining == 99


_PROCESS = """
import asyncio, json, sys, time
from opuscine.guard.breaker import Breaker
from opuscine.guard.rate_limiter import Rate, RateLimiter, RedisRateLimiter
from opuscine.redis_gateway import RedisBudget, RedisGateway, RedisSettings

async def main(url, start_at, for_s, requests):
    gateway = RedisGateway(RedisSettings(url), breaker=Breaker("redis", fail_max=5, open_s=1))
    rate = Rate.parse("100/minute") if requests else Rate.parse("6000/minute;burst=50")
    limiter = RateLimiter(rate, RedisRateLimiter(rate, gateway, name="shared"), name="shared")
    await gateway.probe()
    await asyncio.sleep(max(0.0, start_at - time.time()))
    first_asked = time.time()
    verdicts = [await limiter.check("caller", RedisBudget(5))]
    first_answered = last_asked = time.time()
    if requests:
        verdicts += await asyncio.gather(*(limiter.check("caller", RedisBudget(5)) for _ in range(requests - 1)))
    while last_asked < first_asked + for_s or (for_s and verdicts[-1].allowed):  # to a refusal: then nothing is left over
        last_asked = time.time()
        verdicts.append(await limiter.check("caller", RedisBudget(5)))
    times = [first_asked, first_answered, last_asked, time.time()]
    await gateway.close()
    print(json.dumps([sum(v.allowed for v in verdicts), len(verdicts), limiter.info.counted_locally, *times]))

url, start_at, for_s, requests = sys.argv[1:]
asyncio.run(main(url, float(start_at), float(for_s), int(requests)))
"""


def run_two_processes(server: RedisServer, *, for_s: float = 0.0, requests: int = 0) -> tuple[int, int, float, float]:
    """Let two processes ask at the same moment; return how many were admitted of how many, and within which times it took Redis."""
    start_at = time.time() + 1.5
    command = [sys.executable, "-c", _PROCESS, server.url, str(start_at), str(for_s), str(requests)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    reports = [json.loads(process.communicate(timeout=30)[0]) for process in processes]
    admitted, asked, locally, first_asked, first_answered, last_asked, last_answered = zip(*reports, strict=True)
    assert sum(locally) == 0
    return sum(admitted), sum(asked), max(last_asked) - min(first_answered), max(last_answered) - min(first_asked)


def test_two_processes_together_admit_one_burst(server: RedisServer) -> None:
    admitted, asked, _, longest = run_two_processes(server, requests=250)
    assert asked == 500
    assert 100 <= admitted <= 100 + math.floor(longest * 100 / 60)


def test_two_processes_together_admit_one_rate(server: RedisServer) -> None:
    admitted, asked, shortest, longest = run_two_processes(server, for_s=0.8)
    assert asked > admitted
    assert 50 + math.floor(shortest * 100) <= admitted <= 50 + math.floor(longest * 100)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([(1, 1), (64, 1), (7, 60), (100, 60), (3, 1), (999, 3600), (100_000, 1), (99_991, 86_400), (13, 86_400)]),
    st.integers(1, 100),
    st.lists(
        st.tuples(st.one_of(st.just(0), st.integers(0, 1280).map(lambda parts: parts * 15_625)), st.one_of(st.just(1), st.integers(1, 20))),
        min_size=1,
        max_size=25,
    ),
)
def test_the_script_counts_like_the_exact_local_limiter(
    running: RedisServer, limit_and_period: tuple[int, int], burst_percent: int, questions: list[tuple[int, int]]
) -> None:
    """The same verdicts to the microsecond, for requests alone and together, with the script's one reading of Redis' clock replaced.

    Time goes in 64ths of a second, which a float holds exactly. Keys are kept for longer than the test, whose time is not Redis'.
    """
    limit, period_s = limit_and_period
    rate = Rate(limit, period_s, max(1, limit * burst_percent // 100))
    now_us = 1_800_000_000_000_000
    local = LocalRateLimiter(rate, clock=lambda: (now_us - 1_800_000_000_000_000) / 1e6 + 1024)
    script = _GCRA.replace("redis.call('TIME')", "{string.sub(ARGV[5], 1, 10), string.sub(ARGV[5], 11)}")
    script = script.replace("math.floor((tat - now) / 1000) + 1", "600000")
    assert "600000" in script
    assert "ARGV[5]" in script
    running.command("FLUSHALL")
    for gap_us, requests in questions:
        now_us += gap_us
        args = (limit, period_s * 1_000_000, rate.burst, requests, now_us)
        admitted, remaining, retry_us, reset_us = running.command("EVAL", script, 1, "key", *args)
        verdicts = [local.check("key") for _ in range(requests)]
        verdict = verdicts[-1]
        assert admitted == sum(verdict.allowed for verdict in verdicts)
        assert remaining == verdict.remaining
        assert retry_us == pytest.approx(verdict.retry_after_s * 1e6, abs=1.1)
        assert reset_us == pytest.approx(verdict.reset_after_s * 1e6, abs=1.1)


async def test_a_burst_is_counted_together_and_answered_in_order(server: RedisServer) -> None:
    """Within the budget of one request each, whatever their number, and in a few round trips."""
    async with open_gateway(server.url) as gateway:
        limiter = limiter_on(gateway, Rate(100, 3600, 100))
        for caller in ("first", "second"):  # at the second time all connections are there
            uses = gateway.info.uses
            verdicts = await asyncio.gather(*(limiter.check(caller, gateway.budget()) for _ in range(1000)))
            assert [verdict.allowed for verdict in verdicts] == [True] * 100 + [False] * 900
            assert [verdict.remaining for verdict in verdicts] == [*range(99, -1, -1), *[0] * 900]
            assert [verdict.reset_after_s for verdict in verdicts[:100]] == pytest.approx([36.0 * n for n in range(1, 101)], abs=1)
            assert {math.ceil(verdict.retry_after_s) for verdict in verdicts[99:]} == {36}
            assert {verdict.retry_after_s for verdict in verdicts[:99]} == {0.0}
            assert gateway.info.uses - uses <= 3
        assert (limiter.info.counted_locally, gateway.info.failures) == (0, {})


async def test_a_burst_of_many_callers_is_counted_for_each(server: RedisServer) -> None:
    async with open_gateway(server.url, budget_s=5) as gateway:
        limiter = limiter_on(gateway, Rate(3, 3600, 3))
        verdicts = await asyncio.gather(*(limiter.check(f"caller {number % 20}", gateway.budget()) for number in range(100)))
        for caller in range(20):
            assert [verdict.allowed for verdict in verdicts[caller::20]] == [True] * 3 + [False] * 2
        assert limiter.info.counted_locally == 0


async def test_a_key_expires_when_the_whole_burst_is_there_again(server: RedisServer) -> None:
    async with open_gateway(server.url) as gateway:
        limiter = limiter_on(gateway, Rate(10, 10, 10))
        for _ in range(3):
            await limiter.check("caller", RedisBudget(5))
        [key] = server.command("KEYS", "*")
        assert key.startswith(b"opuscine:limit:test:")
        assert 2500 < server.command("PTTL", key) <= 3001


@pytest.mark.parametrize("kept", ["nonsense", "", "1:1:1", "99999999999999999:5", "-5:3", "1e300:0"])
async def test_what_somebody_else_wrote_locks_nobody_out_for_longer_than_a_burst(server: RedisServer, kept: str) -> None:
    async with open_gateway(server.url) as gateway:
        limiter = limiter_on(gateway, Rate(10, 1, 10))
        await limiter.check("caller", RedisBudget(5))
        [key] = server.command("KEYS", "*")
        server.command("SET", key, kept)
        verdict = await limiter.check("caller", RedisBudget(5))
        assert verdict.reset_after_s <= 1.0
        assert verdict.retry_after_s <= 0.1
        assert limiter.info.counted_locally == 0


async def test_a_key_of_another_type_is_counted_locally(server: RedisServer) -> None:
    async with open_gateway(server.url) as gateway:
        limiter = limiter_on(gateway, Rate(2, 60, 2))
        await limiter.check("caller", RedisBudget(5))
        [key] = server.command("KEYS", "*")
        server.command("DEL", key)
        server.command("LPUSH", key, "x")
        assert [(await limiter.check("caller", RedisBudget(5))).allowed for _ in range(3)] == [True, False, False]
        assert limiter.info.counted_locally == 3


async def test_while_redis_is_gone_the_limit_holds_and_afterwards_redis_counts_again(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        async with open_gateway(server.url, open_s=0.1) as gateway:
            limiter = limiter_on(gateway, Rate(20, 3600, 20))
            with capture_logs() as lines:

                async def ask(times: int) -> list[Verdict]:
                    return [await limiter.check("caller", gateway.budget()) for _ in range(times)]

                assert sum(verdict.allowed for verdict in await ask(15)) == 15
                server.kill()
                assert sum(verdict.allowed for verdict in await ask(30)) == 5
                assert limiter.info.away
                server.start()
                async with asyncio.timeout(5):
                    while limiter.info.away:
                        await limiter.check("somebody else", gateway.budget())
                        await asyncio.sleep(0.01)
                assert sum(verdict.allowed for verdict in await ask(30)) == 20  # Redis has forgotten everything with its restart
        assert [line["log_level"] for line in lines if line.get("limiter")] in (["warning", "info"], ["warning"])
