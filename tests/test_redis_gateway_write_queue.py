"""Writes in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from opuscine.redis_gateway.away import RedisAwayError
from opuscine.redis_gateway.write_queue import WriteQueue


class Store:
    """Take writes, when let."""

    def __init__(self) -> None:
        self.batches: list[tuple[dict[str, bytes], float]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.away = False
        self.refused = asyncio.Event()

    async def write(self, items: Mapping[str, bytes], ttl_s: float) -> None:
        await self.open.wait()
        if self.away:
            self.refused.set()
            raise RedisAwayError("away")
        self.batches.append((dict(items), ttl_s))


def queue_for(store: Store, max_items: int = 1000, max_bytes: int = 1_000_000) -> WriteQueue:
    return WriteQueue(store.write, max_items=max_items, max_bytes=max_bytes)


async def test_values_of_one_lifetime_are_written_together() -> None:
    store = Store()
    queue = queue_for(store)
    queue.put({"a": b"1", "b": b"2"}, 60)
    queue.put({"c": b"3"}, 60)
    queue.put({"d": b"4"}, 5)
    await queue.close(1)
    assert store.batches == [({"a": b"1", "b": b"2", "c": b"3"}, 60), ({"d": b"4"}, 5)]
    assert (queue.written, queue.dropped, len(queue)) == (4, 0, 0)


async def test_many_values_are_written_in_batches() -> None:
    store = Store()
    queue = queue_for(store)
    queue.put({str(number): b"" for number in range(200)}, 60)
    await queue.close(1)
    assert [len(items) for items, _ in store.batches] == [64, 64, 64, 8]


async def test_a_later_value_takes_the_place_of_one_that_waits() -> None:
    store = Store()
    queue = queue_for(store, max_bytes=3)
    queue.put({"a": b"old"}, 60)
    queue.put({"a": b"new"}, 60)
    await queue.close(1)
    assert store.batches == [({"a": b"new"}, 60)]
    assert queue.dropped == 0


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    store = Store()
    store.open.clear()
    by_number, by_size = queue_for(store, max_items=2), queue_for(store, max_bytes=10)
    by_number.put({str(number): b"" for number in range(5)}, 60)
    by_size.put({"large": b"x" * 11, "fits": b"x" * 10, "too much": b"x"}, 60)
    assert (len(by_number), by_number.dropped) == (2, 3)
    assert (len(by_size), by_size.dropped) == (1, 2)
    store.open.set()
    await by_number.close(1)
    await by_size.close(1)
    assert sorted(key for items, _ in store.batches for key in items) == ["0", "1", "fits"]


async def test_what_cannot_be_written_is_dropped_and_the_rest_goes_on() -> None:
    store = Store()
    store.away = True
    queue = queue_for(store)
    queue.put({"a": b"1"}, 60)
    await asyncio.wait_for(store.refused.wait(), 1)
    store.away = False
    queue.put({"b": b"2"}, 60)
    await queue.close(1)
    assert (queue.written, queue.dropped) == (1, 1)


async def test_close_gives_up_after_its_time_and_takes_nothing_more() -> None:
    store = Store()
    store.open.clear()
    queue = queue_for(store)
    queue.put({str(number): b"" for number in range(100)}, 60)
    await queue.close(0.02)
    queue.put({"late": b""}, 60)
    assert (queue.written, queue.dropped, len(queue)) == (0, 101, 0)


async def test_a_queue_never_used_closes_at_once() -> None:
    await queue_for(Store()).close(1)
