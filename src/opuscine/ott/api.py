"""The API server as the last tier of links."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from opuscine.guard.single_flight import SingleFlight
from opuscine.model import OttLink, TitleRef
from opuscine.ott.api_server import ApiServer, ApiServerError
from opuscine.ott.misses import Misses
from opuscine.ott.tier import OttAsk, TierName, TitleLinks


class ApiServerTier:
    """Find links at the API server, one call a title, which all requests that ask for it at the same time share.

    What it does not have in a region is remembered for `miss_ttl_s` and not asked for until then; a failure is not remembered. Of one
    request `max_titles` titles are asked for, the first; at most `max_waiting` calls are under way or wait for their turn.
    """

    name: TierName = "api"

    def __init__(
        self,
        server: ApiServer,
        *,
        miss_ttl_s: float,
        max_titles: int = 20,
        max_waiting: int = 40,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the way to the server; `clock` times the misses."""
        self._server = server
        self._misses = Misses(ttl_s=miss_ttl_s, clock=clock)
        self._flights: SingleFlight[TitleRef, tuple[OttLink, ...] | None] = SingleFlight()
        self._max_titles = max_titles
        self._max_waiting = max_waiting
        self._now = now

    @property
    def calls_saved(self) -> int:
        """Return how many calls were not made, since another request's answer was waited for."""
        return self._flights.joined

    async def find_many(self, refs: Sequence[TitleRef], ask: OttAsk) -> Mapping[TitleRef, TitleLinks]:
        """Return what the server says of those titles that it could be asked for in the time there is.

        Raises:
            ApiServerError: not one answer came, and this is why: what the server did, if it did anything.
        """
        wanted = [ref for ref in refs if not self._misses.has(ref, ask.region)][: self._max_titles]
        granted_s = self._server.granted_s(ask.deadline)
        if not wanted or granted_s <= 0:
            return {}
        self._server.check()
        ends_at = asyncio.get_running_loop().time() + granted_s
        outcome = _Outcome()
        async with asyncio.TaskGroup() as group:
            for ref in wanted:
                group.create_task(self._look_up(ref, ask, ends_at, outcome))
        if outcome.errors and not outcome.answers:
            raise next((error for error in outcome.errors if error.counts), outcome.errors[0])
        for ref, links in outcome.answers.items():
            if not any(link.region == ask.region for link in links):
                self._misses.add(ref, ask.region)
        now = self._now()
        return {ref: TitleLinks(links, now) for ref, links in outcome.answers.items()}

    async def _look_up(self, ref: TitleRef, ask: OttAsk, ends_at: float, outcome: _Outcome) -> None:
        """Ask for one title, or wait for somebody else's asking, until `ends_at` of the loop's clock."""
        loop = asyncio.get_running_loop()
        while True:
            begun_here = ref not in self._flights
            if begun_here and len(self._flights) >= self._max_waiting:
                outcome.errors.append(ApiServerError("too many calls to the API server wait for their turn", counts=None))
                return
            try:
                # A call begun here ends by itself, inside its breaker; a limit on top of that would hide its timeouts from it.
                async with asyncio.timeout_at(None if begun_here else ends_at):
                    links = await self._flights.run(ref, lambda: self._server.links(ref, ends_at=ends_at, headers=ask.headers))
            except TimeoutError:
                outcome.errors.append(ApiServerError("the API server's answer did not come in time", counts=None))
            except ApiServerError as error:
                if error.cut_short and not begun_here and loop.time() < ends_at:
                    continue  # who began it had less time than there is here
                outcome.errors.append(error)
            else:
                outcome.answers[ref] = links or ()
            return


@dataclass(slots=True)
class _Outcome:
    """What came of one request's look-ups."""

    answers: dict[TitleRef, tuple[OttLink, ...]] = field(default_factory=dict)
    errors: list[ApiServerError] = field(default_factory=list)
