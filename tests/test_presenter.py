"""Answers are encoded under the contract and its limit, also when an earlier one is marked as such."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from opuscine.contract import ANSWER_LIMIT_BYTES, RecommendAnswer, fit
from opuscine.model import (
    DegradedReason,
    Film,
    Kind,
    Match,
    MatchMethod,
    OfferType,
    OttLink,
    Recommendation,
    RecommendedFilm,
    Source,
    TitleRef,
)
from opuscine.presenter import EARLIER, AnswerPresenter
from opuscine.recommend.wish import Wish

WISH = Wish("영화", page=1, limit=100, region="KR", caller="key:secret-caller", user="secret-user")
PRESENTER = AnswerPresenter(lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def found(films: int = 1, *, overview: str = "", explanation: str = "") -> Recommendation:
    items = tuple(
        RecommendedFilm(Film(TitleRef(Kind.MOVIE, number), f"영화 {number}", overview=overview), Match(MatchMethod.ID, 1.0))
        for number in range(1, films + 1)
    )
    return Recommendation(films=items, total=films, source=Source.CACHE, method="llm", explanation=explanation)


@pytest.mark.parametrize("explanation", ["", "조용한 작품입니다."])
def test_an_earlier_answer_is_the_same_but_for_what_says_so(explanation: str) -> None:
    body = PRESENTER.encode(WISH, found(explanation=explanation), elapsed_s=0.0)
    earlier = json.loads(PRESENTER.encode_earlier(body, DegradedReason.BREAKER_OPEN))
    RecommendAnswer.model_validate(earlier)
    assert earlier["query_info"].pop("recommendation_explanation") == " ".join(filter(None, (EARLIER, explanation)))
    assert (earlier["data"].pop("degraded"), earlier["data"].pop("degraded_reason")) == (True, "breaker_open")
    before = json.loads(body)
    del before["query_info"]["recommendation_explanation"], before["data"]["degraded"], before["data"]["degraded_reason"]
    assert earlier == before


def test_no_answer_becomes_too_large_by_being_marked() -> None:
    body = PRESENTER.encode(WISH, found(100, overview="가" * 499 + ".", explanation="나" * 1900), elapsed_s=0.0)
    for size in range(0, 200, 7):  # close under the limit
        answer = json.loads(body)
        answer["query_info"]["reasoning"] = "x" * (ANSWER_LIMIT_BYTES - len(body) - size)
        assert len(PRESENTER.encode_earlier(json.dumps(answer, ensure_ascii=False).encode(), DegradedReason.LLM_ERROR)) < ANSWER_LIMIT_BYTES


@pytest.mark.parametrize("size", [0, 1, 3, 100])
def test_an_answer_joined_from_parts_is_the_one_encoded_as_a_whole(size: int) -> None:
    """Shown once more it is the same, and a film that has changed in any way is shown as it is."""
    presenter = AnswerPresenter(lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    answer = found(size, overview='가/"\\' * 30, explanation='"movies":[]')
    link = OttLink("Netflix", 8, "/a.jpg", 1, "https://www.netflix.com/title/1", OfferType.FLATRATE, "KR")
    others = [
        answer,
        answer,
        replace(answer, films=tuple(replace(item, links=(link,)) for item in answer.films)),
        replace(answer, films=tuple(replace(item, match=Match(MatchMethod.TITLE, 0.6)) for item in answer.films)),
        replace(answer, films=tuple(replace(item, film=replace(item.film, vote_average=7.5)) for item in answer.films)),
    ]
    for other in others:
        assert presenter.encode(WISH, other, elapsed_s=0.12345) == fit(presenter.show(WISH, other, elapsed_s=0.12345))


def test_what_stands_before_the_films_is_that_of_each_answer() -> None:
    as_of = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    presenter = AnswerPresenter(lambda: as_of)
    for _ in range(2):
        for source, reason, region, rejected in product(Source, [None, *DegradedReason], ["KR", "US"], [0, 1, 20]):
            answer, wish = replace(found(), source=source, degraded_reason=reason, rejected=rejected), replace(WISH, region=region)
            assert presenter.encode(wish, answer, elapsed_s=0.1) == fit(presenter.show(wish, answer, elapsed_s=0.1))
        as_of = datetime(2026, 7, 8, tzinfo=UTC)


def test_who_asked_stands_in_no_answer() -> None:
    assert b"secret" not in PRESENTER.encode(WISH, found(), elapsed_s=0.0)
