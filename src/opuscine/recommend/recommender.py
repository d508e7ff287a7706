"""The way of one wish: what is remembered ▸ the model ▸ grounding ▸ links; and the catalogue's own choice when the model can't."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import structlog

from opuscine.catalogue.grounding import TitleIndex, ground
from opuscine.errors import UpstreamError
from opuscine.guard.deadline import Deadline
from opuscine.llm.ask import LlmAsk, LlmReply
from opuscine.model import DegradedReason, Recommendation, RecommendedFilm, Source
from opuscine.ott.repository import OttRepository
from opuscine.recommend.constraints import constrain, streams_at
from opuscine.recommend.embedded import EmbeddedRecommender
from opuscine.recommend.metadata import read_metadata
from opuscine.recommend.pages import FilmList, FilmLists, page_of
from opuscine.recommend.sentence import SentenceReader
from opuscine.recommend.wish import Wish
from opuscine.settings import RecommendSettings
from opuscine.telemetry.phases import Phases

GIVEN_TITLES = 200  # titles named to the model so that it does not repeat them


class Model(Protocol):
    """What the use case needs of the LLM client."""

    async def recommend(self, ask: LlmAsk, *, deadline: Deadline, headers: Mapping[str, str]) -> LlmReply:
        """Ask the model; raise UpstreamError whatever goes wrong."""


class Recommender:
    """Answer wishes. There is always an answer before the deadline, unless `FALLBACK=off` and the model failed."""

    def __init__(
        self,
        *,
        model: Model | None,
        titles: TitleIndex,
        sentences: SentenceReader,
        embedded: EmbeddedRecommender,
        ott: OttRepository,
        settings: RecommendSettings,
        clock: Callable[[], float],
    ) -> None:
        """Take the parts; without a model the embedded recommender answers, and that is not a degraded answer."""
        self._model = model
        self._titles = titles
        self._sentences = sentences
        self._embedded = embedded
        self._ott = ott
        self._settings = settings
        self._lists = FilmLists(ttl_s=settings.cache_ttl_s, clock=clock)
        self._log = structlog.get_logger("opuscine.recommend")
        self.fallbacks: dict[DegradedReason, int] = dict.fromkeys(DegradedReason, 0)

    async def recommend(self, wish: Wish, *, deadline: Deadline, phases: Phases, headers: Mapping[str, str]) -> Recommendation:
        """Return one page of films with their links.

        Raises:
            UpstreamError: the model failed and `FALLBACK` is off.
            CatalogueUnavailableError: there is no catalogue to ground in.
        """
        if self._model is None:
            with phases.phase("catalogue"):
                found = await self._embedded.recommend(wish)
        else:
            found = await self._from_model(self._model, wish, deadline=deadline, phases=phases, headers=headers)
        with phases.phase("ott"):
            return await self._join(found, wish.region)

    def stats(self) -> dict[str, Any]:
        """Return what the administration shows of this part."""
        return {"kept_lists": len(self._lists), "fallbacks": {reason.value: count for reason, count in self.fallbacks.items() if count}}

    async def _from_model(
        self, model: Model, wish: Wish, *, deadline: Deadline, phases: Phases, headers: Mapping[str, str]
    ) -> Recommendation:
        key = (wish.caller, wish.user, wish.message, wish.region)
        start = (wish.page - 1) * wish.limit
        films = None if wish.fresh else self._lists.get(key)
        if films is None or films.base > start:
            films = FilmList(base=start)
        if films.last is not None and films.has(wish.page, wish.limit):
            return page_of(films, wish.page, wish.limit, cached=True)
        try:
            with phases.phase("llm"):
                reply = await model.recommend(_ask(wish, films), deadline=deadline, headers=headers)
            with phases.phase("ground"):
                await self._add(films, reply, wish)
            if wish.page == 1 and not films.films:
                raise UpstreamError("no film of the reply could be grounded and fits the message", reason=DegradedReason.LLM_EMPTY)
        except UpstreamError as error:
            if not self._settings.fallback:
                raise
            self.fallbacks[error.reason] += 1
            with phases.phase("catalogue"):
                return await self._embedded.recommend(wish, reason=error.reason, given=tuple(item.film.ref for item in films.films))
        page = page_of(films, wish.page, wish.limit, cached=False)
        self._lists.keep(key, films)
        return page

    async def _add(self, films: FilmList, reply: LlmReply, wish: Wish) -> None:
        """Ground a reply, hold it to what the sentence states, and append it to the list of its wish."""
        grounded = ground(reply.suggestions, self._titles, ids_trusted=reply.ids_trusted)
        if grounded.rejected_titles:
            self._log.debug("suggestions rejected", count=grounded.rejected, titles=grounded.rejected_titles)
        intent = self._sentences.read(wish.message).intent
        constrained = constrain(grounded.films, intent)
        fitting, dropped = constrained.films, constrained.dropped
        if intent.provider_ids:
            joined = await self._with_links(fitting, wish.region)
            fitting = tuple(item for item in joined if streams_at(item, intent.provider_ids))
            dropped = {**dropped, "provider": len(joined) - len(fitting)}
        added = films.add(fitting)
        said = read_metadata(reply.query_metadata, reply.conversation)
        films.exhausted = added == 0 or (reply.total_pages is not None and wish.page >= reply.total_pages)
        films.total = max(films.total, reply.total_results or 0)
        films.last = Recommendation(
            films=(),
            total=0,
            source=Source.LLM,
            method=said.method,
            rejected=grounded.rejected,
            confidence=said.confidence,
            reasoning=" ".join(filter(None, [said.reasoning, _said_dropped(dropped)])),
            explanation=said.explanation,
            intent_analysis=said.intent_analysis,
            follow_up=said.follow_up,
            parameters=said.parameters,
            conversation=said.conversation,
            processing_ms=said.processing_ms,
        )

    async def _join(self, found: Recommendation, region: str) -> Recommendation:
        """Give each film of a page its links."""
        return replace(found, films=await self._with_links(found.films, region))

    async def _with_links(self, films: Sequence[RecommendedFilm], region: str) -> tuple[RecommendedFilm, ...]:
        """Join links to films; a film whose links nobody knows keeps none."""
        places = await self._ott.find_many([item.film.ref for item in films], region)
        return tuple(replace(item, links=places[item.film.ref].links) for item in films)


def _said_dropped(dropped: Mapping[str, int]) -> str:
    """Say how many of the model's films contradicted the sentence, by constraint."""
    broken = ", ".join(f"{name} {count}" for name, count in dropped.items() if count)
    return f"[dropped for what the message states: {broken}]" if broken else ""


def _ask(wish: Wish, films: FilmList) -> LlmAsk:
    return LlmAsk(
        message=wish.message,
        user_id=wish.user,
        page=wish.page,
        limit=wish.limit,
        given_titles=tuple(item.film.title for item in films.films[-GIVEN_TITLES:]),
    )
