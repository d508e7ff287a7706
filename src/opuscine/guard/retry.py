"""When to try again, and after how long. Pure: the caller sleeps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


def backoff_s(failures: int, *, base_s: float, cap_s: float, rng: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait after so many failures: evenly spread between 0 and `base_s` doubled each time, at most `cap_s`.

    "Full jitter" of AWS's "Exponential Backoff And Jitter": callers that failed together do not come back together.
    """
    return rng() * min(cap_s, base_s * 2.0 ** min(failures - 1, 60))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Say how often and how soon a failed call is made again."""

    attempts: int = 3  # the first one included
    base_s: float = 0.1
    cap_s: float = 1.0
    quick_s: float = 1.0  # a failure that took longer is slow: trying again would cost the caller as much once more
    least_s: float = 0.1  # an attempt that would have less time than this is not made

    def wait_s(
        self,
        failures: int,
        *,
        took_s: float,
        remaining_s: float,
        retry_after_s: float | None = None,
        rng: Callable[[], float] = random.random,
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or None if there must not be one.

        `failures` counts from 1, `took_s` is how long the last one took. The upstream's own `retry_after_s` is a lower bound of the
        wait (RFC 9110, section 10.2.3); one beyond `remaining_s` means that no attempt is left.
        """
        if failures >= self.attempts or took_s > self.quick_s:
            return None
        wait_s = max(0.0, retry_after_s or 0.0) + backoff_s(failures, base_s=self.base_s, cap_s=self.cap_s, rng=rng)
        return wait_s if wait_s + self.least_s <= remaining_s else None
