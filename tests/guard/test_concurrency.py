"""The bound on calls that run at once."""

from __future__ import annotations

import asyncio

import pytest

from opuscine.guard.concurrency import ConcurrencyLimit, OverloadedError


async def hold(limit: ConcurrencyLimit, until: asyncio.Event, order: list[int] | None = None, number: int = 0) -> None:
    """Hold a slot until told."""
    async with limit:
        if order is not None:
            order.append(number)
        await until.wait()


async def spin() -> None:
    """Let every ready task run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_full_limit_refuses_at_once_when_nobody_may_wait() -> None:
    limit, done = ConcurrencyLimit(2, wait_s=0), asyncio.Event()
    holders = [asyncio.create_task(hold(limit, done)) for _ in range(2)]
    await spin()
    with pytest.raises(OverloadedError, match="all 2 slots"):
        async with limit:
            pytest.fail("no third slot")
    done.set()
    await asyncio.gather(*holders)
    assert limit.in_use == 0


async def test_a_caller_waits_shortly_and_is_then_refused() -> None:
    limit, done = ConcurrencyLimit(1, wait_s=0.01), asyncio.Event()
    holder = asyncio.create_task(hold(limit, done))
    await spin()
    with pytest.raises(OverloadedError, match="stayed taken"):
        async with limit:
            pytest.fail("no second slot")
    assert limit.waiting == 0
    done.set()
    await holder
    assert limit.in_use == 0


async def test_waiting_callers_get_freed_slots_in_order_and_no_newcomer_overtakes_them() -> None:
    limit, order = ConcurrencyLimit(2, wait_s=30), list[int]()
    gates = [asyncio.Event() for _ in range(4)]
    tasks = [asyncio.create_task(hold(limit, gate, order, number)) for number, gate in enumerate(gates)]
    await spin()
    assert (order, limit.waiting) == ([0, 1], 2)
    gates[1].set()
    await spin()
    assert (order, limit.in_use, limit.waiting) == ([0, 1, 2], 2, 1)
    for gate in gates:
        gate.set()
    await asyncio.gather(*tasks)
    assert (order, limit.in_use) == ([0, 1, 2, 3], 0)


async def test_no_more_callers_wait_than_there_are_slots() -> None:
    limit, done = ConcurrencyLimit(1, wait_s=30), asyncio.Event()
    tasks = [asyncio.create_task(hold(limit, done)) for _ in range(2)]
    await spin()
    with pytest.raises(OverloadedError):
        await limit.__aenter__()
    done.set()
    await asyncio.gather(*tasks)


async def test_a_cancelled_waiter_leaves_its_place() -> None:
    limit, done = ConcurrencyLimit(1, wait_s=30), asyncio.Event()
    holder, waiter = (asyncio.create_task(hold(limit, done)) for _ in range(2))
    await spin()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert limit.waiting == 0
    done.set()
    await holder
    assert limit.in_use == 0


@pytest.mark.parametrize("cancel_first", [True, False])
async def test_a_waiter_cancelled_in_the_moment_of_handing_over_loses_no_slot(cancel_first: bool) -> None:
    limit, first_done, later = ConcurrencyLimit(1, wait_s=30), asyncio.Event(), asyncio.Event()
    await limit.__aenter__()
    waiter = asyncio.create_task(hold(limit, later))
    await spin()
    if cancel_first:
        waiter.cancel()
        await limit.__aexit__(None, None, None)
    else:
        await limit.__aexit__(None, None, None)
        waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert (limit.in_use, limit.waiting) == (0, 0)
    first_done.set()
    await hold(limit, first_done)
    assert limit.in_use == 0


async def test_an_error_inside_gives_the_slot_back() -> None:
    limit = ConcurrencyLimit(1)
    with pytest.raises(ZeroDivisionError):
        async with limit:
            raise ZeroDivisionError
    assert limit.in_use == 0


def test_a_limit_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ConcurrencyLimit(0)
