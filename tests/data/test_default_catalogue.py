"""The packaged catalogue holds facts, enough of them, and none that contradicts the real data."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from opuscine.catalogue.genres import genre_id
from opuscine.model import Kind, TitleRef
from opuscine.packaged import packaged_file
from opuscine.providers.links import read_links
from opuscine.providers.table import ProviderTable

FILES = {
    "movies": ("default_movies.json", "catalogue/tmdb_movies_hybrid_final.json", "title", "release_date", 120),
    "tv_series": ("default_series.json", "catalogue/tmdb_tv_series_final.json", "name", "first_air_date", 30),
}
SHARED_RUN = 15  # characters in a row that no description shares with the real data's


def records(path: Path, member: str) -> list[dict[str, Any]]:
    """Read the records of a file."""
    found: list[dict[str, Any]] = json.loads(path.read_text())[member]
    return found


@pytest.mark.parametrize("member", FILES)
def test_there_are_enough_titles_with_every_fact(member: str) -> None:
    file, _, title, released, least = FILES[member]
    found = records(packaged_file(file), member)
    assert len(found) >= least
    assert len({record["tmdb_id"] for record in found}) == len(found)
    for record in found:
        assert record[title]
        assert record[f"original_{title}"]
        assert date.fromisoformat(record[released]).year > 1900
        assert record["origin_country"]
        assert all(genre_id(name) for name in record["genres"])
        assert 10 <= len(record["overview"]) <= 160
        assert all(provider["region"] == "KR" for provider in record["ott_providers"])


@pytest.mark.parametrize("member", FILES)
def test_every_address_is_of_a_provider_that_we_know(member: str) -> None:
    table = ProviderTable.load()
    kind = Kind.MOVIE if member == "movies" else Kind.TV
    for record in records(packaged_file(FILES[member][0]), member):
        links = read_links(record["ott_links"], record["ott_providers"], ref=TitleRef(kind, record["tmdb_id"]), table=table, region="KR")
        assert all(link.provider_id and link.link.startswith("https://") for link in links), record["tmdb_id"]
        assert bool(links) == bool(record["ott_links"] or record["ott_providers"])


@pytest.mark.parametrize("member", FILES)
def test_facts_agree_with_the_real_data_and_descriptions_are_our_own(member: str, real_data: Path) -> None:
    file, reference, title, released, _ = FILES[member]
    real = {record["tmdb_id"]: record for record in records(real_data / reference, member)}
    both = [(record, real[record["tmdb_id"]]) for record in records(packaged_file(file), member) if record["tmdb_id"] in real]
    assert len(both) > 50
    for ours, theirs in both:
        assert (ours[title], ours[released], ours["genres"]) == (theirs[title], theirs[released], theirs["genres"])
        assert provider_ids(ours) <= provider_ids(theirs)
        runs = runs_of(theirs["overview"])
        assert not runs & runs_of(ours["overview"])


def provider_ids(record: dict[str, Any]) -> set[int]:
    """Return the numbers of a record's providers."""
    return {provider["provider_id"] for provider in record["ott_providers"]}


def runs_of(text: str) -> set[str]:
    """Return every run of characters that is long enough to be a copy."""
    return {text[start : start + SHARED_RUN] for start in range(len(text) - SHARED_RUN + 1)}
