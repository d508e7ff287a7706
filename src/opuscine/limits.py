"""How often someone may call, and how the answer says so."""

from __future__ import annotations

from collections.abc import Callable

from opuscine.context import RequestContext
from opuscine.contract import ProblemError
from opuscine.guard.rate_limiter import RateLimiter, RateLimiterInfo, retry_after_header
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
        caller = context.caller
        who = f"address:{network_of(context.client)}" if caller.kind is CallerKind.ANONYMOUS else f"{caller.id}\n{user or ''}"
        with context.phases.phase("limit"):
            key = f"{limiter.name}\n{who}"
            verdict = limiter.check_here(key) if limiter.alone else await limiter.check(key, context.redis_budget)
        headers = context.headers
        headers["RateLimit-Policy"] = limiter.policy
        headers["RateLimit"] = limiter.header(verdict)
        if not verdict.allowed:
            raise ProblemError("rate_limited", "Too many requests; slow down.", headers={"Retry-After": retry_after_header(verdict)})

    @property
    def info(self) -> RateLimiterInfo | None:
        """Return the counters, or None where no limit is set."""
        limiter = self._limiter()
        return limiter.info if limiter is not None else None
