"""From a model's suggestions to films that can be shown: grounded in the catalogue, held to the sentence, joined with links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from opuscine.catalogue.grounding import TitleIndex, ground
from opuscine.model import RecommendedFilm, Suggestion
from opuscine.ott.repository import OttRepository
from opuscine.recommend.constraints import constrain, streams_at
from opuscine.recommend.intent import Intent
from opuscine.recommend.wish import RequestScope


@dataclass(frozen=True, slots=True)
class Sifted:
    """What is left of suggestions, and what was given up: without a title of the catalogue, and by constraint."""

    films: tuple[RecommendedFilm, ...] = ()
    rejected: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def plus(self, other: Sifted) -> Sifted:
        """Return the sum of two parts of one reply."""
        return Sifted(self.films + other.films, self.rejected + other.rejected, dict(Counter(self.dropped) + Counter(other.dropped)))


class Sifter:
    """Sift suggestions, and count how they were tied to the catalogue."""

    def __init__(self, titles: TitleIndex, ott: OttRepository) -> None:
        """Take the titles to ground in, and the repository of links."""
        self._titles = titles
        self._ott = ott
        self._log = structlog.get_logger("opuscine.recommend")
        self.grounded: Counter[str] = Counter()  # suggestions by the method that tied them to the catalogue
        self.rejected = 0

    async def sift(
        self, suggestions: Sequence[Suggestion], intent: Intent, region: str, scope: RequestScope, *, ids_trusted: bool
    ) -> Sifted:
        """Ground suggestions and hold the films to what the sentence states."""
        grounded = ground(suggestions, self._titles, ids_trusted=ids_trusted)
        self.grounded.update(item.match.method.value for item in grounded.films)
        self.rejected += grounded.rejected
        if grounded.rejected_titles:
            self._log.debug("suggestions rejected", count=grounded.rejected, titles=grounded.rejected_titles)
        constrained = constrain(grounded.films, intent)
        fitting, dropped = constrained.films, constrained.dropped
        if intent.provider_ids:
            joined = await self.with_links(fitting, region, scope)
            fitting = tuple(item for item in joined if item.film.ref in intent.named or streams_at(item, intent.provider_ids))
            dropped = {**dropped, "provider": len(joined) - len(fitting)}
        return Sifted(fitting, grounded.rejected, dropped)

    async def with_links(self, films: Sequence[RecommendedFilm], region: str, scope: RequestScope) -> tuple[RecommendedFilm, ...]:
        """Join links to films; a film whose links nobody knows keeps none."""
        places = await self._ott.find_many(
            [item.film.ref for item in films], region, budget=scope.redis_budget, deadline=scope.deadline, headers=scope.headers
        )
        return tuple(replace(item, links=places[item.film.ref].links) for item in films)
