"""The domain model's own words."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from opuscine.model import DegradedReason, Film, Kind, Match, MatchMethod, Recommendation, RecommendedFilm, Source, TitleRef

FILMS = (RecommendedFilm(Film(TitleRef(Kind.MOVIE, 1), "코코"), Match(MatchMethod.ID, 0.95)),)
SAID = Recommendation(
    films=(),
    total=1,
    source=Source.LLM,
    method="llm",
    degraded_reason=DegradedReason.LLM_EMPTY,
    rejected=2,
    confidence=0.5,
    reasoning="까닭",
    explanation="설명",
    intent_analysis="뜻",
    follow_up="다음",
    parameters={"a": 1},
    conversation={"b": 2},
    processing_ms=3,
)


@pytest.mark.parametrize("more", [{}, {"total": 0}, {"total": 7, "source": Source.CACHE}])
def test_a_recommendation_of_other_films_is_the_same_in_all_else(more: dict[str, object]) -> None:
    values = [getattr(SAID, field.name) for field in fields(Recommendation)]
    assert len(set(map(repr, values))) == len(values)  # no two of its fields could change places unseen
    assert SAID.of_films(FILMS, **more) == replace(SAID, films=FILMS, **more)  # type: ignore[arg-type]
