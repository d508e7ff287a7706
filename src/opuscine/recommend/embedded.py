"""The embedded recommender: films chosen from the catalogue alone, by what the sentence states.

It answers when no LLM server is configured, and in the model's place when that is slow, down or unreadable.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

from opuscine.catalogue.search import SearchQuery
from opuscine.guard.deadline import Deadline
from opuscine.guard.rate_limiter import LocalRateLimiter, Rate
from opuscine.model import DegradedReason, Film, Match, MatchMethod, Recommendation, RecommendedFilm, Source, TitleRef
from opuscine.recommend.explanation import Course, explain, unknown_facts
from opuscine.recommend.favourites import FavouriteCatalogue, Favourites
from opuscine.recommend.queries import like, near_in_series, steps
from opuscine.recommend.sentence import Sentence, SentenceReader
from opuscine.recommend.text_hits import by_topic, covers, in_names
from opuscine.recommend.wish import Wish

HURRY_S = 0.15  # with less time than this nothing is searched for: the favourites at hand are the answer
SEARCHES = Rate(limit=25, period_s=1, burst=25)  # in the model's place: about a fifth of a core (measured)
HITS = 40  # text hits that come before the rest; more would push the well-loved films out of the first pages
CHOSEN = Match(MatchMethod.CATALOGUE, 1.0)


class SearchableCatalogue(FavouriteCatalogue, Protocol):
    """What the recommender needs of the catalogue."""

    @property
    def searches(self) -> int:
        """Return how many searches are under way or wait for others to end."""
        ...


class Leading(NamedTuple):
    """The films that the words themselves point to, and how they were come by."""

    films: dict[TitleRef, Film]
    course: Course


class Page(NamedTuple):
    """One page of films, how many there are over all pages, and how they were come by."""

    films: tuple[Film, ...]
    total: int
    course: Course


class EmbeddedRecommender:
    """Choose films from the catalogue by the words of a sentence. Deterministic, so that pages follow each other without gaps.

    Searching takes some milliseconds of two threads. So that an answer always leaves before its deadline, however many ask at once, the
    favourites at hand are the answer when time is short; and, in the model's place, also while somebody else's search is under way, or when
    there were more than `SEARCHES`: then many ask, and a search costs five times as much CPU as a choice among the favourites (measured).
    """

    def __init__(self, catalogue: SearchableCatalogue, sentences: SentenceReader, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the catalogue to choose from and the one who reads what is wished for."""
        self._catalogue = catalogue
        self._sentences = sentences
        self._favourites = Favourites(catalogue)
        self._searches = LocalRateLimiter(SEARCHES, clock=clock)
        self.hurried = 0  # answers that were not searched for

    async def prepare(self) -> None:
        """Have the favourites at hand before the first request."""
        await self._favourites.stock()

    async def recommend(
        self, wish: Wish, *, reason: DegradedReason | None = None, given: tuple[TitleRef, ...] = (), deadline: Deadline | None = None
    ) -> Recommendation:
        """Choose one page of films.

        What the sentence states holds for every film, unless nothing at all fits: then the least stated of it is given up, step
        by step, and the explanation says so. `given` are titles that the caller has been shown and that are not repeated. Without the
        time to search, the films are those of the best-loved that fit.
        """
        begun = time.monotonic()
        sentence = self._sentences.read(wish.message)
        films, total, course = await self._page_in_time(sentence, wish, given, deadline, busy=reason is not None)
        explained = explain(sentence.intent, course, found=bool(films), reason=reason)
        return Recommendation(
            films=tuple(RecommendedFilm(film, CHOSEN) for film in films),
            total=total,
            source=Source.CATALOGUE,
            method="embedded",
            degraded_reason=reason,
            confidence=explained.confidence,
            reasoning=explained.reasoning,
            explanation=explained.text,
            intent_analysis=explained.analysis,
            follow_up="장르, 연도, 국가나 OTT 이름을 함께 적어 주시면 더 알맞은 작품을 찾아 드릴 수 있습니다.",
            parameters=sentence.intent.parameters(),
            processing_ms=round((time.monotonic() - begun) * 1000),
        )

    async def _page_in_time(
        self, sentence: Sentence, wish: Wish, given: tuple[TitleRef, ...], deadline: Deadline | None, *, busy: bool
    ) -> Page:
        """Search for a page unless, or until, there is no time for it; `busy` also looks at what others have searched for."""
        search_s = None if deadline is None else deadline.remaining() - HURRY_S
        in_time = search_s is None or search_s > 0
        if in_time and not (busy and (self._catalogue.searches or not self._searches.check("").allowed)):
            try:
                async with asyncio.timeout(search_s):
                    await self._favourites.stock()
                    return await self._page(sentence, wish, given)
            except TimeoutError:
                pass
        self.hurried += 1
        return self._page_at_hand(sentence, wish, given)

    def _page_at_hand(self, sentence: Sentence, wish: Wish, given: tuple[TitleRef, ...]) -> Page:
        """Take a page of the titles that the message names and the favourites that fit it."""
        intent = sentence.intent
        leading = () if intent.similar else tuple(film for film in sentence.namesakes if film.ref not in given)
        exclude = {*given, *(film.ref for film in sentence.namesakes)}
        chosen = self._favourites.choose(steps(sentence, wish.region), exclude=exclude)
        fitting = (*leading, *chosen.films)
        start = max(0, (wish.page - 1) * wish.limit - len(given))
        films = fitting[start : start + wish.limit]
        course = Course(
            named=sentence.named.title if sentence.named else "",
            given_up=chosen.given_up,
            unknown=unknown_facts(films, intent),
            near=near_in_series(intent.facts) and not chosen.given_up,
            hurried=True,
        )
        return Page(films, len(fitting), course)

    async def _page(self, sentence: Sentence, wish: Wish, given: tuple[TitleRef, ...]) -> Page:
        """Take the first step of the search that finds anything."""
        intent = sentence.intent
        course = Course()
        start = max(0, (wish.page - 1) * wish.limit - len(given))
        for step in steps(sentence, wish.region):
            query, alike = replace(step.query, exclude=(*step.query.exclude, *given)), step.alike
            leading, course = await self._leading(sentence, query)
            if course.hits and not (intent.moods or intent.genre_ids or intent.order or sentence.named):
                query = like(query, next(iter(leading.values())), intent)
                alike = True
            rest = replace(
                query,
                exclude=(*query.exclude, *leading),
                offset=max(0, start - len(leading)),
                limit=max(0, start + wish.limit - max(start, len(leading))) or 1,
            )
            found = await self._catalogue.search(rest)
            if total := len(leading) + found.total:
                films = (*list(leading.values())[start : start + wish.limit], *found.films)[: wish.limit]
                near = near_in_series(intent.facts) and not step.given_up
                course = replace(course, alike=alike, given_up=step.given_up, near=near, unknown=unknown_facts(films, intent))
                return Page(films, total, course)
        return Page((), 0, course)

    async def _leading(self, sentence: Sentence, query: SearchQuery) -> Leading:
        """Find the films that the words themselves point to: those that are named and what continues them, or those that hold the words."""
        intent = sentence.intent
        if sentence.named is not None:
            course = Course(named=sentence.named.title)
            if intent.similar:
                return Leading({}, course)
            films = {film.ref: film for film in sentence.namesakes if film.ref not in query.exclude}
            found = await self._catalogue.search(
                SearchQuery(text=sentence.named.title, region=query.region, exclude=query.exclude, limit=HITS)
            )
            return Leading(films | {film.ref: film for film in found.films if in_names(sentence.named.title, film)}, course)
        if not intent.terms and not intent.topics:
            return Leading({}, Course())
        about = replace(query, include_texts=tuple(" ".join(topic.words) for topic in intent.topics), limit=HITS)
        if intent.terms:
            found = await self._catalogue.search(replace(about, text=" ".join(intent.terms), order="relevance"))
            hits = [film for film in found.films if covers(film, intent)]
        else:
            hits = by_topic((await self._catalogue.search(about)).films, intent.topics)
        sought = tuple(filter(None, (" ".join(intent.terms), *(topic.name for topic in intent.topics))))
        return Leading({film.ref: film for film in hits}, Course(sought=sought, hits=len(hits)))
