"""The model's way: the book of pages ▸ the model ▸ sifting ▸ links. It fails with an `UpstreamError` whenever the model does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from opuscine.errors import UpstreamError
from opuscine.guard.deadline import Deadline
from opuscine.llm.ask import LlmAsk, LlmReply
from opuscine.model import DegradedReason, Recommendation, RecommendedFilm, Source, Suggestion, TitleRef
from opuscine.recommend.metadata import read_metadata
from opuscine.recommend.pages import Given, Pages, PageStore
from opuscine.recommend.sentence import SentenceReader
from opuscine.recommend.sifting import Sifted, Sifter
from opuscine.recommend.wish import RequestScope, Wish

GIVEN_TITLES = 200  # titles named to the model so that it does not repeat them
EARLIER_PAGES = 10  # as far back a page looks for what was given on pages that another process has answered

Earlier = Callable[[Wish, Sequence[int], RequestScope], Awaitable[Mapping[int, Given]]]


class Model(Protocol):
    """What the use case needs of the LLM client."""

    async def recommend(self, ask: LlmAsk, *, deadline: Deadline, headers: Mapping[str, str]) -> LlmReply:
        """Ask the model; raise UpstreamError whatever goes wrong."""

    @property
    def streams(self) -> bool:
        """Say whether the model's protocol gives films one after the other."""

    def stream(self, ask: LlmAsk, *, deadline: Deadline, headers: Mapping[str, str]) -> AsyncGenerator[Suggestion | LlmReply, None]:
        """Ask the model; yield each suggestion when it is complete, and last a reply with the rest. Raise as `recommend` does."""


class ModelRecommender:
    """Give one page of the model's films, with their links, going on from what was given on the pages before."""

    def __init__(
        self,
        model: Model,
        *,
        sifter: Sifter,
        sentences: SentenceReader,
        books: PageStore,
        earlier: Earlier,
        generation: Callable[[], str],
    ) -> None:
        """Take the parts; `earlier` finds what answers that are kept gave on pages, `generation` names the catalogue."""
        self._model = model
        self._sifter = sifter
        self._sentences = sentences
        self._books = books
        self._earlier = earlier
        self._generation = generation

    @property
    def streams(self) -> bool:
        """Say whether films come one after the other."""
        return self._model.streams

    async def recommend(self, wish: Wish, scope: RequestScope) -> Recommendation:
        """Give a page.

        Raises:
            UpstreamError: the model failed, or gave nothing that can be shown.
        """
        pages = await self._book(wish, scope)
        found = self._ready(wish, pages)
        if found is None:
            with scope.phases.phase("llm"):
                reply = await self._model.recommend(_ask(wish, pages), deadline=scope.deadline, headers=scope.headers)
                intent = self._sentences.read(wish.message).intent
                sifted = await self._sifter.sift(reply.suggestions, intent, wish.region, scope, ids_trusted=reply.ids_trusted)
            found = self._remember(wish, pages, reply, sifted, sifted.films)
        with scope.phases.phase("ott"):
            return found.of_films(await self._sifter.with_links(found.films, wish.region, scope))

    async def stream(self, wish: Wish, scope: RequestScope) -> AsyncGenerator[RecommendedFilm | Recommendation, None]:
        """Give a page film by film, and last the whole of it; what the model has beyond it is left for the next.

        Raises:
            UpstreamError: as `recommend`, before or after the first film.
        """
        pages = await self._book(wish, scope)
        if (found := self._ready(wish, pages)) is not None:
            films = await self._sifter.with_links(found.films, wish.region, scope)
            for item in films:
                yield item
            yield found.of_films(films)
            return
        intent = self._sentences.read(wish.message).intent
        counted = Sifted()
        elsewhere = pages.elsewhere(wish.page)
        given: dict[TitleRef, RecommendedFilm] = {item.film.ref: item for item in pages.surplus.get(wish.page, ())}
        shown = list(await self._sifter.with_links(tuple(given.values()), wish.region, scope))
        for item in shown:
            yield item
        async with aclosing(self._model.stream(_ask(wish, pages), deadline=scope.deadline, headers=scope.headers)) as parts:
            async for part in parts:
                suggestions = part.suggestions if isinstance(part, LlmReply) else (part,)
                trusted = isinstance(part, LlmReply) and part.ids_trusted
                sifted = await self._sifter.sift(suggestions, intent, wish.region, scope, ids_trusted=trusted)
                counted = counted.plus(sifted)
                fresh = {item.film.ref: item for item in sifted.films if item.film.ref not in elsewhere and item.film.ref not in given}
                given |= fresh
                if isinstance(part, LlmReply):
                    found = self._remember(wish, pages, part, counted, given.values())
                room = max(0, wish.limit - len(shown))
                for item in await self._sifter.with_links(list(fresh.values())[:room], wish.region, scope):
                    shown.append(item)
                    yield item
        if found is not None:
            yield found.of_films(tuple(shown))

    async def given(self, wish: Wish, scope: RequestScope) -> tuple[TitleRef, ...]:
        """Return the films given on other pages of a wish."""
        return tuple((await self._book(wish, scope)).elsewhere(wish.page))

    async def _book(self, wish: Wish, scope: RequestScope) -> Pages:
        """Return what is remembered of a wish; pages before that are not known here are looked for among the answers that are kept."""
        if wish.unkept:
            return Pages(wish.limit)
        pages = self._books.get(self._key(wish)) or Pages(wish.limit)
        unknown = [number for number in range(max(1, wish.page - EARLIER_PAGES), wish.page) if number not in pages.given]
        if unknown:
            pages.learn(await self._earlier(wish, unknown, scope))
        return pages

    def _ready(self, wish: Wish, pages: Pages) -> Recommendation | None:
        """Return a page that needs no model."""
        films = None if wish.own or pages.said is None else pages.ready(wish.page)
        return None if films is None else pages.show(films, source=Source.CACHE)

    def _remember(self, wish: Wish, pages: Pages, reply: LlmReply, sifted: Sifted, films: Iterable[RecommendedFilm]) -> Recommendation:
        """Add a page and what the model said of it, keep the book unless it is empty, and return the page without links.

        Raises:
            UpstreamError: there is nothing to show, though the model neither asks back nor has come to its end.
        """
        key = None if wish.unkept else self._key(wish)
        if key is not None and (kept := self._books.get(key)) is not None:
            pages.learn(kept.given)
        given_before = bool(pages.elsewhere(wish.page))
        page = pages.add(wish.page, films)
        pages.total = max(pages.total, reply.total_results or 0)
        if reply.total_pages is not None:
            pages.last = max(reply.total_pages, 0)
        elif not page and given_before:
            pages.last = wish.page - 1
        ended = pages.last is not None and wish.page > pages.last
        if not page and not reply.asks_back and not (ended and wish.page > 1):
            del pages.given[wish.page]
            raise UpstreamError("no film of the reply could be grounded and fits the message", reason=DegradedReason.LLM_EMPTY)
        pages.said = _recommendation(reply, sifted)
        if key is not None and pages.films():
            self._books.keep(key, pages)
        return pages.show(page, source=Source.LLM)

    def _key(self, wish: Wish) -> Hashable:
        return (wish.caller, wish.user, wish.message, wish.region, wish.limit, self._generation())


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
        reasoning=" ".join(filter(None, [said.reasoning, _said_dropped(sifted.dropped)])) if sifted.dropped else said.reasoning,
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


def _ask(wish: Wish, pages: Pages) -> LlmAsk:
    return LlmAsk(
        message=wish.message,
        user_id=wish.user,
        page=wish.page,
        limit=wish.limit,
        given_titles=tuple(pages.elsewhere(wish.page).values())[-GIVEN_TITLES:],
    )
