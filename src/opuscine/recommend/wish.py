"""What a caller wishes for, and what answering it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opuscine.guard.deadline import Deadline
from opuscine.redis_gateway import RedisBudget
from opuscine.telemetry.phases import Phases


@dataclass(slots=True, unsafe_hash=True)
class Wish:
    """One request for films; `caller` and `user` keep what is remembered of it apart from everyone else's. Nobody changes it."""

    message: str
    page: int
    limit: int
    region: str
    caller: str = ""
    user: str | None = None
    fresh: bool = False  # the caller wants nothing that was made for an earlier request (`Cache-Control: no-cache`)
    unkept: bool = False  # nor may anything of it be remembered (`no-store`)

    @property
    def own(self) -> bool:
        """Say whether the answer must be made for this request alone: it is looked up nowhere and shared with nobody."""
        return self.fresh or self.unkept


@dataclass(slots=True)
class RequestScope:
    """What belongs to one request: how long it may take, what it may ask of Redis, its identity upstream, and where its time goes."""

    deadline: Deadline
    redis_budget: RedisBudget | None = None  # None: its own for each use
    headers: Mapping[str, str] = field(default_factory=dict)
    phases: Phases = field(default_factory=Phases)

    def for_call(self, deadline: Deadline, phases: Phases) -> RequestScope:
        """Return the scope of a call that others may share: it has a deadline and phases of its own."""
        budget = self.redis_budget.under(deadline) if self.redis_budget else None
        return RequestScope(deadline, budget, self.headers, phases)
