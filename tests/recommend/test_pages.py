"""Page N is a slice of one list, no page repeats another's film, and lists are forgotten in time."""

from __future__ import annotations

from collections.abc import Iterable

from opuscine.model import Film, Kind, Match, MatchMethod, Recommendation, RecommendedFilm, Source, TitleRef
from opuscine.recommend.pages import FilmList, FilmLists, page_of
from support.manual_clock import ManualClock

SAID = Recommendation(films=(), total=0, source=Source.LLM, method="llm")


def films(numbers: Iterable[int]) -> list[RecommendedFilm]:
    """Make films with these ids."""
    return [RecommendedFilm(Film(TitleRef(Kind.MOVIE, n), f"Film {n}"), Match(MatchMethod.ID, 1.0)) for n in numbers]


def ids(found: Iterable[RecommendedFilm]) -> list[int]:
    """Return the ids of films."""
    return [item.film.ref.id for item in found]


def test_a_film_is_added_once() -> None:
    kept = FilmList()
    assert kept.add(films([1, 2, 2, 3])) == 3
    assert kept.add(films([3, 4])) == 1
    assert ids(kept.films) == [1, 2, 3, 4]


def test_pages_follow_each_other_without_a_gap_even_where_one_is_short() -> None:
    kept = FilmList()
    kept.add(films(range(8)))  # the model was asked for 10 and two could not be grounded
    assert ids(kept.slice(1, 10)) == list(range(8))
    assert not kept.has(2, 10)
    kept.add(films(range(8, 18)))
    assert ids(kept.slice(2, 10)) == list(range(8, 18))
    assert ids(kept.slice(1, 10)) == list(range(8))


def test_a_page_is_there_when_the_list_reaches_it_or_the_model_has_no_more() -> None:
    kept = FilmList()
    kept.add(films(range(30)))
    assert kept.has(1, 20)
    assert not kept.has(2, 20)
    kept.exhausted = True
    assert kept.has(2, 20)
    assert ids(kept.slice(2, 20)) == list(range(20, 30))


def test_a_list_may_begin_with_a_later_page() -> None:
    kept = FilmList(base=40)
    kept.add(films(range(20)))
    assert kept.has(3, 20)
    assert ids(kept.slice(3, 20)) == list(range(20))


def test_a_slice_counts_all_films_known_and_says_whether_it_is_remembered() -> None:
    kept = FilmList(total=100, last=SAID)
    kept.add(films(range(5)))
    assert page_of(kept, 1, 5, cached=False).total == 100
    assert page_of(kept, 1, 5, cached=True).source is Source.CACHE


def test_lists_are_forgotten_after_their_time_counted_from_the_first_page() -> None:
    clock = ManualClock()
    lists = FilmLists(ttl_s=10, clock=clock)
    kept = FilmList()
    lists.keep("wish", kept)
    clock.advance(9)
    lists.keep("wish", kept)
    assert lists.get("wish") is kept
    clock.advance(1)
    assert lists.get("wish") is None
    assert len(lists) == 0


def test_the_list_used_least_recently_goes_first() -> None:
    lists = FilmLists(ttl_s=10, clock=ManualClock(), capacity=2)
    for name in ("a", "b"):
        lists.keep(name, FilmList())
    assert lists.get("a") is not None
    lists.keep("c", FilmList())
    assert lists.get("b") is None
    assert lists.get("a") is not None


def test_zero_seconds_keep_nothing() -> None:
    lists = FilmLists(ttl_s=0, clock=ManualClock())
    lists.keep("wish", FilmList())
    assert lists.get("wish") is None
