"""The gateway with a real cluster and with real sentinels, and their failovers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from opuscine.redis_gateway import RedisAwayError, RedisBudget, RedisGateway
from support.redis_gateways import LoopWatch, eventually, open_gateway
from support.redis_server import RedisCluster, RedisSentinels, RedisServer

pytestmark = pytest.mark.wide

BUDGET_S = 0.05
TOLERANCE_S = 0.025
ECHO = "return {KEYS[1], ARGV[1]}"
VALUES = {f"movie:{number}:ott_links": b"%d" % number for number in range(60)}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path / "cluster") as running:
        yield running


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[RedisSentinels]:
    with RedisSentinels(tmp_path / "sentinels") as running:
        yield running


async def read_all(gateway: RedisGateway) -> bool:
    """Read every value within one budget; tell whether they came, and fail if a wrong one did or it took too long."""
    began = time.monotonic()
    async with LoopWatch() as watch:
        try:
            values = await gateway.get_many(list(VALUES), RedisBudget(BUDGET_S))
        except RedisAwayError:
            values = None
        took = time.monotonic() - began
    assert took <= BUDGET_S + TOLERANCE_S + watch.longest_stall_s, f"a use took {took * 1000:.1f} ms"
    assert values in (None, list(VALUES.values()))
    return values is not None


async def read_until_back(gateway: RedisGateway, *, for_s: float = 20.0) -> None:
    """Read again and again until three reads in a row succeed."""
    end = time.monotonic() + for_s
    in_a_row = 0
    while in_a_row < 3:
        assert time.monotonic() < end, f"no values again within {for_s} s: {gateway.info}"
        in_a_row = in_a_row + 1 if await read_all(gateway) else 0
        await asyncio.sleep(0.01)


async def test_every_use_works_on_a_cluster(cluster: RedisCluster) -> None:
    async with open_gateway(cluster.url) as gateway:
        await gateway.set_many(VALUES, 60, gateway.budget())
        assert await gateway.get_many([*VALUES, "absent"], gateway.budget()) == [*VALUES.values(), None]
        await gateway.delete([*VALUES, "absent"], gateway.budget())
        assert await gateway.get_many(list(VALUES), gateway.budget()) == [None] * 60
        for number in range(20):
            assert await gateway.run_script(ECHO, [f"key{number}"], ["x"], gateway.budget()) == [b"key%d" % number, b"x"]
        for node in cluster.primaries:
            node.command("SCRIPT", "FLUSH")
        for number in range(20):
            assert await gateway.run_script(ECHO, [f"key{number}"], ["x"], gateway.budget()) == [b"key%d" % number, b"x"]
        gateway.set_later(VALUES, 60)
        await eventually(lambda: gateway.info.written == 60)
        assert (await gateway.probe())["topology"] == "cluster"
        with pytest.raises(RedisAwayError, match="same key slot"):
            await gateway.run_script(ECHO, ["a", "b"], ["x"], gateway.budget())
        assert gateway.info.failures == {"unreachable": 1}


async def test_a_stall_of_the_loop_costs_no_reply_of_a_cluster(cluster: RedisCluster) -> None:
    async with open_gateway(cluster.url) as gateway:
        await gateway.set_many(VALUES, 60, RedisBudget(5))
        for _ in range(5):
            use = asyncio.create_task(gateway.get_many(list(VALUES), RedisBudget(BUDGET_S)))
            for _ in range(4):
                await asyncio.sleep(0)
            time.sleep(0.2)  # noqa: ASYNC251 - the stall itself
            assert await use == list(VALUES.values())


async def test_connections_of_a_cluster_that_died_are_noticed_before_use(cluster: RedisCluster) -> None:
    """Shown by scripts, which are never repeated."""
    async with open_gateway(cluster.url) as gateway:
        for _ in range(3):
            for number in range(12):
                await gateway.run_script(ECHO, [f"key{number}"], ["x"], gateway.budget())
            for node in cluster.primaries:
                node.command("CLIENT", "KILL", "TYPE", "normal")
            await asyncio.sleep(0.02)  # the news travels to the gateway
        assert gateway.info.failures == {}


async def test_callers_that_leave_mix_up_no_replies_of_a_cluster(cluster: RedisCluster) -> None:
    async with open_gateway(cluster.url, max_connections=4, fail_max=10**9, connect_timeout_s=0.02) as gateway:
        await gateway.set_many(VALUES, 60, RedisBudget(5))

        async def read(number: int, budget_s: float) -> None:
            keys = [f"movie:{(number + step) % 60}:ott_links" for step in range(6)]
            try:
                values = await gateway.get_many(keys, RedisBudget(budget_s))
            except RedisAwayError:
                return
            assert values == [VALUES[key] for key in keys]

        for round_number in range(40):
            if round_number % 10 == 5:
                cluster.primaries[0].pause()
            if round_number % 10 == 8:
                cluster.primaries[0].resume()
            async with asyncio.TaskGroup() as group:
                for number in range(8):
                    group.create_task(read(round_number + number, 0.001 * (1 + number)))
        cluster.primaries[0].resume()
        await eventually(lambda: gateway.info.in_use == 0)


async def test_slots_that_nobody_serves_are_redis_being_away(cluster: RedisCluster) -> None:
    for node in cluster.nodes:
        node.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
    victim = cluster.holder_of("movie:1:ott_links")
    victim.command("CLUSTER", "FLUSHSLOTS")
    others = [key for key in VALUES if cluster.holder_of(key) is not victim]
    async with open_gateway(cluster.url, fail_max=100) as gateway:
        for _ in range(3):
            with pytest.raises(RedisAwayError):
                await gateway.get_many(["movie:1:ott_links"], RedisBudget(5))
            with pytest.raises(RedisAwayError):
                await gateway.run_script(ECHO, ["movie:1:ott_links"], ["x"], RedisBudget(5))
            assert await gateway.get_many(others, RedisBudget(5)) == [None] * len(others)


@pytest.mark.parametrize("death", ["killed", "hung"])
async def test_a_clusters_failover_is_survived(cluster: RedisCluster, death: str) -> None:
    async with open_gateway(cluster.url, open_s=0.2) as gateway:
        await gateway.set_many(VALUES, 600, RedisBudget(5))
        await read_until_back(gateway)
        assert all(node.command("WAIT", 1, 5000) == 1 for node in cluster.primaries)
        victim = cluster.holder_of("movie:1:ott_links")
        if death == "killed":
            victim.kill()
        else:
            victim.pause()
        assert not await read_all(gateway)
        await read_until_back(gateway)
        await gateway.set_many(VALUES, 600, RedisBudget(5))
        assert await gateway.run_script(ECHO, ["movie:1:ott_links"], ["x"], RedisBudget(5)) == [b"movie:1:ott_links", b"x"]


async def test_every_use_works_through_sentinels(tmp_path: Path) -> None:
    with RedisSentinels(tmp_path / "sentinels", password="secret") as sentinels:
        async with open_gateway(sentinels.url) as gateway:
            await gateway.set_many(VALUES, 60, gateway.budget())
            assert await gateway.get_many([*VALUES, "absent"], gateway.budget()) == [*VALUES.values(), None]
            assert await gateway.run_script(ECHO, ["key"], ["x"], gateway.budget()) == [b"key", b"x"]
            await gateway.delete(list(VALUES), gateway.budget())
            assert (await gateway.probe())["topology"] == "sentinel"
            assert gateway.info.failures == {}
            assert "secret" not in gateway.info.address


@pytest.mark.parametrize("death", ["killed", "hung"])
async def test_a_failover_by_sentinels_is_survived(sentinels: RedisSentinels, death: str) -> None:
    async with open_gateway(sentinels.url, open_s=0.2) as gateway:
        await gateway.set_many(VALUES, 600, RedisBudget(5))
        await read_until_back(gateway)
        assert sentinels.primary.command("WAIT", 1, 5000) == 1
        if death == "killed":
            sentinels.primary.kill()
        else:
            sentinels.primary.pause()
        assert not await read_all(gateway)
        await read_until_back(gateway)
        await gateway.set_many({"written": b"after"}, 60, RedisBudget(5))
        assert sentinels.replica.command("GET", "written") == b"after"


@pytest.mark.parametrize("death", ["killed", "hung"])
async def test_dead_and_hung_sentinels_are_passed_over(sentinels: RedisSentinels, death: str) -> None:
    """The gateway starts while the first two of three sentinels are gone: soon it works all the same, and no use waits longer."""
    with ExitStack() as healing:
        for sentinel in sentinels.sentinels[:2]:
            if death == "killed":
                sentinel.kill()
            else:
                sentinel.pause()
                healing.callback(sentinel.resume)
        sentinels.primary.command("MSET", *(word for item in VALUES.items() for word in (item[0], item[1].decode())))
        async with open_gateway(sentinels.url, open_s=0.2) as gateway:
            await read_until_back(gateway)


async def test_connections_to_a_demoted_primary_are_left(sentinels: RedisSentinels) -> None:
    """A write that meets a server which became a replica goes to the new primary at the next attempt."""
    async with open_gateway(sentinels.url, open_s=0.1) as gateway:
        await gateway.set_many({"a": b"1"}, 60, gateway.budget())
        sentinels.sentinels[0].command("SENTINEL", "FAILOVER", sentinels.service)
        await eventually(lambda: _is_primary(sentinels.replica), what="the failover")
        sentinels.primary.command("REPLICAOF", "127.0.0.1", sentinels.replica.port)  # sooner than the sentinels would

        async def write() -> bool:
            try:
                await gateway.set_many({"b": b"2"}, 60, gateway.budget())
            except RedisAwayError:
                return False
            return True

        attempts = 0
        while not await write():
            attempts += 1
            assert attempts < 20, gateway.info
            await asyncio.sleep(0.1)
        assert sentinels.replica.command("GET", "b") == b"2"


def _is_primary(server: RedisServer) -> bool:
    try:
        return b"role:master" in server.command("INFO", "replication")
    except OSError:  # a sentinel ends all connections to a server whose role it changes
        return False
