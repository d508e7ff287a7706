"""Where titles stream, asked of one tier after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

import structlog

from opuscine.model import OttLink, TitleRef
from opuscine.providers.links import select_links
from opuscine.providers.table import ProviderTable

log = structlog.get_logger()

TierName = Literal["local", "redis", "api"]


class OttTier(Protocol):
    """A store of links. It may be slow, fail, or answer a part of what it is asked."""

    @property
    def name(self) -> TierName:
        """Return what answers call this tier."""
        ...

    @property
    def as_of(self) -> datetime:
        """Return when what it last answered was true, in aware UTC."""
        ...

    async def find_many(self, refs: Sequence[TitleRef], region: str) -> Mapping[TitleRef, Sequence[OttLink]]:
        """Return what it has of the titles: links of every region, unselected; `region` is what the caller is after."""
        ...


@dataclass(frozen=True, slots=True)
class Availability:
    """Where one title can be watched in one region, who says so, and when that was true (aware UTC)."""

    links: tuple[OttLink, ...]
    source: TierName | Literal["none"]
    as_of: datetime


def _now() -> datetime:
    return datetime.now(UTC)


class OttRepository:
    """Ask the tiers in order; what one does not have in the region falls through to the next.

    This is the one place where links are chosen for a region. A tier that raises or takes longer than `tier_timeout_s` counts
    as having nothing: the caller gets what the others know, never an error. Its trouble is logged once, and its recovery.
    """

    def __init__(
        self, tiers: Sequence[OttTier], *, table: ProviderTable, tier_timeout_s: float = 1.0, now: Callable[[], datetime] = _now
    ) -> None:
        """Take the tiers, nearest first, and the table by which providers are told apart."""
        self._tiers = tuple(tiers)
        self._table = table
        self._tier_timeout_s = tier_timeout_s
        self._now = now
        self._failing: set[TierName] = set()

    async def find_many(self, refs: Sequence[TitleRef], region: str) -> dict[TitleRef, Availability]:
        """Return an answer for every title asked for, in the order asked.

        A title that no tier knows a link of has none, source "none", as of the first tier that answered.
        """
        found: dict[TitleRef, Availability] = {}
        missing = list(dict.fromkeys(refs))
        nothing: Availability | None = None
        for tier in self._tiers:
            if not missing:
                break
            answer = await self._ask(tier, missing, region)
            if answer is None:
                continue
            links, as_of = answer
            nothing = nothing or Availability((), "none", as_of)
            found |= {ref: Availability(chosen, tier.name, as_of) for ref, chosen in links.items() if chosen}
            missing = [ref for ref in missing if ref not in found]
        nothing = nothing or Availability((), "none", self._now())
        return {ref: found.get(ref, nothing) for ref in refs}

    async def _ask(
        self, tier: OttTier, refs: Sequence[TitleRef], region: str
    ) -> tuple[dict[TitleRef, tuple[OttLink, ...]], datetime] | None:
        """Return what a tier has in the region, or None when it failed."""
        try:
            async with asyncio.timeout(self._tier_timeout_s):
                answer = await tier.find_many(refs, region)
            chosen = {ref: tuple(select_links(answer.get(ref, ()), region, table=self._table)) for ref in refs}
            as_of = tier.as_of
        except Exception as error:  # a tier's fault, whatever it is, must not become the caller's
            if tier.name not in self._failing:
                self._failing.add(tier.name)
                log.warning("ott_tier_failed", tier=tier.name, error=repr(error), consequence="links come from the other tiers")
            return None
        if tier.name in self._failing:
            self._failing.discard(tier.name)
            log.info("ott_tier_recovered", tier=tier.name)
        return chosen, as_of
