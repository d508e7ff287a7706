"""Where titles stream, asked of one tier after the other."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import structlog

from opuscine.errors import OpusCineError
from opuscine.guard.deadline import Deadline
from opuscine.model import TitleRef
from opuscine.ott.local import LocalTier
from opuscine.ott.tier import Availability, LinkStore, OttAsk, OttTier, TierName, TitleLinks
from opuscine.providers.links import select_links
from opuscine.providers.table import ProviderTable
from opuscine.redis_gateway import RedisBudget
from opuscine.telemetry.tracebacks import describe

log = structlog.get_logger()


def _now() -> datetime:
    return datetime.now(UTC)


class OttRepository:
    """Ask the tiers in order; what one does not have in the region falls through to the next.

    This is the one place where links are chosen for a region. A tier that raises or takes longer than `tier_timeout_s` counts
    as having nothing: the caller gets what the others know, never an error. Its trouble is logged once, and its recovery.
    """

    def __init__(
        self,
        tiers: Sequence[OttTier],
        *,
        table: ProviderTable,
        store: LinkStore | None = None,
        tier_timeout_s: float = 5.0,
        now: Callable[[], datetime] = _now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the tiers, nearest first, and the table by which providers are told apart.

        `store` is the one of them that is given what those after it find. Each tier bounds its own time; `tier_timeout_s` is
        for one that fails to.
        """
        self._tiers = tuple(tiers)
        self._table = table
        self._store = store
        self._tier_timeout_s = tier_timeout_s
        self._now = now
        self._troubles = _Troubles(clock)
        self.answered: Counter[str] = Counter(dict.fromkeys([*(tier.name for tier in self._tiers), "none"], 0))  # titles, by who had links
        self.failed: Counter[str] = Counter(dict.fromkeys((tier.name for tier in self._tiers), 0))  # times that a tier was asked in vain

    def count_answer(self, source: TierName) -> None:
        """Count a title that was answered for from what this repository said before."""
        self.answered[source] += 1

    async def find_many(
        self,
        refs: Sequence[TitleRef],
        region: str,
        *,
        budget: RedisBudget | None = None,
        deadline: Deadline | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[TitleRef, Availability]:
        """Return an answer for every title asked for, in the order asked.

        A title that no tier knows a link of has none, source "none", as of the first tier that knew anything of it. A request
        gives its one Redis budget, its deadline and its headers, so that this keeps within what they allow.
        """
        if (at_hand := self._at_hand(refs, region)) is not None:
            return at_hand
        ask = OttAsk(region, budget, deadline, headers or {})
        found: dict[TitleRef, Availability] = {}
        nothing: dict[TitleRef, Availability] = {}
        wanted = missing = list(dict.fromkeys(refs))
        stored: Mapping[TitleRef, TitleLinks] | None = None  # what the store said, once it has said something
        for tier in self._tiers:
            if not missing:
                break
            told = await self._ask(tier, missing, ask)
            if told is None:
                continue
            known, answers = told
            for ref, answer in answers.items():
                if answer.links:
                    found[ref] = answer
                else:
                    nothing.setdefault(ref, answer)
            if tier is self._store:
                stored = known
            elif self._store is not None and stored is not None:
                self._write_back(self._store, {ref: known[ref] for ref in answers}, stored)
            missing = [ref for ref in missing if ref not in found]
        if list(found) != wanted:  # some are missing, or came late
            unknown = Availability((), "none", self._now())
            found = {ref: found.get(ref) or nothing.get(ref, unknown) for ref in wanted}
        for answer in found.values():
            self.answered[answer.source] += 1
        return found

    def _at_hand(self, refs: Sequence[TitleRef], region: str) -> dict[TitleRef, Availability] | None:
        """Return the answers of the catalogue where it is asked first and gave all of them before: a fifth of the time (measured).

        None: it is not so, or the catalogue fails, as it then will again.
        """
        local = self._tiers[0] if self._tiers and refs else None
        if not isinstance(local, LocalTier):
            return None
        try:
            kept = local.kept()
        except Exception:  # as in `_ask`, which meets it next
            return None
        by = (local.name, region)
        answers: dict[TitleRef, Availability] = {}
        for ref in refs:
            known = kept.get(ref)
            answer = known.answers.get(by) if known is not None else None
            if answer is None or not answer.links:
                return None
            answers[ref] = answer
        self._troubles.note(local.name, None)
        self.answered[local.name] += len(answers)
        return answers

    async def _ask(
        self, tier: OttTier, refs: Sequence[TitleRef], ask: OttAsk
    ) -> tuple[Mapping[TitleRef, TitleLinks], dict[TitleRef, Availability]] | None:
        """Return what a tier knows, and what of that answers for the region; None when it failed."""
        try:
            if isinstance(tier, LocalTier):  # it waits for nothing, so that a timer would be for nothing
                known = await tier.find_many(refs, ask)
            else:
                async with asyncio.timeout(self._tier_timeout_s):
                    known = await tier.find_many(refs, ask)
            by = (tier.name, ask.region)
            answers = {ref: known[ref].answers.get(by) or self._answer(known[ref], tier.name, ask.region) for ref in refs if ref in known}
        except Exception as error:  # a tier's fault, whatever it is, must not become the caller's
            self._troubles.note(tier.name, error)
            self.failed[tier.name] += 1
            return None
        self._troubles.note(tier.name, None)
        return known, answers

    def _answer(self, known: TitleLinks, tier: TierName, region: str) -> Availability:
        """Select the links of a region, once for as long as the tier keeps what it knows of the title."""
        links = tuple(select_links(known.links, region, table=self._table))
        answer = known.answers[tier, region] = Availability(links, tier if links else "none", known.as_of)
        return answer

    def _write_back(self, store: LinkStore, found: Mapping[TitleRef, TitleLinks], stored: Mapping[TitleRef, TitleLinks]) -> None:
        """Give the store what it lacks; what it alone knows of other regions stays.

        Only called when the store has answered, so that nothing is overwritten that could not be read.
        """
        new = {ref: _merged(links, stored.get(ref)) for ref, links in found.items() if links.links}
        new = {ref: links for ref, links in new.items() if ref not in stored or links.links != stored[ref].links}
        if not new:
            return
        try:
            store.keep(new)
        except Exception as error:  # as in `_ask`
            self._troubles.note(store.name, error)


class _Troubles:
    """Log that a tier fails, once, and that it is well again; if it goes to and fro, no more than one line a second for each."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged: dict[TierName, tuple[bool, float]] = {}  # whether it was said to fail, and when

    def note(self, tier: TierName, error: Exception | None) -> None:
        failing, at = self._logged.get(tier, (False, float("-inf")))
        now = self._clock()
        if failing is (error is not None) or now - at < 1.0:
            return
        self._logged[tier] = (error is not None, now)
        if error is None:
            log.info("ott_tier_recovered", tier=tier)
        else:
            log.warning(
                "ott_tier_failed",
                tier=tier,
                error=str(error) if isinstance(error, OpusCineError) else describe(error),
                consequence="links come from the other tiers",
            )


def _merged(found: TitleLinks, stored: TitleLinks | None) -> TitleLinks:
    """Add the regions that only the store knows; then the whole is as old as its older part."""
    regions = {link.region for link in found.links}
    kept = tuple(link for link in stored.links if link.region not in regions) if stored else ()
    return TitleLinks(found.links + kept, min(found.as_of, stored.as_of)) if stored and kept else found
