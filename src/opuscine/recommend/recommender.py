"""The way of one wish: an answer that is kept ▸ a call under way ▸ the model ▸ an earlier answer ▸ the catalogue's own choice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol
from weakref import WeakValueDictionary

from opuscine.errors import UpstreamError
from opuscine.guard.deadline import Deadline
from opuscine.guard.single_flight import SingleFlight
from opuscine.guard.tape import Tape
from opuscine.model import DegradedReason, Recommendation, RecommendedFilm, Source, TitleRef
from opuscine.recommend.answer_cache import AnswerCache
from opuscine.recommend.embedded import HURRY_S, EmbeddedRecommender
from opuscine.recommend.kept_answer import KeptAnswer
from opuscine.recommend.model_recommender import Model, ModelRecommender
from opuscine.recommend.pages import Given, PageStore
from opuscine.recommend.sentence import SentenceReader
from opuscine.recommend.sifting import Sifter
from opuscine.recommend.wish import RequestScope, Wish
from opuscine.settings import RecommendSettings
from opuscine.telemetry.phases import Phases

GRACE_S = 0.05  # beyond the model's time in which what comes after its answer may still end


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as the bytes that are sent, and what is noted of it."""

    body: bytes
    source: Source
    degraded_reason: DegradedReason | None = None
    age_s: int | None = None  # None: made for this request


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


@dataclass(frozen=True, slots=True)
class Whole:
    """All of an answer at once; nothing comes before or after it."""

    answer: Answer


Part = RecommendedFilm | Recommendation  # of a call that gives films one after the other; the last is the whole
RecommendationEvent = FilmFound | Said | Finished | Whole


class Presenter(Protocol):
    """Who turns what was found into the bytes of an answer."""

    def encode(self, wish: Wish, found: Recommendation, *, elapsed_s: float) -> bytes:
        """Encode an answer."""

    def encode_earlier(self, body: bytes, reason: DegradedReason) -> bytes:
        """Encode an earlier answer anew, marked as given in the place of one that the model could not give."""


class Recommender:
    """Answer wishes. There is always an answer before the deadline, unless `FALLBACK=off` and the model failed.

    Callers who wish the same at the same time share one call of the model, all the work after it, and the bytes it ends in. The call has
    a deadline of its own; each caller leaves it at its own deadline, with an earlier answer or the catalogue's. One that asks for an
    answer of its own (`Wish.own`) joins no call, and nobody joins its. Answers of the catalogue alone are cheap and not kept.
    """

    def __init__(
        self,
        *,
        model: Model | None,
        sifter: Sifter,
        sentences: SentenceReader,
        embedded: EmbeddedRecommender,
        cache: AnswerCache,
        presenter: Presenter,
        generation: Callable[[], str],
        settings: RecommendSettings,
        clock: Callable[[], float],
    ) -> None:
        """Take the parts; without a model the embedded recommender answers, and that is not a degraded answer."""
        self._books = PageStore(ttl_s=settings.cache_ttl_s, clock=clock)
        self._model = (
            ModelRecommender(
                model, sifter=sifter, sentences=sentences, books=self._books, earlier=self._given_earlier, generation=generation
            )
            if model
            else None
        )
        self._sifter = sifter
        self._embedded = embedded
        self._cache = cache
        self._presenter = presenter
        self._settings = settings
        self._clock = clock
        self._flights: SingleFlight[Hashable, tuple[Answer, Phases]] = SingleFlight()
        self._fallbacks: SingleFlight[Hashable, tuple[Answer, Phases]] = SingleFlight()
        self._tapes: WeakValueDictionary[Hashable, Tape[Part]] = WeakValueDictionary()  # of the calls under way, which hold them
        self.fallbacks: dict[DegradedReason, int] = dict.fromkeys(DegradedReason, 0)
        self.earlier: dict[DegradedReason, int] = dict.fromkeys(DegradedReason, 0)  # answers given though expired

    async def recommend(self, wish: Wish, scope: RequestScope) -> Answer:
        """Return one page of films with their links.

        Raises:
            UpstreamError: the model failed and `FALLBACK` is off.
            CatalogueUnavailableError: there is no catalogue to ground in.
        """
        if self._model is None:
            return await self._from_catalogue(wish, scope)
        key = self._cache.key(wish)
        if not wish.own and (kept := self._cache.here(key)) is not None:
            return self._as_kept(kept)
        try:
            return await self._shared_call(self._model, wish, key, scope)
        except UpstreamError as error:
            return await self._instead(wish, key, error, scope)

    def kept_here(self, wish: Wish) -> KeptAnswer | None:
        """Return a fresh answer that the process holds, and count nothing yet."""
        return None if self._model is None or wish.own else self._cache.peek(self._cache.key(wish))

    def give_kept(self, kept: KeptAnswer) -> Answer:
        """Return an answer that the process holds as one that is given."""
        self._cache.note_hit()
        return self._as_kept(kept)

    async def stream(self, wish: Wish, scope: RequestScope) -> AsyncGenerator[RecommendationEvent, None]:
        """Yield each film of a page with its links as soon as it is known, then what is said of them, then the rest of the answer.

        Streams share calls with each other and with those who wait for the whole. What is there as a whole comes as a whole: an answer
        that is kept, or the catalogue's. When the model dies midway its films so far stand, fallback films follow, and the end says why.

        Raises:
            UpstreamError: before the first event, as `recommend` does.
        """
        model = self._model
        if model is None or not model.streams:
            yield Whole(await self.recommend(wish, scope))
            return
        key = self._cache.key(wish)
        if not wish.own and (kept := self._cache.here(key)) is not None:
            yield Whole(self._as_kept(kept))
            return
        shown: list[RecommendedFilm] = []
        rest: Recommendation | None = None
        try:
            async with aclosing(self._followed_call(model, wish, key, scope)) as parts:
                async for part in parts:
                    if isinstance(part, Answer):
                        yield Whole(part)
                        return
                    if isinstance(part, Recommendation):
                        rest = part
                    else:
                        shown.append(part)
                        yield FilmFound(part)
        except UpstreamError as error:
            if not shown:
                yield Whole(await self._instead(wish, key, error, scope))
                return
            self.fallbacks[error.reason] += 1
            rest = await self._fallback_films(wish, error.reason, tuple(item.film.ref for item in shown), scope)
            rest = replace(rest, films=rest.films[: wish.limit - len(shown)])
            for item in rest.films:
                yield FilmFound(item)
        if rest is not None and rest.explanation:
            yield Said(rest.explanation)
        if rest is not None:
            yield Finished(rest)

    @property
    def calls_saved(self) -> int:
        """Return how many calls of the model were not made, since another request's answer was waited for."""
        return self._flights.joined

    @property
    def cache(self) -> AnswerCache:
        """Return what keeps answers, for its counters."""
        return self._cache

    @property
    def sifter(self) -> Sifter:
        """Return what sifts suggestions, for its counters."""
        return self._sifter

    def stats(self) -> dict[str, Any]:
        """Return what the administration shows of this part."""
        return {
            "kept_wishes": len(self._books),
            "asking": len(self._flights),
            "asked": self._flights.started,
            "joined": self._flights.joined,
            "grounded": dict(self._sifter.grounded),
            "rejected": self._sifter.rejected,
            "fallbacks": {reason.value: count for reason, count in self.fallbacks.items() if count},
            "earlier": {reason.value: count for reason, count in self.earlier.items() if count},
            "cache": self._cache.stats(),
        }

    async def _shared_call(
        self, model: ModelRecommender, wish: Wish, key: bytes, scope: RequestScope, *, followed: asyncio.Future[Tape[Part]] | None = None
    ) -> Answer:
        """Ask the model, or wait for its answer to somebody who wishes the same at the same moment.

        `followed` is given the tape of the call, which then gives single films if the model has not been asked yet.

        Raises:
            UpstreamError: the model failed, or this caller's time is up.
        """
        flight: Hashable = object() if wish.own else key
        granted_s = scope.deadline.for_upstream(scope.deadline.budget_s)
        joins = flight in self._flights
        if not joins and granted_s <= 0:
            raise UpstreamError("there is no time to ask the model", reason=DegradedReason.LLM_TIMEOUT)
        tape: Tape[Part] = (self._tapes.get(flight) if joins else None) or Tape()
        if not joins:  # a call that is being given up may still record on the tape before
            self._tapes[flight] = tape
        if followed is not None:
            tape.followed = True
            followed.set_result(tape)
        deadline = Deadline(self._settings.request_timeout_s, self._clock)
        try:
            return await self._share(
                self._flights,
                flight,
                lambda phases: self._call(model, wish, key, scope.for_call(deadline, phases), tape),
                scope,
                wait_s=granted_s + min(GRACE_S, scope.deadline.reserve() / 4),
                hurry=deadline.expire,
            )
        except TimeoutError:
            raise UpstreamError("the deadline came before the model's answer", reason=DegradedReason.LLM_TIMEOUT) from None

    async def _followed_call(
        self, model: ModelRecommender, wish: Wish, key: bytes, scope: RequestScope
    ) -> AsyncGenerator[RecommendedFilm | Recommendation | Answer, None]:
        """Do the same, and yield the films as they come and last the rest; or the answer alone where the call gives no single films.

        Raises:
            UpstreamError: as `_shared_call`, before or after the first film.
        """
        followed: asyncio.Future[Tape[Part]] = asyncio.get_running_loop().create_future()
        call = asyncio.create_task(self._shared_call(model, wish, key, scope, followed=followed))
        begun: set[asyncio.Future[Any]] = {call, followed}
        try:
            await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
            tape = followed.result() if followed.done() else Tape()
            async with aclosing(tape.follow(call)) as parts:
                async for part in parts:
                    yield part
            answer = call.result()
            if not tape.items:
                yield answer
        finally:
            call.cancel()
            await asyncio.wait({call})
            if not call.cancelled():
                call.exception()  # nobody may be left to ask for it

    async def _call(self, model: ModelRecommender, wish: Wish, key: bytes, scope: RequestScope, tape: Tape[Part]) -> Answer:
        """Make the answer that all who share a call are given, film by film if somebody follows it."""
        if not wish.own and (kept := await self._cache.elsewhere(key, scope.redis_budget)) is not None:
            return self._as_kept(kept)
        begun = self._clock()
        found = await (self._record(model, wish, scope, tape) if tape.followed else model.recommend(wish, scope))
        self._keep(wish, key, found, scope.deadline)
        return self._show(wish, found, begun)

    async def _record(self, model: ModelRecommender, wish: Wish, scope: RequestScope, tape: Tape[Part]) -> Recommendation:
        """Put every film of a page on a tape as soon as it is known, and last the whole of it, which is returned."""
        with scope.phases.phase("llm"):
            async with aclosing(model.stream(wish, scope)) as parts:
                async for part in parts:
                    tape.add(part)
        whole = tape.items[-1]
        if not isinstance(whole, Recommendation):
            raise TypeError("a stream of films must end with the whole of them")
        return whole

    async def _instead(self, wish: Wish, key: bytes, error: UpstreamError, scope: RequestScope) -> Answer:
        """Give an earlier answer in the model's place, or else films of the catalogue.

        Raises:
            UpstreamError: `FALLBACK` is off.
        """
        if not self._settings.fallback:
            raise error
        reason = error.reason
        if not wish.own and (kept := await self._cache.last_resort(key, scope.redis_budget)) is not None:
            if self._cache.is_fresh(kept):  # another process had more luck
                return self._as_kept(kept)
            self.earlier[reason] += 1
            return replace(self._as_kept(kept), body=self._presenter.encode_earlier(kept.body, reason), degraded_reason=reason)
        self.fallbacks[reason] += 1
        left_s = scope.deadline.remaining()
        hurried = left_s < HURRY_S  # those get a plainer list, which is not for the others
        try:
            return await self._share(
                self._fallbacks,
                object() if wish.own else (key, reason, hurried),
                lambda phases: self._fallback(wish, reason, replace(scope, phases=phases)),
                scope,
                wait_s=left_s / 2,
            )
        except TimeoutError:  # whoever was first has more time to search than this caller
            return await self._fallback(wish, reason, scope)

    async def _fallback(self, wish: Wish, reason: DegradedReason, scope: RequestScope) -> Answer:
        begun = self._clock()
        return self._show(wish, await self._fallback_films(wish, reason, (), scope), begun)

    async def _fallback_films(self, wish: Wish, reason: DegradedReason, shown: tuple[TitleRef, ...], scope: RequestScope) -> Recommendation:
        """Choose from the catalogue in the model's place, without repeating what it gave before it failed."""
        with scope.phases.phase("catalogue"):
            given = (*(await self._model.given(wish, scope)), *shown) if self._model else shown
            found = await self._embedded.recommend(wish, reason=reason, given=given, deadline=scope.deadline)
        return await self._join(found, wish, scope)

    async def _from_catalogue(self, wish: Wish, scope: RequestScope) -> Answer:
        """Answer where there is no model."""
        begun = self._clock()
        with scope.phases.phase("catalogue"):
            found = await self._embedded.recommend(wish, deadline=scope.deadline)
        return self._show(wish, await self._join(found, wish, scope), begun)

    async def _join(self, found: Recommendation, wish: Wish, scope: RequestScope) -> Recommendation:
        with scope.phases.phase("ott"):
            return replace(found, films=await self._sifter.with_links(found.films, wish.region, scope))

    async def _share(
        self,
        flights: SingleFlight[Hashable, tuple[Answer, Phases]],
        key: Hashable,
        make: Callable[[Phases], Coroutine[Any, Any, Answer]],
        scope: RequestScope,
        *,
        wait_s: float | None = None,
        hurry: Callable[[], None] | None = None,
    ) -> Answer:
        """Make an answer with phases of its own, or wait for the one being made; either way its time is noted for this request."""

        async def call() -> tuple[Answer, Phases]:
            phases = Phases(self._clock)
            return await make(phases), phases

        joined = key in flights
        begun = self._clock()
        try:
            answer, phases = await flights.run(key, call, wait_s=wait_s, hurry=hurry)
        except (TimeoutError, UpstreamError):
            scope.phases.add("llm" if flights is self._flights else "catalogue", self._clock() - begun)
            raise
        for name, seconds in {"shared": self._clock() - begun}.items() if joined else phases.seconds.items():
            scope.phases.add(name, seconds)
        return answer

    def _show(self, wish: Wish, found: Recommendation, begun: float) -> Answer:
        body = self._presenter.encode(wish, found, elapsed_s=self._clock() - begun)
        return Answer(body, found.source, found.degraded_reason)

    def _as_kept(self, kept: KeptAnswer) -> Answer:
        return Answer(kept.body, Source.CACHE, age_s=self._cache.age_s(kept))

    def _keep(self, wish: Wish, key: bytes, found: Recommendation, deadline: Deadline) -> None:
        """Keep an answer of the model that has films and was not hurried: what is joined after the time is up may lack links."""
        if wish.unkept or not found.films or found.degraded_reason or deadline.expired or not self._cache.on:
            return
        body = self._presenter.encode(wish, replace(found, source=Source.CACHE), elapsed_s=0.0)
        self._cache.keep(key, body, {item.film.ref: item.film.title for item in found.films})

    async def _given_earlier(self, wish: Wish, numbers: Sequence[int], scope: RequestScope) -> Mapping[int, Given]:
        """Find what was given on pages of a wish that this process has not answered, or has forgotten."""
        return await self._cache.given({number: replace(wish, page=number) for number in numbers}, scope.redis_budget)
