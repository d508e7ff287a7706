"""What is known of one request from its first middleware on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from opuscine.contract import SERVER
from opuscine.guard.deadline import Deadline
from opuscine.identity.caller import NOBODY, Caller
from opuscine.recommend.wish import RequestScope
from opuscine.redis_gateway import RedisBudget
from opuscine.telemetry.phases import Phases


@dataclass(slots=True)
class RequestContext:
    """Identify a request, bound it in time, and collect what its log line and its answer's headers say."""

    request_id: str
    traceparent: str
    tracestate: str
    client: str  # the caller's address, seen past trusted proxies
    deadline: Deadline
    budget_of: Callable[[Deadline], RedisBudget]
    phases: Phases = field(default_factory=Phases)
    caller: Caller = NOBODY  # set by `auth`
    headers: dict[str, str] = field(default_factory=dict)  # go with the answer, whatever it is
    notes: dict[str, str | int | bool] = field(default_factory=dict)  # further fields of the log line; never a caller's text
    _budget: RedisBudget | None = None  # made when it is asked for

    @property
    def redis_budget(self) -> RedisBudget:
        """Return what this request may still wait for Redis."""
        if self._budget is None:
            self._budget = self.budget_of(self.deadline)
        return self._budget

    @property
    def trace_id(self) -> str:
        """Return the 32 hex digits that name the trace (W3C Trace Context, section 3.2.2.3)."""
        return self.traceparent[3:35]

    def answer_headers(self) -> dict[str, str]:
        """Return the headers that every answer carries."""
        return {"X-Request-Id": self.request_id, "Server": SERVER, **self.headers}

    def upstream_headers(self) -> dict[str, str]:
        """Return the headers that continue this request's identity and trace in a call to an upstream."""
        headers = {"X-Request-Id": self.request_id, "traceparent": self.traceparent}
        if self.tracestate:
            headers["tracestate"] = self.tracestate
        return headers

    def scope(self) -> RequestScope:
        """Return what the use case is given of this request."""
        return RequestScope(self.deadline, self.redis_budget, self.upstream_headers(), self.phases)
