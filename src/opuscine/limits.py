"""How often someone may call, and how the answer says so."""

from __future__ import annotations

from collections.abc import Callable

from opuscine.context import RequestContext
from opuscine.contract import ProblemError
from opuscine.guard.rate_limiter import RateLimiter, RateLimiterInfo, Verdict, retry_after_header
from opuscine.identity.attempts import network_of
from opuscine.identity.caller import CallerKind
from opuscine.redis_gateway import RedisBudget


class Limit:
    """One limit of the service, on or off; `RateLimit` headers go with every answer that it counted."""

    def __init__(self, limiter: Callable[[], RateLimiter[RedisBudget] | None]) -> None:
        """Take a way to the limiter, which exists once the application has started; None: no limit is set."""
        self._limiter = limiter

    async def admit(self, context: RequestContext, user: str | None = None) -> None:
        """Count a request of a caller, or of the user that it names.

        Whoever is not known is counted by address (of IPv6 the /64 that a caller owns), whatever users it names: it could name a new
        one each time.

        Raises:
            ProblemError: `rate_limited`, with `Retry-After`.
        """
        limiter = self._limiter()
        if limiter is None:
            return
        with context.phases.phase("limit"):
            key = key_of(limiter.name, context, user)
            verdict = limiter.check_here(key) if limiter.alone else await limiter.check(key, context.redis_budget)
        note(context, limiter, verdict)
        if not verdict.allowed:
            raise ProblemError("rate_limited", "Too many requests; slow down.", headers={"Retry-After": retry_after_header(verdict)})

    def admit_at_once(self, context: RequestContext, user: str | None = None) -> bool:
        """Count a request as `admit` does if that takes no waiting and it is admitted; else count nothing and say False."""
        limiter = self._limiter()
        if limiter is None:
            return True
        phases = context.phases
        begun = phases.clock()
        verdict = limiter.admit_here(key_of(limiter.name, context, user))
        phases.add("limit", phases.clock() - begun)
        if verdict is None:
            return False
        note(context, limiter, verdict)
        return True

    @property
    def info(self) -> RateLimiterInfo | None:
        """Return the counters, or None where no limit is set."""
        limiter = self._limiter()
        return limiter.info if limiter is not None else None


def key_of(name: str, context: RequestContext, user: str | None) -> str:
    """Return what the requests of a caller, or of one of its users, are counted under."""
    caller = context.caller
    if caller.kind is CallerKind.ANONYMOUS:
        return f"{name}\naddress:{network_of(context.client)}"
    return f"{name}\n{caller.id}\n{user or ''}"


def note(context: RequestContext, limiter: RateLimiter[RedisBudget], verdict: Verdict) -> None:
    """Have the answer say how much is left."""
    context.headers["RateLimit-Policy"] = limiter.policy
    context.headers["RateLimit"] = limiter.header(verdict)
