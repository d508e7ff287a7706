"""What a wish becomes, and how titles are ordered; without a catalogue."""

from __future__ import annotations

from datetime import date

import pytest

from opuscine.catalogue.search import Candidate, Fit, Order, SearchQuery, WeighedTerm, blend, filters, fit, ordered, weight
from opuscine.catalogue.tokens import terms

TODAY = date(2026, 1, 1)


def weighed(text: str) -> list[WeighedTerm]:
    return [WeighedTerm(term, 1.0) for term in terms(text, 12)]


def candidate(place: int, *, fits: bool = True, exact: int | None = None, coverage: float = 1.0, relevance: float = 1.0) -> Candidate:
    return Candidate(place, fits, exact, Fit(coverage, relevance), score=10.0 - place, release_date=f"20{place:02}")


def places(order: Order, *candidates: Candidate) -> list[int]:
    return [kept.place for kept in ordered(candidates, order, all_titles=100)]


def test_a_wish_for_nothing_allows_everything() -> None:
    fits, may_fit = filters(SearchQuery(), TODAY)
    assert (fits.sql, fits.values, may_fit) == ("1", (), None)


def test_what_needs_no_knowledge_leaves_nothing_unjudged() -> None:
    assert filters(SearchQuery(exclude_genre_ids=(28,), provider_ids=(8,), order="newest"), TODAY)[1] is None


@pytest.mark.parametrize("query", [SearchQuery(genre_ids=(28,)), SearchQuery(year_to=1999), SearchQuery(countries=("KR",))])
def test_what_needs_knowledge_may_be_unjudged(query: SearchQuery) -> None:
    assert filters(query, TODAY)[1] is not None


def test_a_word_in_a_name_tells_more_than_one_in_the_overview() -> None:
    names, nothing = fit(weighed("좀비"), ["좀비 특급열차"], ""), fit(weighed("좀비"), ["기차"], "")
    overview = fit(weighed("좀비"), ["기차"], "좀비가 나타난다")
    assert names.relevance > overview.relevance > nothing.relevance == 0.0
    assert names.coverage == overview.coverage == 1.0


def test_the_beginning_of_a_word_tells_more_than_its_inside() -> None:
    assert fit(weighed("포터"), ["포터스"], "").relevance > fit(weighed("포터"), ["해포터"], "").relevance


def test_one_syllable_inside_another_word_hardly_counts() -> None:
    assert fit(weighed("비"), ["제목"], "비가 온다").relevance > fit(weighed("비"), ["준비"], "비밀").relevance > 0.0
    assert fit(weighed("비"), [], "비밀").coverage == 0.0


def test_a_name_is_found_without_its_spaces() -> None:
    assert fit(weighed("해리포터"), ["해리 포터와 돌"], "").coverage == 1.0


def test_no_words_fit_nothing() -> None:
    assert fit([], ["제목"], "") == Fit(0.0, 0.0)


def test_rare_words_weigh_more() -> None:
    assert weight(0, 1000) > weight(10, 1000) > weight(1000, 1000) > 0.0


def test_among_equal_fits_the_more_popular_comes_first_and_a_far_better_fit_comes_before_it() -> None:
    assert blend(1.0, 1, 1) == 1.0
    assert blend(0.5, 1, 100) > blend(0.5, 2, 100) > blend(0.5, 100, 100)
    assert blend(1.0, 100, 100) > blend(0.5, 1, 100)


def test_titles_of_exactly_that_name_come_first_by_role() -> None:
    assert places("relevance", candidate(1), candidate(5, exact=2), candidate(9, exact=0), candidate(7, exact=1)) == [9, 7, 5, 1]


def test_what_is_known_to_fit_comes_first_in_every_order() -> None:
    for order in ("relevance", "best", "newest", "popular"):
        assert places(order, candidate(1, fits=False, exact=0), candidate(90))[0] == 90


def test_what_covers_little_of_the_words_is_left_out_unless_it_is_called_so() -> None:
    assert places("relevance", candidate(1, coverage=0.8), candidate(2, coverage=0.3), candidate(3, coverage=0.0, exact=0)) == [3, 1]


def test_orders() -> None:
    three = candidate(3), candidate(1), candidate(2)
    assert places("popular", *three) == [1, 2, 3]
    assert places("best", *three) == [1, 2, 3]
    assert places("newest", *three) == [3, 2, 1]
    assert places("relevance") == []
