"""The embedded recommender: films chosen from the catalogue alone, by what the sentence states.

It answers when no LLM server is configured, and in the model's place when that is slow, down or unreadable.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from opuscine.catalogue.search import SearchQuery, SearchResult
from opuscine.guard.deadline import Deadline
from opuscine.model import DegradedReason, Film, Match, MatchMethod, Recommendation, RecommendedFilm, Source, TitleRef
from opuscine.recommend.intent import Intent
from opuscine.recommend.sentence import SentenceReader
from opuscine.recommend.wish import Wish

HITS = 60  # text hits that come before the rest; more would push the well-loved films out of the first pages
CHOSEN = Match(MatchMethod.CATALOGUE, 1.0)


class SearchableCatalogue(Protocol):
    """What the recommender needs of the catalogue."""

    async def search(self, query: SearchQuery) -> SearchResult:
        """Search off the loop."""


class EmbeddedRecommender:
    """Choose films from the catalogue by the words of a sentence. Deterministic, so that pages follow each other without gaps."""

    def __init__(self, catalogue: SearchableCatalogue, sentences: SentenceReader) -> None:
        """Take the catalogue to choose from and the one who reads what is wished for."""
        self._catalogue = catalogue
        self._sentences = sentences

    async def recommend(
        self,
        wish: Wish,
        *,
        reason: DegradedReason | None = None,
        given: tuple[TitleRef, ...] = (),
        deadline: Deadline | None = None,  # noqa: ARG002  searches are short
    ) -> Recommendation:
        """Choose one page of films.

        What the sentence states holds for every film, unless nothing at all fits: then the least stated of it is given up, step
        by step, and the explanation says so. `given` are titles that the caller has been shown and that are not repeated.
        """
        begun = time.monotonic()
        sentence = self._sentences.read(wish.message)
        intent, named = sentence.intent, sentence.named
        start = max(0, (wish.page - 1) * wish.limit - len(given))
        if named is not None and intent.similar:
            intent = replace(intent, genre_ids=intent.genre_ids or named.genre_ids[:2])
            given, named = (*given, named.ref), None
        films, total, relaxed, unjudged = await self._page(intent, wish, start, given, named)
        return Recommendation(
            films=tuple(RecommendedFilm(film, CHOSEN) for film in films),
            total=total,
            source=Source.CATALOGUE,
            method="embedded",
            degraded_reason=reason,
            confidence=0.3 if relaxed or not (intent.understood or intent.terms) else 0.6,
            reasoning=_reasoning(intent, unjudged),
            explanation=_explanation(intent, reason=reason, relaxed=relaxed, found=bool(films)),
            intent_analysis=_analysis(intent),
            follow_up="장르, 연도, 국가나 OTT 이름을 함께 적어 주시면 더 알맞은 작품을 찾아 드릴 수 있습니다.",
            parameters=intent.parameters(),
            processing_ms=round((time.monotonic() - begun) * 1000),
        )

    async def _page(
        self, intent: Intent, wish: Wish, start: int, given: tuple[TitleRef, ...], first: Film | None
    ) -> tuple[list[Film], int, bool, int]:
        """Return a page, how many films there are in all, whether anything stated was given up, and how many could not be judged."""
        for step, query in enumerate(self._queries(intent, wish.region)):
            leading = await self._leading(intent, replace(query, exclude=given), first)
            rest = replace(
                query,
                exclude=(*given, *(film.ref for film in leading)),
                offset=max(0, start - len(leading)),
                limit=max(0, start + wish.limit - max(start, len(leading))) or 1,
            )
            found = await self._catalogue.search(rest)
            total = len(leading) + found.total
            if total:
                page = [*leading[start : start + wish.limit], *found.films]
                return page[: wish.limit], total, step > 0, found.unjudged
        return [], 0, False, 0

    async def _leading(self, intent: Intent, query: SearchQuery, first: Film | None) -> list[Film]:
        """Find the films that the words themselves point to: the named one, those that hold the terms, those that hold a mood's words."""
        searches = [" ".join(intent.terms)] if intent.terms else []
        if intent.order is None:
            searches.extend(intent.mood_words)
        hits: dict[TitleRef, Film] = {first.ref: first} if first is not None and first.ref not in query.exclude else {}
        for text in searches:
            found = await self._catalogue.search(replace(query, text=text, order="relevance", limit=HITS))
            hits |= {film.ref: film for film in found.films if film.ref not in hits}
        return list(hits.values())[:HITS]

    def _queries(self, intent: Intent, region: str) -> Iterator[SearchQuery]:
        """Yield what is searched for, from all that is stated down to nothing at all."""
        stated = SearchQuery(
            genre_ids=intent.genre_ids,
            all_genres=True,
            exclude_genre_ids=intent.excluded_genre_ids,
            year_from=intent.year_from,
            year_to=intent.year_to,
            countries=intent.countries,
            kind=intent.kind,
            provider_ids=intent.provider_ids,
            region=region,
            order=intent.order or "best",
        )
        if intent.moods and not intent.genre_ids:
            moody = tuple(dict.fromkeys(genre for mood in intent.moods for genre in mood.genres))
            yield replace(stated, genre_ids=moody, all_genres=False)
        yield stated
        yield replace(stated, all_genres=False)
        yield replace(stated, genre_ids=())
        yield replace(stated, genre_ids=(), exclude_genre_ids=(), provider_ids=())
        yield replace(stated, genre_ids=(), exclude_genre_ids=(), provider_ids=(), year_from=None, year_to=None)
        yield SearchQuery(region=region, order="best")


def _reasoning(intent: Intent, unjudged: int) -> str:
    found = f"catalogue search: {intent.parameters()}, words {len(intent.terms)}"
    return f"{found}; {unjudged} titles whose country is not known were kept" if unjudged else found


def _analysis(intent: Intent) -> str:
    return f"파악한 조건: {', '.join(intent.said)}" if intent.said else "뚜렷한 조건이 없는 요청으로 보았습니다."


def _explanation(intent: Intent, *, reason: DegradedReason | None, relaxed: bool, found: bool) -> str:
    opening = "지금은 추천 모델의 답을 받을 수 없어 " if reason else ""
    if not found:
        return f"{opening}카탈로그에서 더 보여 드릴 작품을 찾지 못했습니다."
    if relaxed:
        return f"{opening}말씀하신 조건에 모두 맞는 작품이 없어 가까운 작품을 카탈로그에서 골랐습니다."
    if intent.understood:
        return f"{opening}‘{', '.join(intent.said)}’에 맞는 작품을 카탈로그에서 골랐습니다."
    if intent.terms:
        return f"{opening}말씀하신 단어와 관련된 작품을 카탈로그에서 먼저 보여 드립니다."
    return f"{opening}많은 사람이 좋아한 작품을 카탈로그에서 골랐습니다."
