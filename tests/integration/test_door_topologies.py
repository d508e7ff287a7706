"""The service with a Redis cluster and with sentinels: a primary dies under load, nobody notices, and the limit counts in Redis again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from support.door import OTT, Load, eventually
from support.redis_server import RedisCluster, RedisSentinels, RedisServer
from support.service import Service, running

pytestmark = pytest.mark.wide

ADDRESSES = 30  # callers, whose counts are spread over all primaries of a cluster
BUDGET_S = 0.05
TOLERANCE_S = 0.025
SETTINGS = {"rate_limit_read": "100000/day", "trusted_proxies": "127.0.0.1"}


def forwarded(number: int) -> dict[str, str]:
    return {"X-Forwarded-For": f"192.0.2.{number % ADDRESSES}"}


def counts(servers: Sequence[RedisServer]) -> set[bytes]:
    """Return the counts that primaries among these servers hold."""
    primaries = [server for server in servers if b"role:master" in server.command("INFO", "replication")]
    return {key for server in primaries for key in server.command("KEYS", "opuscine:limit:read:*")}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path / "cluster") as running_cluster:
        yield running_cluster


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[RedisSentinels]:
    with RedisSentinels(tmp_path / "sentinels") as running_sentinels:
        yield running_sentinels


async def survive(service: Service, kill: Callable[[], None], left: Sequence[RedisServer], all_of_them: Sequence[RedisServer]) -> None:
    """Kill a primary under load, and wait until every caller is counted by what is left."""
    load = Load(service.caller, service.url + OTT, forwarded)

    async def all_counted() -> bool:
        return len(counts(all_of_them)) == ADDRESSES

    async def away() -> bool:
        return bool((await service.get("/admin/stats"))["limits"]["read"]["away"])

    async def counted_again() -> bool:
        """Count anew what was counted until now, and see whether every caller is among it."""
        began = time.monotonic()
        for server in left:
            if b"role:master" in server.command("INFO", "replication"):
                server.command("FLUSHALL")
        while time.monotonic() < began + 0.5:
            if len(counts(left)) == ADDRESSES:
                return not await away()
            await asyncio.sleep(0.02)
        return False

    async with load.running():
        await eventually(all_counted, what="a count for every caller")
        kill()
        await eventually(away, what="a limit that counts locally")
        await eventually(counted_again, for_s=25, what="a count for every caller after the failover")

    assert {answer.status for answer in load.answers} == {200}
    allowed_s = BUDGET_S + TOLERANCE_S + load.longest_stall_s
    assert max(answer.redis_s for answer in load.answers) <= allowed_s
    assert max(answer.took_s for answer in load.answers) <= allowed_s + 0.15


async def test_a_primary_of_a_cluster_is_killed_under_load(compiled: Path, cluster: RedisCluster) -> None:
    victim = cluster.primaries[0]
    left = [node for node in cluster.nodes if node is not victim]
    async with running(compiled, redis_url=cluster.url, **SETTINGS) as service:
        await survive(service, victim.kill, left, cluster.nodes)
        health = await service.get("/health")
        assert health["status"] == "UP"


async def test_the_primary_that_sentinels_watch_is_killed_under_load(compiled: Path, sentinels: RedisSentinels) -> None:
    async with running(compiled, redis_url=sentinels.url, **SETTINGS) as service:
        await survive(service, sentinels.primary.kill, [sentinels.replica], [sentinels.primary, sentinels.replica])
