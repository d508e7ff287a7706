"""The embedded recommender: films chosen from the catalogue alone, by what the sentence states.

It answers when no LLM server is configured, and in the model's place when that is slow, down or unreadable.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple, Protocol

from opuscine.catalogue.search import SearchQuery, SearchResult
from opuscine.guard.deadline import Deadline
from opuscine.model import DegradedReason, Film, Match, MatchMethod, Recommendation, RecommendedFilm, Source, TitleRef
from opuscine.recommend.explanation import Course, explain, unknown_facts
from opuscine.recommend.queries import like, near_in_series, steps
from opuscine.recommend.sentence import Sentence, SentenceReader
from opuscine.recommend.text_hits import by_topic, covers, in_names
from opuscine.recommend.wish import Wish

HURRY_S = 0.15  # with less time than this nothing is searched for by words: one plain list is the answer
HITS = 40  # text hits that come before the rest; more would push the well-loved films out of the first pages
CHOSEN = Match(MatchMethod.CATALOGUE, 1.0)


class SearchableCatalogue(Protocol):
    """What the recommender needs of the catalogue."""

    async def search(self, query: SearchQuery) -> SearchResult:
        """Search off the loop."""


class Leading(NamedTuple):
    """The films that the words themselves point to, and how they were come by."""

    films: dict[TitleRef, Film]
    course: Course


class EmbeddedRecommender:
    """Choose films from the catalogue by the words of a sentence. Deterministic, so that pages follow each other without gaps."""

    def __init__(self, catalogue: SearchableCatalogue, sentences: SentenceReader) -> None:
        """Take the catalogue to choose from and the one who reads what is wished for."""
        self._catalogue = catalogue
        self._sentences = sentences

    async def recommend(
        self, wish: Wish, *, reason: DegradedReason | None = None, given: tuple[TitleRef, ...] = (), deadline: Deadline | None = None
    ) -> Recommendation:
        """Choose one page of films.

        What the sentence states holds for every film, unless nothing at all fits: then the least stated of it is given up, step
        by step, and the explanation says so. `given` are titles that the caller has been shown and that are not repeated. With little
        time left before the deadline the films are those of a plain list, without a search for words.
        """
        begun = time.monotonic()
        sentence = self._sentences.read(wish.message)
        films, total, course = await self._page(sentence, wish, given, deadline)
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

    async def _page(
        self, sentence: Sentence, wish: Wish, given: tuple[TitleRef, ...], deadline: Deadline | None
    ) -> tuple[tuple[Film, ...], int, Course]:
        """Take the first step of the search that finds anything; return the page, how many films there are in all, and the course."""
        intent = sentence.intent
        course = Course()
        start = max(0, (wish.page - 1) * wish.limit - len(given))
        for step in steps(sentence, wish.region):
            query, alike = replace(step.query, exclude=(*step.query.exclude, *given)), step.alike
            leading, course = await self._leading(sentence, query, deadline)
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
                return films, total, course
        return (), 0, course

    async def _leading(self, sentence: Sentence, query: SearchQuery, deadline: Deadline | None) -> Leading:
        """Find the films that the words themselves point to: those that are named and what continues them, or those that hold the words."""
        intent = sentence.intent
        hurried = deadline is not None and deadline.remaining() < HURRY_S
        if sentence.named is not None:
            course = Course(named=sentence.named.title)
            if intent.similar:
                return Leading({}, course)
            films = {film.ref: film for film in sentence.namesakes if film.ref not in query.exclude}
            if hurried:
                return Leading(films, replace(course, hurried=True))
            found = await self._catalogue.search(
                SearchQuery(text=sentence.named.title, region=query.region, exclude=query.exclude, limit=HITS)
            )
            return Leading(films | {film.ref: film for film in found.films if in_names(sentence.named.title, film)}, course)
        if not intent.terms and not intent.topics:
            return Leading({}, Course())
        if hurried:
            return Leading({}, Course(hurried=True))
        about = replace(query, include_texts=tuple(" ".join(topic.words) for topic in intent.topics), limit=HITS)
        if intent.terms:
            found = await self._catalogue.search(replace(about, text=" ".join(intent.terms), order="relevance"))
            hits = [film for film in found.films if covers(film, intent)]
        else:
            hits = by_topic((await self._catalogue.search(about)).films, intent.topics)
        sought = tuple(filter(None, (" ".join(intent.terms), *(topic.name for topic in intent.topics))))
        return Leading({film.ref: film for film in hits}, Course(sought=sought, hits=len(hits)))
