"""No page is asked for twice, none repeats another's film, and what is remembered is forgotten in time."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from opuscine.model import Film, Kind, Match, MatchMethod, Recommendation, RecommendedFilm, Source, TitleRef
from opuscine.recommend.pages import Pages, PageStore
from support.manual_clock import ManualClock

SAID = Recommendation(films=(), total=0, source=Source.LLM, method="llm")


def films(numbers: Iterable[int]) -> tuple[RecommendedFilm, ...]:
    """Make films with these ids."""
    return tuple(RecommendedFilm(Film(ref(n), f"Film {n}"), Match(MatchMethod.ID, 1.0)) for n in numbers)


def ref(number: int) -> TitleRef:
    """Name the film of a number."""
    return TitleRef(Kind.MOVIE, number)


def ids(found: Iterable[RecommendedFilm] | None) -> list[int] | None:
    """Return the ids of films."""
    return None if found is None else [item.film.ref.id for item in found]


def test_a_page_is_what_the_model_gave_for_it_each_film_once() -> None:
    pages = Pages(10)
    assert ids(pages.add(1, films([1, 2, 2, 3]))) == [1, 2, 3]
    assert pages.ready(2) is None


def test_a_page_does_not_repeat_the_films_of_others() -> None:
    pages = Pages(3)
    pages.add(1, films([1, 2, 3]))
    assert ids(pages.add(2, films([3, 4, 1, 5]))) == [4, 5]
    assert pages.elsewhere(2) == {ref(1): "Film 1", ref(2): "Film 2", ref(3): "Film 3"}


def test_what_a_page_has_no_room_for_begins_the_next() -> None:
    pages = Pages(2)
    assert ids(pages.add(1, films([1, 2, 3, 4, 5]))) == [1, 2]
    assert ids(pages.ready(2)) == [3, 4]
    assert pages.ready(3) is None  # one film is left, which does not fill it
    assert ids(pages.add(3, films([1, 6, 7]))) == [5, 6]


def test_pages_may_be_asked_for_in_any_order() -> None:
    pages = Pages(2)
    assert ids(pages.add(5, films([9, 10]))) == [9, 10]
    assert ids(pages.add(1, films([1, 9, 2]))) == [1, 2]
    assert pages.ready(3) is None


def test_a_page_that_is_asked_for_anew_takes_the_place_of_the_old_one() -> None:
    pages = Pages(2)
    pages.add(1, films([1, 2]))
    pages.add(2, films([3, 4]))
    assert ids(pages.add(1, films([2, 3, 5]))) == [2, 5]
    assert list(pages.elsewhere(3)) == [ref(2), ref(5), ref(3), ref(4)]


def test_beyond_the_last_page_there_is_nothing_and_nobody_is_asked() -> None:
    pages = Pages(2, last=2)
    pages.add(1, films([1, 2]))
    assert pages.ready(2) is None
    assert pages.ready(3) == ()


def test_what_others_gave_is_not_repeated_and_does_not_change_what_is_known() -> None:
    pages = Pages(2)
    pages.add(2, films([3, 4]))
    pages.learn({1: {ref(1): "One"}, 2: {ref(9): "Nine"}})
    assert pages.elsewhere(3) == {ref(1): "One", ref(3): "Film 3", ref(4): "Film 4"}
    assert ids(pages.add(3, films([1, 5, 9]))) == [5, 9]


def test_a_page_is_shown_with_all_films_known_and_where_it_comes_from() -> None:
    pages = Pages(2, said=SAID, total=100)
    page = pages.add(1, films([1, 2, 3]))
    assert pages.show(page, source=Source.LLM).total == 100
    assert pages.show(page, source=Source.CACHE).source is Source.CACHE
    pages.total = 0
    assert pages.show(page, source=Source.LLM).total == 3
    with pytest.raises(ValueError, match="nothing was said"):
        Pages(2).show((), source=Source.LLM)


def test_pages_are_forgotten_after_their_time_counted_from_the_first() -> None:
    clock = ManualClock()
    store = PageStore(ttl_s=10, clock=clock)
    pages = Pages(2)
    store.keep("wish", pages)
    clock.advance(9)
    store.keep("wish", pages)
    assert store.get("wish") is pages
    clock.advance(1)
    assert store.get("wish") is None
    assert len(store) == 0


def test_new_pages_of_a_wish_begin_a_new_time() -> None:
    clock = ManualClock()
    store = PageStore(ttl_s=10, clock=clock)
    store.keep("wish", Pages(2))
    clock.advance(9)
    anew = Pages(2)
    store.keep("wish", anew)
    clock.advance(9)
    assert store.get("wish") is anew


def test_the_wish_asked_for_least_recently_goes_first_when_there_are_too_many_films() -> None:
    store = PageStore(ttl_s=10, clock=ManualClock(), max_films=5)
    for name in ("a", "b"):
        pages = Pages(10)
        pages.add(1, films(range(2)))
        store.keep(name, pages)
    assert store.get("a") is not None
    pages = Pages(10)
    pages.add(1, films(range(2)))
    store.keep("c", pages)
    assert store.get("b") is None
    assert store.get("a") is not None
    assert store.get("c") is not None


def test_zero_seconds_keep_nothing() -> None:
    store = PageStore(ttl_s=0, clock=ManualClock())
    store.keep("wish", Pages(2))
    assert store.get("wish") is None
