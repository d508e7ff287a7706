"""From a model's suggestions to films that can be shown: grounded in the catalogue, held to the sentence, joined with links."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from opuscine.catalogue.grounding import Grounded, Grounder
from opuscine.model import RecommendedFilm, Suggestion
from opuscine.ott.repository import OttRepository
from opuscine.recommend.constraints import constrain, streams_at
from opuscine.recommend.intent import Intent
from opuscine.recommend.wish import RequestScope

AT_A_TIME = 20  # suggestions grounded before others have their turn: 2 ms of the loop, 10 ms for the longest titles (measured)


@dataclass(slots=True)
class Sifted:
    """What is left of suggestions, and what was given up: without a title of the catalogue, and by constraint. Nobody changes it."""

    films: tuple[RecommendedFilm, ...] = ()
    rejected: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def plus(self, other: Sifted) -> Sifted:
        """Return the sum of two parts of one reply."""
        return Sifted(self.films + other.films, self.rejected + other.rejected, dict(Counter(self.dropped) + Counter(other.dropped)))


class Sifter:
    """Sift suggestions, and count how they were tied to the catalogue."""

    def __init__(self, grounder: Grounder, ott: OttRepository) -> None:
        """Take who knows the titles, and the repository of links."""
        self._grounder = grounder
        self._ott = ott
        self._log = structlog.get_logger("opuscine.recommend")
        self.grounded: Counter[str] = Counter()  # suggestions by the method that tied them to the catalogue
        self.rejected = 0

    async def sift(
        self, suggestions: Sequence[Suggestion], intent: Intent, region: str, scope: RequestScope, *, ids_trusted: bool
    ) -> Sifted:
        """Ground suggestions and hold the films to what the sentence states."""
        grounded = await self._ground(suggestions, scope, ids_trusted=ids_trusted)
        self.grounded.update([item.match.method for item in grounded.films])
        self.rejected += grounded.rejected
        constrained = constrain(grounded.films, intent)
        fitting, dropped = constrained.films, constrained.dropped
        if intent.provider_ids:
            joined = await self.with_links(fitting, region, scope)
            fitting = tuple(item for item in joined if item.film.ref in intent.named or streams_at(item, intent.provider_ids))
            dropped = {**dropped, "provider": len(joined) - len(fitting)}
        return Sifted(fitting, grounded.rejected, dropped)

    async def _ground(self, suggestions: Sequence[Suggestion], scope: RequestScope, *, ids_trusted: bool) -> Grounded:
        """Ground some suggestions at a time; those for which the deadline leaves no time count as rejected."""
        grounded = self._grounder.ground(suggestions[:AT_A_TIME], ids_trusted=ids_trusted)
        for begin in range(AT_A_TIME, len(suggestions), AT_A_TIME):
            await asyncio.sleep(0)
            if scope.deadline.remaining() < scope.deadline.reserve() / 2:
                left = len(suggestions) - begin
                self._log.warning("no time to ground all suggestions", left=left, of=len(suggestions))
                return grounded._replace(rejected=grounded.rejected + left)
            grounded = grounded.plus(self._grounder.ground(suggestions[begin : begin + AT_A_TIME], ids_trusted=ids_trusted))
        return grounded

    async def with_links(self, films: Sequence[RecommendedFilm], region: str, scope: RequestScope) -> tuple[RecommendedFilm, ...]:
        """Join links to films; a film whose links nobody knows keeps none."""
        places = await self._ott.find_many(
            [item.film.ref for item in films], region, budget=scope.redis_budget, deadline=scope.deadline, headers=scope.headers
        )
        return tuple([RecommendedFilm(item.film, item.match, places[item.film.ref].links) for item in films])
