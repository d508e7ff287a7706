"""The gateway while Redis is absent, dies, hangs, is flushed, or loses its connections, and when it is back."""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from opuscine.redis_gateway import RedisAwayError, RedisBudget, RedisGateway
from support.redis_gateways import LoopWatch, eventually, open_gateway
from support.redis_server import Certificates, RedisServer, free_port
from support.tcp_proxy import TcpProxy

BUDGET_S = 0.05
TOLERANCE_S = 0.025
COUNT = "return redis.call('INCR', KEYS[1])"
LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as running:
        yield running


@dataclass
class Load:
    """Callers that read values without pause, each with a fresh budget, and write down how it went."""

    gateway: RedisGateway
    budget_s: float = BUDGET_S
    uses: list[tuple[float, float, str]] = field(default_factory=list)  # when it began, how long it took, outcome

    @contextlib.asynccontextmanager
    async def running(self, callers: int = 4) -> AsyncIterator[Load]:
        async with asyncio.TaskGroup() as group, LoopWatch() as watch:
            tasks = [group.create_task(self._call(number)) for number in range(callers)]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
            slowest = max(took for _, took, _ in self.uses)
            assert slowest <= self.budget_s + TOLERANCE_S + watch.longest_stall_s, f"a use took {slowest * 1000:.1f} ms"
        assert {outcome for _, _, outcome in self.uses} <= {"value", "none", "away"}

    async def until(self, outcome: str, *, for_s: float = 10.0) -> float:
        """Wait for the next use with this outcome and return how long that took."""
        began = time.monotonic()
        seen = len(self.uses)
        while not any(one[2] == outcome for one in self.uses[seen:]):
            assert time.monotonic() - began < for_s, f"no use ended with {outcome!r} within {for_s} s"
            await asyncio.sleep(0.002)
        return time.monotonic() - began

    async def _call(self, caller: int) -> None:
        number = caller
        while True:
            number = (number + 7) % 50
            budget = RedisBudget(self.budget_s)
            began = time.monotonic()
            try:
                [value] = await self.gateway.get_many([f"key{number}"], budget)
                outcome = "none" if value is None else "value" if value == b"%d" % number else f"{value!r} for key{number}"
            except RedisAwayError:
                outcome = "away"
            self.uses.append((began, time.monotonic() - began, outcome))
            await asyncio.sleep(0.002)


async def fill(gateway: RedisGateway) -> None:
    await gateway.set_many({f"key{number}": b"%d" % number for number in range(50)}, 600, RedisBudget(5))


def cut_off(proxy: TcpProxy) -> None:
    proxy.behave("reset")
    proxy.drop_all(reset=True)


def reach_again(proxy: TcpProxy) -> None:
    proxy.drop_all()
    proxy.behave("pass")


Deed = Callable[[RedisServer, TcpProxy], None]
OUTAGES: dict[str, tuple[Deed, Deed]] = {
    "stopped": (lambda server, _: server.stop(), lambda server, _: server.start()),
    "killed": (lambda server, _: server.kill(), lambda server, _: server.start()),
    "hung": (lambda server, _: server.pause(), lambda server, _: server.resume()),
    "unreachable": (lambda _, proxy: proxy.behave("blackhole"), lambda _, proxy: reach_again(proxy)),
    "resetting": (lambda _, proxy: cut_off(proxy), lambda _, proxy: proxy.behave("pass")),
}


@pytest.mark.parametrize("outage", OUTAGES)
async def test_an_outage_under_load_costs_little_and_ends_by_itself(server: RedisServer, outage: str) -> None:
    """No error but RedisAwayError, no use beyond its budget, next to no delay once the breaker is open, and then back."""
    begin, cure = OUTAGES[outage]
    async with TcpProxy.to(server.port) as proxy, open_gateway(f"redis://127.0.0.1:{proxy.port}", open_s=0.15) as gateway:
        await fill(gateway)
        load = Load(gateway)
        async with load.running():
            await load.until("value")
            begin(server, proxy)
            await load.until("away")
            await eventually(lambda: gateway.info.breaker == "open")
            opened = time.monotonic()
            await asyncio.sleep(0.4)
            while_open = [took for at, took, _ in load.uses if at > opened]
            assert statistics.median(while_open) < 0.001
            cure(server, proxy)
            back_s = await load.until("none" if outage in {"stopped", "killed"} else "value")
            assert back_s < 2
            if outage in {"stopped", "killed"}:
                await fill(gateway)
            await load.until("value")


async def test_a_flush_under_load_is_only_misses(server: RedisServer) -> None:
    async with open_gateway(server.url) as gateway:
        await fill(gateway)
        load = Load(gateway, budget_s=5)
        async with load.running():
            await load.until("value")
            server.command("FLUSHALL")
            await load.until("none")
        assert gateway.info.failures == {}


async def test_without_any_redis_uses_soon_cost_next_to_nothing() -> None:
    async with open_gateway(f"redis://127.0.0.1:{free_port()}", fail_max=3, open_s=60) as gateway:
        times = []
        for _ in range(200):
            began = time.monotonic()
            with pytest.raises(RedisAwayError):
                await gateway.get_many(["a"], gateway.budget())
            times.append(time.monotonic() - began)
        assert gateway.info.failures == {"unreachable": 3, "breaker_open": 197}
        assert statistics.median(times) < 0.001
        assert "127.0.0.1" in gateway.info.last_error


async def test_a_redis_that_hangs_before_the_first_use(server: RedisServer) -> None:
    async with open_gateway(server.url, open_s=0.1) as gateway, LoopWatch() as watch:
        server.pause()
        began = time.monotonic()
        with pytest.raises(RedisAwayError, match="no reply within 50 ms"):
            await gateway.get_many(["a"], RedisBudget(BUDGET_S))
        assert time.monotonic() - began < BUDGET_S + TOLERANCE_S + watch.longest_stall_s
        server.resume()
        assert await gateway.get_many(["a"], RedisBudget(5)) == [None]


DEATHS: dict[str, Deed] = {
    "reset": lambda _, proxy: proxy.drop_all(reset=True),
    "closed": lambda _, proxy: proxy.drop_all(),
    "killed by Redis": lambda server, _: server.command("CLIENT", "KILL", "TYPE", "normal"),
    "restarted": lambda server, _: server.restart(),
}


@LOOPS
@pytest.mark.parametrize("death", DEATHS)
def test_connections_that_died_in_the_pool_are_noticed_before_use(server: RedisServer, death: str, run: Runner) -> None:
    """Shown by a script, which is never repeated: not one of several stale connections makes a use fail."""

    async def scenario() -> None:
        async with TcpProxy.to(server.port) as proxy, open_gateway(f"redis://127.0.0.1:{proxy.port}") as gateway:
            await asyncio.gather(*(gateway.run_script(COUNT, ["n"], [], gateway.budget()) for _ in range(6)))
            assert proxy.open_connections == 6
            DEATHS[death](server, proxy)
            await eventually(lambda: not proxy.open_connections)
            await asyncio.sleep(0.02)  # the end of the last connection travels to the gateway
            await asyncio.gather(*(gateway.run_script(COUNT, ["n"], [], gateway.budget()) for _ in range(6)))
            assert gateway.info.failures == {}

    run(scenario())


@LOOPS
def test_a_read_whose_connection_dies_under_it_is_repeated_at_once(server: RedisServer, run: Runner) -> None:
    async def scenario() -> None:
        async with TcpProxy.to(server.port) as proxy, open_gateway(f"redis://127.0.0.1:{proxy.port}") as gateway:
            await gateway.set_many({"a": b"1"}, 60, RedisBudget(5))
            for _ in range(3):
                proxy.behave("stall")
                read = asyncio.create_task(gateway.get_many(["a"], RedisBudget(5)))
                await asyncio.sleep(0.01)
                proxy.drop_all(reset=True)
                proxy.behave("pass")
                assert await read == [b"1"]
            assert gateway.info.failures == {}

    run(scenario())


@LOOPS
def test_a_script_whose_connection_dies_under_it_is_not_repeated(server: RedisServer, run: Runner) -> None:
    async def scenario() -> None:
        async with TcpProxy.to(server.port) as proxy, open_gateway(f"redis://127.0.0.1:{proxy.port}") as gateway:
            assert await gateway.run_script(COUNT, ["n"], [], RedisBudget(5)) == 1
            proxy.behave("stall")
            script = asyncio.create_task(gateway.run_script(COUNT, ["n"], [], RedisBudget(5)))
            await asyncio.sleep(0.01)
            proxy.drop_all(reset=True)
            proxy.behave("pass")
            with pytest.raises(RedisAwayError):
                await script
        assert server.command("GET", "n") == b"1"

    run(scenario())


@LOOPS
def test_a_peer_that_accepts_and_closes_is_not_asked_for_ever(server: RedisServer, run: Runner) -> None:
    async def scenario() -> None:
        async with TcpProxy.to(server.port) as proxy, open_gateway(f"redis://:secret@127.0.0.1:{proxy.port}/1") as gateway:
            proxy.behave("close")
            with pytest.raises(RedisAwayError):
                await gateway.get_many(["a"], RedisBudget(5))
            assert proxy.accepted <= 4

    run(scenario())


@LOOPS
@pytest.mark.parametrize("connect_timeout_s", [0.25, 0.01], ids=["left alone", "cut off"])
def test_no_reply_ever_meets_another_question(server: RedisServer, connect_timeout_s: float, run: Runner) -> None:
    """Callers leave, budgets end, uses are cut off at their own bound, and connections stall and break at random: a key's value is
    never another's."""

    async def scenario() -> None:
        dice = random.Random(7)
        settings = {"connect_timeout_s": connect_timeout_s, "max_connections": 3}
        async with (
            TcpProxy.to(server.port) as proxy,
            open_gateway(f"redis://127.0.0.1:{proxy.port}", fail_max=10**9, **settings) as gateway,
        ):
            for number in range(50):
                server.command("SET", f"key{number}", number)

            async def read(number: int) -> bool:
                try:
                    values = await gateway.get_many([f"key{number}", f"key{(number + 1) % 50}"], RedisBudget(dice.uniform(0.001, 0.02)))
                except RedisAwayError:
                    return False
                assert values == [b"%d" % number, b"%d" % ((number + 1) % 50)]
                return True

            answered = 0
            for _ in range(60):
                tasks = [asyncio.create_task(read(dice.randrange(50))) for _ in range(10)]
                for _ in range(dice.randrange(4)):
                    proxy.behave(dice.choice(["stall", "pass"]))
                    await asyncio.sleep(dice.uniform(0, 0.004))
                if dice.random() < 0.1:
                    proxy.drop_all(reset=dice.random() < 0.5)
                for task in dice.sample(tasks, 2):
                    task.cancel()
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
                answered += sum(outcome is True for outcome in outcomes)
                assert all(isinstance(outcome, bool | asyncio.CancelledError) for outcome in outcomes), outcomes
            proxy.behave("pass")
            assert answered > 50
            end = time.monotonic() + 10
            while not await read(1):
                assert time.monotonic() < end

    run(scenario())


@contextlib.asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[int]:
    """Run a server that gives the same bytes for whatever it is sent; yield its port."""
    writers = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while await reader.read(65536):
            writer.write(reply)

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"+OK\r\n",
        b":5\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*1\r\n$1\r\na\r\n",
        b"*3\r\n$-1\r\n$-1\r\n$-1\r\n",
        b"-ERR max number of clients reached\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-\xff\r\n",
        b"\x00\xff\r\n",
    ],
)
async def test_a_server_that_talks_nonsense_is_redis_being_away(reply: bytes) -> None:
    async with answering(reply) as port, open_gateway(f"redis://127.0.0.1:{port}") as gateway:
        with pytest.raises(RedisAwayError):
            await gateway.get_many(["a", "b"], RedisBudget(5))
        with contextlib.suppress(RedisAwayError):  # many of them are replies that a script may well give
            await gateway.run_script(COUNT, ["n"], [], RedisBudget(5))


async def test_bytes_beyond_a_reply_never_answer_the_next_question() -> None:
    reply = b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n*2\r\n$1\r\n3\r\n$1\r\n4\r\n"
    async with answering(reply) as port, open_gateway(f"redis://127.0.0.1:{port}") as gateway:
        for _ in range(5):
            assert await gateway.get_many(["a", "b"], RedisBudget(5)) == [b"1", b"2"]


async def test_closing_waits_for_no_peer_that_is_silent(tmp_path: Path) -> None:
    certificates = Certificates.make(tmp_path / "certificates")
    with RedisServer(tmp_path / "redis", certificates=certificates) as server:
        async with TcpProxy.to(server.port) as proxy:
            url = server.url.replace(str(server.port), str(proxy.port))
            async with open_gateway(url, connect_timeout_s=0.1) as gateway:
                await gateway.get_many(["a"], RedisBudget(5))
                proxy.behave("blackhole")
                began = time.monotonic()
                await gateway.close()
                assert time.monotonic() - began < 2
