"""What a caller wishes for, and what answering it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opuscine.guard.deadline import Deadline
from opuscine.redis_gateway import RedisBudget
from opuscine.telemetry.phases import Phases


@dataclass(frozen=True, slots=True)
class Wish:
    """One request for films; `caller` and `user` keep what is remembered of it apart from everyone else's."""

    message: str
    page: int
    limit: int
    region: str
    caller: str = ""
    user: str | None = None
    fresh: bool = False  # the caller wants nothing that is remembered (`Cache-Control: no-cache`)


@dataclass(frozen=True, slots=True)
class RequestScope:
    """What belongs to one request: how long it may take, what it may ask of Redis, its identity upstream, and where its time goes."""

    deadline: Deadline
    redis_budget: RedisBudget | None = None  # None: its own for each use
    headers: Mapping[str, str] = field(default_factory=dict)
    phases: Phases = field(default_factory=Phases)
