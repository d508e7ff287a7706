"""The breaker: aiobreaker's type with one trial, epochs, a monotonic clock and the caller's own errors."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiobreaker import CircuitBreaker, CircuitBreakerError, CircuitBreakerListener, CircuitBreakerState
from structlog.testing import capture_logs

from opuscine.guard.breaker import Breaker, BreakerInfo, BreakerOpenError
from opuscine.guard.error_rate import ErrorRateLimit
from support.manual_clock import ManualClock


class BoomError(Exception):
    """The upstream's failure."""


class Upstream:
    """Something to call that counts, and can be held in mid-call."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: BaseException | None = None
        self.gate: asyncio.Event | None = None

    async def __call__(self) -> str:
        self.calls += 1
        error, gate = self.error, self.gate
        if gate is not None:
            await gate.wait()
        if error is not None:
            raise error
        return "answer"


class Recorder(CircuitBreakerListener):  # type: ignore[misc]
    """Note every event, and the state that the breaker shows at that moment."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def before_call(self, *_: object) -> None:
        self.events.append("call")

    def success(self, *_: object) -> None:
        self.events.append("success")

    def failure(self, *_: object) -> None:
        self.events.append("failure")

    def state_change(self, breaker: Breaker, _: object, new: object) -> None:
        assert breaker.state is new
        self.events.append(breaker.state_name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def breaker(clock: ManualClock) -> Breaker:
    return Breaker("test", fail_max=3, open_s=10.0, clock=clock)


async def fail(breaker: Breaker, upstream: Upstream, times: int) -> None:
    """Let so many calls fail."""
    upstream.error = BoomError()
    for _ in range(times):
        with pytest.raises(BoomError):
            await breaker.call(upstream)
    upstream.error = None


async def spin() -> None:
    """Let every ready task run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_it_is_an_aiobreaker_and_passes_arguments_and_results(breaker: Breaker) -> None:
    async def add(a: int, *, b: int) -> int:
        return a + b

    assert isinstance(breaker, CircuitBreaker)
    assert breaker.current_state is CircuitBreakerState.CLOSED
    assert await breaker.call(add, 2, b=3) == 5
    assert await breaker.call_async(add, 2, b=4) == 6
    assert breaker.closed


async def test_aiobreakers_decorator_guards_a_coroutine_function_once(breaker: Breaker, clock: ManualClock) -> None:
    @breaker
    async def answer() -> str:
        return "answer"

    breaker.open()
    with pytest.raises(BreakerOpenError):
        await answer()
    clock.advance(10)
    assert await breaker.call(answer) == "answer"
    assert breaker.closed


async def test_it_opens_after_failures_in_a_row_and_the_callers_own_error_goes_on_even_then(breaker: Breaker, upstream: Upstream) -> None:
    await fail(breaker, upstream, 2)
    assert breaker.closed
    upstream.error = BoomError("the third")
    with pytest.raises(BoomError, match="the third"):
        await breaker.call(upstream)
    assert breaker.state_name == "open"
    assert breaker.current_state is CircuitBreakerState.OPEN


async def test_a_success_between_them_starts_the_count_again(breaker: Breaker, upstream: Upstream) -> None:
    await fail(breaker, upstream, 2)
    await breaker.call(upstream)
    await fail(breaker, upstream, 2)
    assert breaker.closed
    assert breaker.fail_counter == 2


async def test_open_it_refuses_at_once_and_says_for_how_long(breaker: Breaker, upstream: Upstream, clock: ManualClock) -> None:
    await fail(breaker, upstream, 3)
    clock.advance(4)
    with pytest.raises(BreakerOpenError, match="'test' is open") as refused:
        await breaker.call(upstream)
    assert upstream.calls == 3
    assert refused.value.retry_after_s == breaker.time_until_half_open == 6.0
    assert isinstance(refused.value, CircuitBreakerError)
    assert refused.value.time_remaining == timedelta(seconds=6)
    assert breaker.time_until_open == timedelta(seconds=6)
    assert breaker.opens_at is not None
    assert abs(breaker.opens_at - datetime.now(UTC) - timedelta(seconds=6)) < timedelta(seconds=5)


async def test_check_refuses_as_a_call_would_and_changes_nothing(breaker: Breaker, upstream: Upstream, clock: ManualClock) -> None:
    breaker.check()
    await fail(breaker, upstream, 3)
    with pytest.raises(BreakerOpenError):
        breaker.check()
    clock.advance(10)
    breaker.check()
    assert breaker.state_name == "open"
    assert breaker.time_until_half_open == 0.0
    assert breaker.time_until_open is None
    assert breaker.opens_at is None


async def test_with_a_hundred_callers_waiting_exactly_one_trial_goes_through(
    breaker: Breaker, upstream: Upstream, clock: ManualClock
) -> None:
    await fail(breaker, upstream, 3)
    clock.advance(10)
    upstream.gate = asyncio.Event()
    callers = [asyncio.create_task(breaker.call(upstream)) for _ in range(100)]
    await spin()
    refused = [caller for caller in callers if caller.done()]
    assert len(refused) == 99
    assert all(isinstance(caller.exception(), BreakerOpenError) for caller in refused)
    assert breaker.state_name == "half_open"
    assert upstream.calls == 4
    with pytest.raises(BreakerOpenError):
        breaker.check()
    upstream.gate.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert answers.count("answer") == 1
    assert breaker.closed
    assert await breaker.call(upstream) == "answer"


async def test_a_failed_trial_opens_again_with_its_own_error_and_for_twice_as_long_up_to_the_maximum(
    clock: ManualClock, upstream: Upstream
) -> None:
    breaker = Breaker("test", fail_max=1, open_s=10.0, max_open_s=35.0, clock=clock)
    await fail(breaker, upstream, 1)
    for open_s in (10.0, 20.0, 35.0, 35.0):
        assert breaker.time_until_half_open == open_s
        clock.advance(open_s)
        await fail(breaker, upstream, 1)
        assert breaker.state_name == "open"
    clock.advance(35)
    await breaker.call(upstream)
    await fail(breaker, upstream, 1)
    assert breaker.time_until_half_open == 10.0


async def test_without_a_maximum_the_open_time_does_not_grow(breaker: Breaker, upstream: Upstream, clock: ManualClock) -> None:
    await fail(breaker, upstream, 3)
    clock.advance(10)
    await fail(breaker, upstream, 1)
    assert breaker.time_until_half_open == 10.0


async def test_a_cancelled_trial_frees_its_slot_and_the_next_caller_tries(breaker: Breaker, upstream: Upstream, clock: ManualClock) -> None:
    await fail(breaker, upstream, 3)
    clock.advance(10)
    upstream.gate = asyncio.Event()
    trial = asyncio.create_task(breaker.call(upstream))
    await spin()
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    assert breaker.state_name == "half_open"
    upstream.gate = None
    assert await breaker.call(upstream) == "answer"
    assert breaker.closed


async def test_cancelled_calls_are_not_failures(breaker: Breaker, upstream: Upstream) -> None:
    upstream.gate = asyncio.Event()
    for _ in range(5):
        call = asyncio.create_task(breaker.call(upstream))
        await spin()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert breaker.closed
    assert breaker.fail_counter == 0


@pytest.mark.parametrize("late_error", [BoomError(), None])
async def test_the_outcome_of_a_call_begun_before_the_last_change_counts_nothing(
    breaker: Breaker, upstream: Upstream, clock: ManualClock, late_error: BoomError | None
) -> None:
    upstream.gate, upstream.error = asyncio.Event(), late_error
    late = [asyncio.create_task(breaker.call(upstream)) for _ in range(5)]
    await spin()
    gate, upstream.gate = upstream.gate, None
    await fail(breaker, upstream, 3)
    clock.advance(10)
    upstream.gate = asyncio.Event()
    trial = asyncio.create_task(breaker.call(upstream))
    await spin()
    gate.set()
    await asyncio.gather(*late, return_exceptions=True)
    assert breaker.state_name == "half_open"
    with pytest.raises(BreakerOpenError):  # and none of them freed the trial's slot
        breaker.check()
    upstream.gate.set()
    await trial
    assert breaker.closed
    assert breaker.fail_counter == 0


async def test_a_trial_overtaken_by_a_change_of_state_neither_counts_nor_frees_the_next_ones_slot(
    breaker: Breaker, upstream: Upstream, clock: ManualClock
) -> None:
    await fail(breaker, upstream, 3)
    clock.advance(10)
    first_gate = upstream.gate = asyncio.Event()
    first = asyncio.create_task(breaker.call(upstream))
    await spin()
    breaker.open()
    clock.advance(10)
    upstream.gate = asyncio.Event()
    second = asyncio.create_task(breaker.call(upstream))
    await spin()
    first_gate.set()
    await first
    assert breaker.state_name == "half_open"
    with pytest.raises(BreakerOpenError):
        breaker.check()
    upstream.gate.set()
    await second
    assert breaker.closed


async def test_errors_judged_harmless_count_as_successes(clock: ManualClock, upstream: Upstream) -> None:
    breaker = Breaker("test", fail_max=2, open_s=10.0, is_failure=lambda error: not isinstance(error, KeyError), clock=clock)
    await fail(breaker, upstream, 1)
    upstream.error = KeyError("404")
    with pytest.raises(KeyError):
        await breaker.call(upstream)
    assert breaker.fail_counter == 0
    await fail(breaker, upstream, 2)
    clock.advance(10)
    upstream.error = KeyError("404")
    with pytest.raises(KeyError):
        await breaker.call(upstream)
    assert breaker.closed


async def test_errors_that_say_nothing_neither_count_nor_reset_nor_end_the_trial(clock: ManualClock, upstream: Upstream) -> None:
    breaker = Breaker("test", fail_max=2, open_s=10.0, is_failure=lambda error: None if isinstance(error, KeyError) else True, clock=clock)
    await fail(breaker, upstream, 1)
    upstream.error = KeyError("in a hurry")
    with pytest.raises(KeyError):
        await breaker.call(upstream)
    assert breaker.fail_counter == 1
    await fail(breaker, upstream, 1)
    clock.advance(10)
    upstream.error = KeyError("in a hurry")
    with pytest.raises(KeyError):
        await breaker.call(upstream)
    assert breaker.state_name == "half_open"
    upstream.error = None
    await breaker.call(upstream)
    assert breaker.closed


async def test_aiobreakers_excluded_exceptions_still_work(breaker: Breaker, upstream: Upstream) -> None:
    breaker.add_excluded_exception(BoomError)
    await fail(breaker, upstream, 9)
    assert breaker.closed


async def test_half_of_the_calls_failing_opens_it_although_never_three_in_a_row(clock: ManualClock, upstream: Upstream) -> None:
    breaker = Breaker("test", fail_max=3, open_s=10.0, error_rate=ErrorRateLimit(window_s=30, minimum_calls=10, share=0.5), clock=clock)
    for _ in range(4):
        await breaker.call(upstream)
        await fail(breaker, upstream, 1)
    assert breaker.closed
    await breaker.call(upstream)
    await fail(breaker, upstream, 1)
    assert breaker.state_name == "open"
    clock.advance(10)
    await breaker.call(upstream)
    await fail(breaker, upstream, 1)
    assert breaker.closed, "closing forgets the window"


async def test_slow_successes_open_it_too(clock: ManualClock) -> None:
    breaker = Breaker("test", fail_max=3, open_s=10.0, error_rate=ErrorRateLimit(minimum_calls=2, slow_s=5.0), clock=clock)

    async def slow() -> None:
        clock.advance(5.0)

    await breaker.call(slow)
    assert breaker.closed
    await breaker.call(slow)
    assert breaker.state_name == "open"


async def test_listeners_hear_each_event_and_each_change_once(clock: ManualClock, upstream: Upstream) -> None:
    recorder = Recorder()
    breaker = Breaker("test", fail_max=1, open_s=10.0, listeners=[recorder], clock=clock)
    await breaker.call(upstream)
    await fail(breaker, upstream, 1)
    clock.advance(10)
    await breaker.call(upstream)
    assert recorder.events == ["call", "success", "call", "failure", "open", "half_open", "call", "success", "closed"]


async def test_a_listener_that_raises_changes_nothing(breaker: Breaker, upstream: Upstream) -> None:
    class Broken(CircuitBreakerListener):  # type: ignore[misc]
        def success(self, *_: object) -> None:
            raise ZeroDivisionError

    breaker.add_listener(Broken())
    with capture_logs() as lines:
        assert await breaker.call(upstream) == "answer"
    assert [line["listener"] for line in lines] == ["Broken"]


async def test_each_change_of_state_is_one_log_line(breaker: Breaker, upstream: Upstream, clock: ManualClock) -> None:
    with capture_logs() as lines:
        await fail(breaker, upstream, 3)
        clock.advance(10)
        await breaker.call(upstream)
    assert [(line["breaker"], line["old"], line["new"]) for line in lines] == [
        ("test", "closed", "open"),
        ("test", "open", "half_open"),
        ("test", "half_open", "closed"),
    ]
    assert lines[0]["failures"] == 3
    assert lines[0]["open_s"] == 10.0


async def test_its_info_counts_openings_and_refusals(breaker: Breaker, upstream: Upstream, clock: ManualClock) -> None:
    assert breaker.info == BreakerInfo("closed", failures=0, open_for_s=0.0, opened=0, refused=0)
    await fail(breaker, upstream, 3)
    for _ in range(2):
        with pytest.raises(BreakerOpenError):
            await breaker.call(upstream)
    with pytest.raises(BreakerOpenError):
        breaker.check()
    assert not breaker.admits
    clock.advance(4)
    assert breaker.info == BreakerInfo("open", failures=3, open_for_s=6.0, opened=1, refused=3)
    clock.advance(6)
    assert breaker.admits
    assert breaker.info.refused == 3, "asking whether it admits is no call"
    await fail(breaker, upstream, 1)
    assert breaker.info == BreakerInfo("open", failures=4, open_for_s=10.0, opened=2, refused=3)
