"""The circuit breaker: aiobreaker's type, states and listeners with the behaviour that aiobreaker 1.2.0 lacks.

aiobreaker lets every waiting caller through at half-open, counts outcomes of calls begun before the last change of state, leaves
a cancelled trial half-open, replaces the error that trips it by its own, and reads the wall clock.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, ParamSpec, TypeVar, cast

import structlog
from aiobreaker import CircuitBreaker, CircuitBreakerError, CircuitBreakerListener, CircuitBreakerState
from aiobreaker.state import CircuitBreakerBaseState

from opuscine.errors import OpusCineError
from opuscine.guard.error_rate import ErrorRate, ErrorRateLimit

P = ParamSpec("P")
T = TypeVar("T")

_OPEN = CircuitBreakerState.OPEN
_CLOSED = CircuitBreakerState.CLOSED
_HALF_OPEN = CircuitBreakerState.HALF_OPEN

log = structlog.get_logger("opuscine.guard")


class BreakerOpenError(OpusCineError, CircuitBreakerError):  # type: ignore[misc]
    """Say that the breaker refused a call. `retry_after_s` is 0.0 while a trial call runs that may end at any moment."""

    def __init__(self, name: str, retry_after_s: float) -> None:
        """Name the breaker and the time until it lets a trial call through."""
        CircuitBreakerError.__init__(
            self, f"the breaker {name!r} is open for {retry_after_s:.3f} s more", datetime.now(UTC) + timedelta(seconds=retry_after_s)
        )
        self.retry_after_s = retry_after_s

    @property
    def time_remaining(self) -> timedelta:
        """Return the same as `retry_after_s`, in aiobreaker's type."""
        return timedelta(seconds=self.retry_after_s)

    def __str__(self) -> str:
        """Return the text for the log."""
        return str(self.message)


@dataclass(frozen=True, slots=True)
class BreakerInfo:
    """The state of a breaker, for health, metrics and `/admin/stats`. Counters run since the start of the process."""

    state: Literal["closed", "open", "half_open"]
    failures: int  # in a row
    open_for_s: float  # until a trial
    opened: int
    refused: int


class StateLog(CircuitBreakerListener):  # type: ignore[misc]
    """Write one log line per change of state."""

    def state_change(self, breaker: Breaker, old: object, new: object) -> None:
        """Log the change that `breaker` has just made."""
        log.warning(
            "breaker changed state",
            breaker=breaker.name,
            old=_name_of(old),
            new=_name_of(new),
            failures=breaker.fail_counter,
            open_s=round(breaker.time_until_half_open, 3),
        )


class Breaker(CircuitBreaker):  # type: ignore[misc]
    """Guard one upstream: after too many failures refuse calls for a while, then let exactly one through to try.

    It opens after `fail_max` failures in a row, or when `error_rate` is exceeded. It stays open for `open_s` seconds, twice as long
    after each failed trial, at most `max_open_s`. The outcome of a call counts only if the state has not changed since it was
    admitted. What `call` guards must bound its own time: a trial that never ends keeps all others out.

    Not thread-safe: all calls come from one event loop.
    """

    _state: CircuitBreakerBaseState

    def __init__(
        self,
        name: str,
        *,
        fail_max: int,
        open_s: float,
        max_open_s: float | None = None,
        error_rate: ErrorRateLimit | None = None,
        is_failure: Callable[[Exception], bool | None] = lambda _: True,
        listeners: Iterable[CircuitBreakerListener] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start closed.

        `is_failure` judges what a call raised: True counts against the upstream, False counts as a success (it answered, whatever
        it said), None says nothing about it. Cancellation is never judged. Without `listeners`, changes of state are logged.
        """
        super().__init__(
            fail_max=fail_max,
            timeout_duration=timedelta(seconds=open_s),
            listeners=(StateLog(),) if listeners is None else listeners,
            name=name,
        )
        self._max_open_s = open_s if max_open_s is None else max(open_s, max_open_s)
        self._rate = None if error_rate is None else ErrorRate(error_rate)
        self._is_failure = is_failure
        self._clock = clock
        self._epoch = 0
        self._trial_runs = False
        self._failed_trials = 0
        self._half_open_from = clock()
        self.opened = 0  # times, since the start of the process
        self.refused = 0

    @property
    def state_name(self) -> Literal["closed", "open", "half_open"]:
        """Return the state as a word for health and metrics; an open breaker stays "open" until a call comes after its time."""
        return cast('Literal["closed", "open", "half_open"]', self.current_state.name.lower())

    @property
    def closed(self) -> bool:
        """Tell whether calls pass freely."""
        return self.current_state is _CLOSED

    @property
    def time_until_half_open(self) -> float:
        """Return the seconds until an open breaker lets a trial call through; 0.0 in every other case."""
        return max(0.0, self._half_open_from - self._clock()) if self.current_state is _OPEN else 0.0

    @property
    def time_until_open(self) -> timedelta | None:
        """Return the same in aiobreaker's type and words; None when there is nothing to wait for."""
        wait_s = self.time_until_half_open
        return timedelta(seconds=wait_s) if wait_s else None

    @property
    def opens_at(self) -> datetime | None:
        """Return the same as an aware instant; None when there is nothing to wait for."""
        wait = self.time_until_open
        return datetime.now(UTC) + wait if wait else None

    @property
    def admits(self) -> bool:
        """Tell whether a call would be made now; it is the trial if the breaker is not closed."""
        return self.current_state is _CLOSED or (self.time_until_half_open <= 0 and not self._trial_runs)

    @property
    def info(self) -> BreakerInfo:
        """Return the state as of now."""
        return BreakerInfo(self.state_name, self.fail_counter, round(self.time_until_half_open, 1), self.opened, self.refused)

    def check(self) -> None:
        """Refuse as a call would be refused now, by `BreakerOpenError`, without making one."""
        if not self.admits:
            self.refused += 1
            raise BreakerOpenError(self.name, self.time_until_half_open)

    async def call(self, func: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await `func(*args, **kwargs)` if the state allows it; whatever it raises goes on unchanged.

        Raises:
            BreakerOpenError: the call was refused and `func` not touched.
        """
        if getattr(func, "_ignore_on_call", False):  # aiobreaker's mark on functions that its decorator has wrapped
            return await func(*args, **kwargs)
        epoch = self._admit()
        began = self._clock()
        try:
            self._notify("before_call", func, *args, **kwargs)
            result = await func(*args, **kwargs)
        except BaseException as error:
            self._settle(epoch, began, error)
            raise
        self._settle(epoch, began, None)
        return result

    call_async = call

    def open(self) -> None:
        """Refuse calls from now on, for the time that the number of failed trials asks for."""
        open_s = min(self._max_open_s, self._timeout_duration.total_seconds() * 2 ** min(self._failed_trials, 30))
        self._half_open_from = self._clock() + open_s
        self.opened += 1
        self._state_storage.opened_at = datetime.now(UTC)
        self._enter(_OPEN)

    def half_open(self) -> None:
        """Let one trial call through."""
        self._enter(_HALF_OPEN)

    def close(self) -> None:
        """Let calls pass freely, with a clean slate."""
        self._failed_trials = 0
        self._state_storage.reset_counter()
        if self._rate is not None:
            self._rate.clear()
        self._enter(_CLOSED)

    def _admit(self) -> int:
        self.check()
        if self.current_state is _CLOSED:
            return self._epoch
        if self.current_state is _OPEN:
            self.half_open()
        self._trial_runs = True
        return self._epoch

    def _settle(self, epoch: int, began: float, error: BaseException | None) -> None:
        if epoch != self._epoch:
            return
        self._trial_runs = False
        failed = error is not None and self._judge(error)
        if failed is None:
            return
        now = self._clock()
        bad = failed if self._rate is None else self._rate.record(now, failed=failed, took_s=now - began)
        if failed:
            self._state_storage.increment_counter()
            self._notify("failure", error)
        else:
            self._state_storage.reset_counter()
            self._notify("success")
        if self.current_state is _HALF_OPEN:
            self._end_trial(failed=failed)
        elif self._state_storage.counter >= self._fail_max or (bad and self._rate is not None and self._rate.exceeded(now)):
            self.open()  # a good outcome never opens it, even where the window still holds too many bad ones

    def _end_trial(self, *, failed: bool) -> None:
        if failed:
            self._failed_trials += 1
            self.open()
        else:
            self.close()

    def _judge(self, error: BaseException) -> bool | None:
        if not isinstance(error, Exception):  # cancelled, or the process ends: it says nothing about the upstream
            return None
        return self._is_failure(error) if self.is_system_error(error) else False

    def _enter(self, state: CircuitBreakerState) -> None:
        """Change state as one step, so that a listener sees the breaker as it is after it."""
        old = self._state
        self._epoch += 1
        self._trial_runs = False
        self._state_storage.state = state
        self._state = self._create_new_state(state)
        self._notify("state_change", old, self._state)

    def _notify(self, event: str, *args: object, **kwargs: object) -> None:
        """Tell the listeners; one that raises is logged and changes nothing."""
        for listener in self._listeners:
            if getattr(type(listener), event, None) is getattr(CircuitBreakerListener, event):  # which does nothing
                continue
            try:
                getattr(listener, event)(self, *args, **kwargs)
            except Exception:
                log.exception("breaker listener failed", breaker=self.name, listener=type(listener).__name__)


def _name_of(state: object) -> str:
    return str(cast("CircuitBreaker", state).state.name.lower())
