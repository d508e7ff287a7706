"""What a store of links is asked and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from opuscine.guard.deadline import Deadline
from opuscine.model import OttLink, TitleRef
from opuscine.redis_gateway import RedisBudget

TierName = Literal["local", "redis", "api"]


@dataclass(frozen=True, slots=True)
class OttAsk:
    """What a caller is after, and what finding it may cost."""

    region: str
    budget: RedisBudget | None = None  # what the request has left for Redis; None: its own
    deadline: Deadline | None = None  # None: every tier's own limit is all that holds
    headers: Mapping[str, str] = field(default_factory=dict)  # the request's identity, for calls to other servers


class Availability(NamedTuple):
    """Where one title can be watched in one region, who says so, and when that was true (aware UTC)."""

    links: tuple[OttLink, ...]
    source: TierName | Literal["none"]
    as_of: datetime


@dataclass(frozen=True, slots=True)
class TitleLinks:
    """Where one title can be watched, in every region and unselected, and when that was true (aware UTC)."""

    links: tuple[OttLink, ...]
    as_of: datetime
    answers: dict[tuple[TierName, str], Availability] = field(default_factory=dict, compare=False, repr=False)  # once they were made


class OttTier(Protocol):
    """A store of links. It may be slow, fail, or answer a part of what it is asked."""

    @property
    def name(self) -> TierName:
        """Return what answers call this tier."""
        ...

    async def find_many(self, refs: Sequence[TitleRef], ask: OttAsk) -> Mapping[TitleRef, TitleLinks]:
        """Return what it knows of the titles; of those that are absent it knows nothing."""
        ...


class LinkStore(OttTier, Protocol):
    """A tier that takes what others found."""

    def keep(self, found: Mapping[TitleRef, TitleLinks]) -> None:
        """Take links for later, in place of what it has of these titles. Never waits."""
        ...
