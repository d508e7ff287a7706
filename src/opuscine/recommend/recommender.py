"""The way of one wish: what is remembered ▸ the model ▸ grounding ▸ links; and the catalogue's own choice when the model can't."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import structlog

from opuscine.catalogue.grounding import TitleIndex, ground
from opuscine.errors import UpstreamError
from opuscine.guard.deadline import Deadline
from opuscine.guard.single_flight import SingleFlight
from opuscine.llm.ask import LlmAsk, LlmReply
from opuscine.model import DegradedReason, Recommendation, RecommendedFilm, Source, Suggestion, TitleRef
from opuscine.ott.repository import OttRepository
from opuscine.recommend.constraints import constrain, streams_at
from opuscine.recommend.embedded import EmbeddedRecommender
from opuscine.recommend.intent import Intent
from opuscine.recommend.metadata import read_metadata
from opuscine.recommend.pages import Pages, PageStore
from opuscine.recommend.sentence import SentenceReader
from opuscine.recommend.wish import RequestScope, Wish
from opuscine.settings import RecommendSettings

GIVEN_TITLES = 200  # titles named to the model so that it does not repeat them
GRACE_S = 0.05  # by which a call may end before those who wait for it, so that the breaker sees a timeout and no cancellation


@dataclass(frozen=True, slots=True)
class FilmFound:
    """A film of the page, with its links."""

    item: RecommendedFilm


@dataclass(frozen=True, slots=True)
class Said:
    """Why these films."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The end: everything of the answer but what has been shown."""

    rest: Recommendation


RecommendationEvent = FilmFound | Said | Finished


@dataclass(frozen=True, slots=True)
class Sifted:
    """What is left of suggestions, and what was given up: without a title of the catalogue, and by constraint."""

    films: tuple[RecommendedFilm, ...] = ()
    rejected: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def plus(self, other: Sifted) -> Sifted:
        """Return the sum of two parts of one reply."""
        return Sifted(self.films + other.films, self.rejected + other.rejected, dict(Counter(self.dropped) + Counter(other.dropped)))


class Model(Protocol):
    """What the use case needs of the LLM client."""

    async def recommend(self, ask: LlmAsk, *, deadline: Deadline, headers: Mapping[str, str]) -> LlmReply:
        """Ask the model; raise UpstreamError whatever goes wrong."""

    @property
    def streams(self) -> bool:
        """Say whether the model's protocol gives films one after the other."""

    def stream(self, ask: LlmAsk, *, deadline: Deadline, headers: Mapping[str, str]) -> AsyncGenerator[Suggestion | LlmReply, None]:
        """Ask the model; yield each suggestion when it is complete, and last a reply with the rest. Raise as `recommend` does."""


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
        self._pages = PageStore(ttl_s=settings.cache_ttl_s, clock=clock)
        self._flights: SingleFlight[Hashable, Recommendation] = SingleFlight()
        self._log = structlog.get_logger("opuscine.recommend")
        self.fallbacks: dict[DegradedReason, int] = dict.fromkeys(DegradedReason, 0)
        self.grounded: Counter[str] = Counter()  # suggestions by the method that tied them to the catalogue
        self.rejected = 0

    async def recommend(self, wish: Wish, scope: RequestScope) -> Recommendation:
        """Return one page of films with their links.

        Raises:
            UpstreamError: the model failed and `FALLBACK` is off.
            CatalogueUnavailableError: there is no catalogue to ground in.
        """
        if self._model is None:
            with scope.phases.phase("catalogue"):
                found = await self._embedded.recommend(wish, deadline=scope.deadline)
        else:
            found = await self._from_model(self._model, wish, scope)
        with scope.phases.phase("ott"):
            return await self._join(found, wish.region, scope)

    def stats(self) -> dict[str, Any]:
        """Return what the administration shows of this part."""
        return {
            "kept_wishes": len(self._pages),
            "asking": len(self._flights),
            "grounded": dict(self.grounded),
            "rejected": self.rejected,
            "fallbacks": {reason.value: count for reason, count in self.fallbacks.items() if count},
        }

    async def stream(self, wish: Wish, scope: RequestScope) -> AsyncGenerator[RecommendationEvent, None]:
        """Yield each film of a page with its links as soon as it is known, then what is said of them, then the rest of the answer.

        When the model dies midway its films so far stand, fallback films follow, and the end says why.

        Raises:
            UpstreamError: before the first event, as `recommend` does.
        """
        pages = self._pages_of(wish)
        if self._model is None or not self._model.streams or pages.page(wish.page) is not None:
            found = await self.recommend(wish, scope)
            for item in found.films:
                yield FilmFound(item)
        else:
            shown: list[RecommendedFilm] = []
            try:
                with scope.phases.phase("llm"):
                    async for item in self._stream_films(self._model, wish, pages, scope):
                        shown.append(item)
                        yield FilmFound(item)
                found = pages.show(wish.page, cached=False)
            except UpstreamError as error:
                if not self._settings.fallback and not shown:
                    raise
                found = await self._fallback(wish, error.reason, (*pages.given(), *(item.film.ref for item in shown)), scope)
                found = await self._join(replace(found, films=found.films[: wish.limit - len(shown)]), wish.region, scope)
                for item in found.films:
                    yield FilmFound(item)
        if found.explanation:
            yield Said(found.explanation)
        yield Finished(found)

    async def _from_model(self, model: Model, wish: Wish, scope: RequestScope) -> Recommendation:
        pages = self._pages_of(wish)
        if pages.page(wish.page) is not None:
            return pages.show(wish.page, cached=True)
        try:
            with scope.phases.phase("llm"):
                return await self._asked_once(model, wish, scope)
        except UpstreamError as error:
            if not self._settings.fallback:
                raise
            with scope.phases.phase("catalogue"):
                return await self._fallback(wish, error.reason, tuple(pages.given()), scope)

    async def _asked_once(self, model: Model, wish: Wish, scope: RequestScope) -> Recommendation:
        """Ask the model, or wait for its answer to somebody who wishes the same at the same moment.

        The call runs under the deadline of whoever was first. One who has more time than that asks again when it ends too soon; one who
        has less leaves when its own is up.
        """
        if wish.fresh:
            return await self._ask_model(model, wish, scope)
        key, deadline = (_key(wish), wish.page), scope.deadline
        while True:
            joined = key in self._flights
            try:
                async with asyncio.timeout(deadline.for_upstream(deadline.budget_s) + min(GRACE_S, deadline.reserve() / 4)):
                    return await self._flights.run(key, lambda: self._ask_model(model, wish, scope))
            except TimeoutError:
                raise UpstreamError("the deadline came before the model's answer", reason=DegradedReason.LLM_TIMEOUT) from None
            except UpstreamError as error:
                if not (joined and error.reason is DegradedReason.LLM_TIMEOUT and deadline.remaining() > deadline.reserve()):
                    raise

    async def _ask_model(self, model: Model, wish: Wish, scope: RequestScope) -> Recommendation:
        """Ask for a page and remember it.

        Raises:
            UpstreamError: the model failed, or gave nothing that can be shown.
        """
        pages = self._pages_of(wish)
        reply = await model.recommend(_ask(wish, pages), deadline=scope.deadline, headers=scope.headers)
        intent = self._sentences.read(wish.message).intent
        sifted = await self._sift(reply.suggestions, intent, wish.region, scope, ids_trusted=reply.ids_trusted)
        self._remember(wish, pages, reply, sifted, sifted.films)
        return pages.show(wish.page, cached=False)

    async def _stream_films(self, model: Model, wish: Wish, pages: Pages, scope: RequestScope) -> AsyncGenerator[RecommendedFilm, None]:
        """Yield the films of a streamed reply, each with its links, at most as many as are asked for; what is beyond is kept."""
        intent = self._sentences.read(wish.message).intent
        counted = Sifted()
        found: dict[TitleRef, RecommendedFilm] = {}
        given = pages.given()
        async with aclosing(model.stream(_ask(wish, pages), deadline=scope.deadline, headers=scope.headers)) as parts:
            async for part in parts:
                suggestions = part.suggestions if isinstance(part, LlmReply) else (part,)
                trusted = isinstance(part, LlmReply) and part.ids_trusted
                sifted = await self._sift(suggestions, intent, wish.region, scope, ids_trusted=trusted)
                counted = counted.plus(sifted)
                fresh = {item.film.ref: item for item in sifted.films if item.film.ref not in given and item.film.ref not in found}
                room = max(0, wish.limit - len(found))
                found |= fresh
                if isinstance(part, LlmReply):
                    self._remember(wish, pages, part, counted, found.values())
                for item in await self._with_links(list(fresh.values())[:room], wish.region, scope):
                    yield item

    def _pages_of(self, wish: Wish) -> Pages:
        """Return what is remembered of a wish, or an empty book for it."""
        return (None if wish.fresh else self._pages.get(_key(wish))) or Pages(wish.limit)

    def _remember(self, wish: Wish, pages: Pages, reply: LlmReply, sifted: Sifted, films: Iterable[RecommendedFilm]) -> None:
        """Add a page and what the model said of it, and keep the book unless it is empty.

        Raises:
            UpstreamError: there is nothing to show, though the model neither asks back nor has come to its end.
        """
        if not wish.fresh and (kept := self._pages.get(_key(wish))) is not None:
            pages.take_over(kept)
        shown_before = bool(pages.given())
        pages.add(wish.page, films)
        empty = not pages.known[wish.page]
        pages.total = max(pages.total, reply.total_results or 0)
        if reply.total_pages is not None:
            pages.last = max(reply.total_pages, 0)
        elif empty and shown_before:
            pages.last = wish.page - 1
        ended = pages.last is not None and wish.page > pages.last
        if empty and not reply.asks_back and not (ended and wish.page > 1):
            del pages.known[wish.page]
            raise UpstreamError("no film of the reply could be grounded and fits the message", reason=DegradedReason.LLM_EMPTY)
        pages.said = _recommendation(reply, sifted)
        if pages.films():
            self._pages.keep(_key(wish), pages)

    async def _fallback(self, wish: Wish, reason: DegradedReason, given: tuple[TitleRef, ...], scope: RequestScope) -> Recommendation:
        """Choose from the catalogue in the model's place, without repeating what it gave before it failed."""
        self.fallbacks[reason] += 1
        return await self._embedded.recommend(wish, reason=reason, given=given, deadline=scope.deadline)

    async def _sift(
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
            joined = await self._with_links(fitting, region, scope)
            fitting = tuple(item for item in joined if item.film.ref in intent.named or streams_at(item, intent.provider_ids))
            dropped = {**dropped, "provider": len(joined) - len(fitting)}
        return Sifted(fitting, grounded.rejected, dropped)

    async def _join(self, found: Recommendation, region: str, scope: RequestScope) -> Recommendation:
        """Give each film of a page its links."""
        return replace(found, films=await self._with_links(found.films, region, scope))

    async def _with_links(self, films: Sequence[RecommendedFilm], region: str, scope: RequestScope) -> tuple[RecommendedFilm, ...]:
        """Join links to films; a film whose links nobody knows keeps none."""
        places = await self._ott.find_many(
            [item.film.ref for item in films], region, budget=scope.redis_budget, deadline=scope.deadline, headers=scope.headers
        )
        return tuple(replace(item, links=places[item.film.ref].links) for item in films)


def _recommendation(reply: LlmReply, sifted: Sifted) -> Recommendation:
    """Read what a model says beside its films."""
    said = read_metadata(reply.query_metadata, reply.conversation)
    return Recommendation(
        films=(),
        total=0,
        source=Source.LLM,
        method=said.method,
        rejected=sifted.rejected,
        confidence=said.confidence,
        reasoning=" ".join(filter(None, [said.reasoning, _said_dropped(sifted.dropped)])),
        explanation=said.explanation,
        intent_analysis=said.intent_analysis,
        follow_up=said.follow_up,
        parameters=said.parameters,
        conversation=said.conversation,
        processing_ms=said.processing_ms,
    )


def _said_dropped(dropped: Mapping[str, int]) -> str:
    """Say how many of the model's films contradicted the sentence, by constraint."""
    broken = ", ".join(f"{name} {count}" for name, count in dropped.items() if count)
    return f"[dropped for what the message states: {broken}]" if broken else ""


def _key(wish: Wish) -> tuple[str, str | None, str, str, int]:
    return (wish.caller, wish.user, wish.message, wish.region, wish.limit)


def _ask(wish: Wish, pages: Pages) -> LlmAsk:
    return LlmAsk(
        message=wish.message,
        user_id=wish.user,
        page=wish.page,
        limit=wish.limit,
        given_titles=tuple(item.film.title for item in pages.given().values())[-GIVEN_TITLES:],
    )
