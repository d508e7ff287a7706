"""A film that contradicts what the sentence states is dropped; what is not known of it drops nothing."""

from __future__ import annotations

from typing import Any

import pytest

from opuscine.model import Film, Kind, Match, MatchMethod, OfferType, OttLink, RecommendedFilm, TitleRef
from opuscine.recommend.constraints import broken_constraint, constrain, streams_at
from opuscine.recommend.intent import Intent

ACTION, DRAMA, HORROR, TV_ACTION = 28, 18, 27, 10759


def film(kind: Kind = Kind.MOVIE, **facts: Any) -> Film:
    """Make a film of which everything is known, but for what is said."""
    known: dict[str, Any] = {"release_date": "2019-05-30", "countries": ("KR",), "genre_ids": (ACTION, DRAMA)}
    return Film(TitleRef(kind, 1), "제목", **(known | facts))


@pytest.mark.parametrize(
    ("intent", "broken"),
    [
        (Intent(), ""),
        (Intent(kind=Kind.MOVIE, year_from=2019, year_to=2019, countries=("KR", "JP"), genre_ids=(ACTION, DRAMA)), ""),
        (Intent(kind=Kind.TV), "kind"),
        (Intent(year_from=2020), "year"),
        (Intent(year_to=2018), "year"),
        (Intent(countries=("US",)), "country"),
        (Intent(genre_ids=(ACTION, HORROR)), "genre"),
        (Intent(unwanted_genre_ids=(DRAMA,)), "genre"),
        (Intent(excluded_genre_ids=(DRAMA,)), ""),
    ],
)
def test_a_film_is_held_to_what_is_stated(intent: Intent, broken: str) -> None:
    assert broken_constraint(film(), intent) == broken


def test_what_is_not_known_speaks_against_nothing() -> None:
    stated = Intent(year_from=1990, year_to=1999, countries=("US",), genre_ids=(HORROR,))
    assert broken_constraint(film(release_date="", countries=(), genre_ids=()), stated) == ""


def test_a_series_genre_that_means_the_same_counts() -> None:
    assert broken_constraint(film(Kind.TV, genre_ids=(TV_ACTION,)), Intent(genre_ids=(ACTION,))) == ""


def test_what_was_dropped_is_counted_by_constraint() -> None:
    items = [RecommendedFilm(film(**facts), Match(MatchMethod.ID, 1.0)) for facts in ({}, {"release_date": "1999"}, {"countries": ("US",)})]
    constrained = constrain(items, Intent(year_from=2019, countries=("KR",)))
    assert constrained.films == (items[0],)
    assert constrained.dropped == {"year": 1, "country": 1}


def test_a_film_streams_at_a_provider_that_its_links_name() -> None:
    link = OttLink("Netflix", 8, "", 1, "https://example.org", OfferType.FLATRATE, "KR")
    item = RecommendedFilm(film(), Match(MatchMethod.ID, 1.0), links=(link,))
    assert streams_at(item, (8, 97))
    assert not streams_at(item, (97,))
    assert streams_at(item, ())
