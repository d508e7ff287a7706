"""What is remembered as missing, and when it is forgotten."""

from __future__ import annotations

from opuscine.model import Kind, TitleRef
from opuscine.ott.misses import Misses
from support.manual_clock import ManualClock

FILM = TitleRef(Kind.MOVIE, 615)
SERIES = TitleRef(Kind.TV, 615)


def test_a_miss_is_of_one_title_and_region_and_forgotten_in_time() -> None:
    clock = ManualClock()
    misses = Misses(ttl_s=300, clock=clock)
    misses.add(FILM, "KR")
    assert misses.has(FILM, "KR")
    assert not misses.has(FILM, "US")
    assert not misses.has(SERIES, "KR")
    clock.advance(299.9)
    assert misses.has(FILM, "KR")
    clock.advance(0.1)
    assert not misses.has(FILM, "KR")


def test_a_miss_met_again_lives_anew() -> None:
    clock = ManualClock()
    misses = Misses(ttl_s=300, clock=clock)
    misses.add(FILM, "KR")
    clock.advance(200)
    misses.add(FILM, "KR")
    clock.advance(200)
    assert misses.has(FILM, "KR")
    assert len(misses) == 1


def test_a_lifetime_of_zero_remembers_nothing() -> None:
    misses = Misses(ttl_s=0)
    misses.add(FILM, "KR")
    assert (misses.has(FILM, "KR"), len(misses)) == (False, 0)


def test_beyond_the_maximum_the_oldest_go() -> None:
    misses = Misses(ttl_s=300, maximum=10, clock=ManualClock())
    for number in range(25):
        misses.add(TitleRef(Kind.MOVIE, number), "KR")
    assert [number for number in range(25) if misses.has(TitleRef(Kind.MOVIE, number), "KR")] == list(range(15, 25))
    assert len(misses) == 10


def test_what_is_past_does_not_stay_in_memory() -> None:
    clock = ManualClock()
    misses = Misses(ttl_s=300, clock=clock)
    for number in range(100):
        misses.add(TitleRef(Kind.MOVIE, number), "KR")
    clock.advance(301)
    for number in range(100, 150):
        misses.add(TitleRef(Kind.MOVIE, number), "KR")
    assert len(misses) == 50


def test_a_miss_met_again_is_no_longer_among_the_oldest() -> None:
    misses = Misses(ttl_s=300, maximum=2, clock=ManualClock())
    for ref in (FILM, SERIES, FILM, TitleRef(Kind.MOVIE, 1)):
        misses.add(ref, "KR")
    assert (misses.has(FILM, "KR"), misses.has(SERIES, "KR")) == (True, False)
