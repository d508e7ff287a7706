"""The gateway and one healthy Redis: what each use does, logins, TLS, sockets, budgets, the bound on connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from opuscine.errors import SettingsError
from opuscine.guard.deadline import Deadline
from opuscine.redis_gateway import RedisAwayError, RedisBudget
from support.manual_clock import ManualClock
from support.redis_gateways import LoopWatch, eventually, open_gateway
from support.redis_server import Certificates, RedisServer
from support.tcp_proxy import TcpProxy

ECHO = "return {KEYS[1], ARGV[1], ARGV[2]}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as running:
        yield running


async def test_values_are_read_in_the_order_of_their_keys(server: RedisServer) -> None:
    async with open_gateway(server.url) as gateway:
        await gateway.set_many({"a": b"1", "c": b"\x00\xff"}, 60, gateway.budget())
        assert await gateway.get_many(["c", "b", "a", "c"], gateway.budget()) == [b"\x00\xff", None, b"1", b"\x00\xff"]


async def test_values_live_as_long_as_said(server: RedisServer) -> None:
    async with open_gateway(server.url) as gateway:
        await gateway.set_many({"day": b"1"}, 86_400, gateway.budget())
        await gateway.set_many({"short": b"1", "none": b"1"}, 0.5, gateway.budget())
    assert 86_390_000 < server.command("PTTL", "day") <= 86_400_000
    assert 0 < server.command("PTTL", "short") <= 500


async def test_deleted_keys_are_gone(server: RedisServer) -> None:
    async with open_gateway(server.url) as gateway:
        await gateway.set_many({"a": b"1", "b": b"2", "c": b"3"}, 60, gateway.budget())
        await gateway.delete(["a", "c", "never there"], gateway.budget())
        assert await gateway.get_many(["a", "b", "c"], gateway.budget()) == [None, b"2", None]


async def test_nothing_to_do_needs_no_redis() -> None:
    async with open_gateway("redis://127.0.0.1:1") as gateway:
        assert await gateway.get_many([], gateway.budget()) == []
        await gateway.set_many({}, 60, gateway.budget())
        await gateway.delete([], gateway.budget())
        assert gateway.info.uses == 0


async def test_a_script_runs_whether_redis_knows_it_or_not(server: RedisServer) -> None:
    async with open_gateway(server.url) as gateway:
        expected = [b"key", b"text", b"7"]
        assert await gateway.run_script(ECHO, ["key"], ["text", 7], gateway.budget()) == expected
        for forget in (("SCRIPT", "FLUSH"), ("FLUSHALL",)):
            server.command(*forget)
            assert await gateway.run_script(ECHO, ["key"], ["text", 7], gateway.budget()) == expected
        assert gateway.info.failures == {}


async def test_a_refusal_is_no_reason_to_stay_away(server: RedisServer) -> None:
    server.command("LPUSH", "list", "x")
    script = "return redis.call('GET', KEYS[1])"
    async with open_gateway(server.url, fail_max=2) as gateway:
        for _ in range(5):
            with pytest.raises(RedisAwayError, match="WRONGTYPE"):
                await gateway.run_script(script, ["list"], [], gateway.budget())
        assert (gateway.info.breaker, gateway.info.failures) == ("closed", {"refused": 5})
        assert await gateway.get_many(["list"], gateway.budget()) == [None]


async def test_a_write_that_redis_refuses_names_neither_key_nor_value(server: RedisServer) -> None:
    server.command("CONFIG", "SET", "maxmemory", "1")
    async with open_gateway(server.url) as gateway:
        with pytest.raises(RedisAwayError, match="maxmemory") as caught:
            await gateway.set_many({"private key": b"private value"}, 60, gateway.budget())
        assert "private" not in str(caught.value)
        assert gateway.info.breaker == "closed"


async def test_login_by_password_and_database(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", password="p@ss/word") as server:
        async with open_gateway(f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}/5") as gateway:
            await gateway.set_many({"a": b"1"}, 60, gateway.budget())
            assert await gateway.get_many(["a"], gateway.budget()) == [b"1"]
        assert b"db5:keys=1" in server.command("INFO", "keyspace")


async def test_login_as_a_user_with_few_rights(tmp_path: Path) -> None:
    rights = ("default off", "films on >secret ~movie:* ~opuscine:* -@all +mget +set +del +evalsha +eval +time +ping")
    with RedisServer(tmp_path / "redis", users=rights) as server:
        async with open_gateway(f"redis://films:secret@127.0.0.1:{server.port}") as gateway:
            await gateway.set_many({"movie:1": b"1"}, 60, gateway.budget())
            assert await gateway.get_many(["movie:1"], gateway.budget()) == [b"1"]
            assert await gateway.probe()
            with pytest.raises(RedisAwayError, match=r"(?i)permission"):
                await gateway.get_many(["other"], gateway.budget())


async def test_a_wrong_password_is_redis_being_away_and_shown_nowhere(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", password="right") as server:
        async with open_gateway(f"redis://:Hush-wrong@127.0.0.1:{server.port}") as gateway:
            with pytest.raises(RedisAwayError) as caught:
                await gateway.get_many(["a"], gateway.budget())
            with pytest.raises(RedisAwayError):
                await gateway.probe()
            assert "Hush" not in f"{caught.value!r} {caught.value.__cause__!r} {gateway.info!r}"


async def test_tls_checks_the_server_against_the_named_authority(tmp_path: Path) -> None:
    certificates, foreign = Certificates.make(tmp_path / "ours"), Certificates.make(tmp_path / "foreign")
    with RedisServer(tmp_path / "redis", certificates=certificates, password="secret") as server:
        async with open_gateway(server.url) as gateway:
            await gateway.set_many({"a": b"1"}, 60, gateway.budget())
            assert await gateway.get_many(["a"], gateway.budget()) == [b"1"]
        for url in (server.url.replace(str(certificates.authority), str(foreign.authority)), server.url.partition("?")[0]):
            async with open_gateway(url) as gateway:
                with pytest.raises(RedisAwayError, match=r"(?i)certificate"):
                    await gateway.get_many(["a"], gateway.budget())


def test_a_certificate_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for options in (f"ca_file={tmp_path}/absent.pem", f"ca_file={tmp_path}/empty.pem", f"cert_file={tmp_path}/empty.pem"):
        with pytest.raises(SettingsError, match="REDIS_URL names a certificate that cannot be used"):
            asyncio.run(_open_and_close(f"rediss://127.0.0.1?{options}"))


async def _open_and_close(url: str) -> None:
    async with open_gateway(url):
        pass


async def test_a_unix_socket(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", unix_socket=True, password="secret") as server:
        async with open_gateway(f"unix://:secret@{server.unix_socket}?db=1") as gateway:
            await gateway.set_many({"a": b"1"}, 60, gateway.budget())
            assert await gateway.get_many(["a"], gateway.budget()) == [b"1"]
            assert gateway.info.address == f"unix://{server.unix_socket}"


async def test_more_uses_than_connections_wait_for_one_another(server: RedisServer) -> None:
    async with open_gateway(server.url, max_connections=4) as gateway:
        await gateway.set_many({str(number): str(number).encode() for number in range(200)}, 60, gateway.budget())
        answers = await asyncio.gather(*(gateway.get_many([str(number)], gateway.budget()) for number in range(200)))
        assert answers == [[str(number).encode()] for number in range(200)]
        assert server.command("INFO", "clients").split(b"connected_clients:")[1].split()[0] in {b"2", b"3", b"4", b"5"}  # one is ours


def test_a_budget_is_what_the_uses_before_left() -> None:
    readings = iter([10.0, 10.03, 11.0, 11.04])
    budget = RedisBudget(0.05, lambda: next(readings))
    budget.spend_since(budget.now())
    assert budget.remaining_s == pytest.approx(0.02)
    budget.spend_since(budget.now())
    assert budget.remaining_s == 0.0


def test_a_budget_never_reaches_beyond_the_deadline() -> None:
    clock = ManualClock()
    budget = RedisBudget(0.05, clock, Deadline(0.1, clock))
    assert budget.remaining_s == pytest.approx(0.05)
    clock.advance(0.08)
    assert budget.remaining_s == pytest.approx(0.02)
    clock.advance(0.08)
    assert budget.remaining_s == 0.0


async def test_uses_of_one_request_share_its_budget(server: RedisServer) -> None:
    async with TcpProxy.to(server.port) as proxy, open_gateway(f"redis://127.0.0.1:{proxy.port}") as gateway:
        await gateway.set_many({"a": b"1"}, 60, RedisBudget(5))
        budget = RedisBudget(0.1)
        proxy.behave("stall")
        async with LoopWatch() as watch:
            began = time.monotonic()
            with pytest.raises(RedisAwayError, match="no reply within 100 ms"):
                await gateway.get_many(["a"], budget)
            proxy.behave("pass")
            with pytest.raises(RedisAwayError, match="budget for Redis is used up"):
                await gateway.get_many(["a"], budget)
            assert time.monotonic() - began < 0.125 + watch.longest_stall_s
        assert await gateway.get_many(["a"], RedisBudget(5)) == [b"1"]
        assert gateway.info.failures == {"timeout": 1, "budget": 1}


async def test_no_free_connection_within_the_budget(server: RedisServer) -> None:
    async with TcpProxy.to(server.port) as proxy, open_gateway(f"redis://127.0.0.1:{proxy.port}", max_connections=1) as gateway:
        proxy.behave("stall")
        first = asyncio.create_task(gateway.get_many(["a"], RedisBudget(5)))
        await asyncio.sleep(0)
        with pytest.raises(RedisAwayError, match="no free connection within 30 ms"):
            await gateway.get_many(["b"], RedisBudget(0.03))
        proxy.behave("pass")
        assert await first == [None]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_reply_that_came_during_a_stall_of_the_loop_counts(server: RedisServer, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    async def scenario() -> None:
        async with open_gateway(server.url) as gateway:
            await gateway.set_many({"a": b"1"}, 60, RedisBudget(5))
            for _ in range(3):
                use = asyncio.create_task(gateway.get_many(["a"], RedisBudget(0.05)))
                for _ in range(3):
                    await asyncio.sleep(0)
                time.sleep(0.2)  # noqa: ASYNC251 - the stall itself
                assert await use == [b"1"]

    run(scenario())


async def test_health_is_asked_past_budget_and_breaker(server: RedisServer) -> None:
    async with open_gateway(server.url, fail_max=1, open_s=60) as gateway:
        server.stop()
        with pytest.raises(RedisAwayError):
            await gateway.get_many(["a"], gateway.budget())
        assert gateway.info.breaker == "open"
        with pytest.raises(RedisAwayError, match="does not answer"):
            await gateway.probe()
        server.start()
        details = await gateway.probe()
        assert (details["topology"], details["breaker"]) == ("single", "open")
        assert details["ping_ms"] >= 0


async def test_writes_in_the_background_arrive(server: RedisServer) -> None:
    async with open_gateway(server.url) as gateway:
        gateway.set_later({"a": b"1", "b": b"2"}, 60)
        assert gateway.info.pending_writes == 2
    assert server.command("MGET", "a", "b") == [b"1", b"2"]
    assert (gateway.info.written, gateway.info.dropped_writes, gateway.info.pending_writes) == (2, 0, 0)


async def test_writes_in_the_background_are_dropped_while_redis_is_away() -> None:
    async with open_gateway("redis://127.0.0.1:1") as gateway:
        gateway.set_later({"a": b"1"}, 60)
    assert (gateway.info.written, gateway.info.dropped_writes) == (0, 1)


async def test_closing_ends_uses_and_connections_and_lets_nobody_in(server: RedisServer) -> None:
    async with TcpProxy.to(server.port) as proxy:
        async with open_gateway(f"redis://127.0.0.1:{proxy.port}") as gateway:
            await gateway.get_many(["a"], RedisBudget(5))
            proxy.behave("stall")
            use = asyncio.create_task(gateway.get_many(["a"], RedisBudget(10)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            began = time.monotonic()
            await gateway.close()
            with pytest.raises(RedisAwayError, match="closed"):
                await use
            with pytest.raises(RedisAwayError, match="closed"):
                await gateway.get_many(["a"], gateway.budget())
            with pytest.raises(RedisAwayError, match="closed"):
                await gateway.probe()
            assert time.monotonic() - began < 1
            assert gateway.info.in_use == 0
        proxy.behave("pass")
        await eventually(lambda: not proxy.open_connections)


async def test_a_caller_that_leaves_takes_nothing_with_it(server: RedisServer) -> None:
    async with TcpProxy.to(server.port) as proxy, open_gateway(f"redis://127.0.0.1:{proxy.port}", max_connections=2) as gateway:
        await gateway.get_many(["a"], RedisBudget(5))
        proxy.behave("stall")
        leaving = [asyncio.create_task(gateway.get_many(["a"], RedisBudget(10))) for _ in range(20)]
        await asyncio.sleep(0.01)
        for task in leaving:
            task.cancel()
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in await asyncio.gather(*leaving, return_exceptions=True))
        proxy.behave("pass")
        assert await asyncio.gather(*(gateway.get_many(["a"], RedisBudget(5)) for _ in range(8))) == [[None]] * 8
        assert gateway.info.breaker == "closed"
