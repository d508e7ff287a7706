"""The links of the real half-catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from opuscine.model import Kind, OttLink, TitleRef
from opuscine.providers.links import SHOWN_LINKS, links_from_json, links_to_json, read_links, select_links
from opuscine.providers.table import ProviderTable

TABLE = ProviderTable.load()

Title = tuple[TitleRef, dict[str, Any], tuple[OttLink, ...]]


@pytest.fixture(scope="module")
def titles(real_data: Path) -> list[Title]:
    """Give every title with its record and its links of every region."""

    def records() -> Iterator[tuple[Kind, dict[str, Any]]]:
        for kind, file, key in (
            (Kind.MOVIE, "tmdb_movies_hybrid_final.json", "movies"),
            (Kind.TV, "tmdb_tv_series_final.json", "tv_series"),
        ):
            for record in json.loads((real_data / "catalogue" / file).read_text())[key]:
                yield kind, record

    read = []
    for kind, record in records():
        ref = TitleRef(kind, record["tmdb_id"])
        links = read_links(record.get("ott_links"), record.get("ott_providers"), ref=ref, table=TABLE, region="KR")
        read.append((ref, record, links))
    assert len(read) > 1000
    return read


def raw_links(record: dict[str, Any]) -> list[str]:
    return record.get("ott_links") or []


def services(record: dict[str, Any], region: str) -> set[int]:
    """Return the providers that a record's rows name in a region, ad tiers as the provider they belong to."""
    numbers = {row["provider_id"] for row in record.get("ott_providers") or [] if row["region"] == region}
    return {TABLE.main(known).id if (known := TABLE.by_id(number)) else number for number in numbers}


def test_every_host_has_a_named_provider(titles: list[Title]) -> None:
    hosts = {urlsplit(link).hostname for _, record, _ in titles for link in raw_links(record)}
    assert len(hosts) >= 8
    assert all(link.provider_id and link.provider_name not in {"", "Unknown"} for _, _, links in titles for link in links)


def test_no_address_of_the_files_is_lost_and_no_redirector_is_handed_out(titles: list[Title]) -> None:
    for ref, record, links in titles:
        told = {link.link.partition("://")[2] for link in links}
        for raw in raw_links(record):
            assert "bn5x" in raw or raw.partition("://")[2] in told, (ref, raw)
        assert not any("bn5x" in link.link for link in links)
        assert sum("bn5x" in raw for raw in raw_links(record)) <= sum("disneyplus.com" in link.link for link in links)


def test_no_provider_is_shown_twice_and_at_most_eight_are(titles: list[Title]) -> None:
    for ref, _, links in titles:
        for region in ("KR", "US"):
            shown = select_links(links, region, table=TABLE)
            numbers = [link.provider_id for link in shown]
            assert len(numbers) == len(set(numbers)), ref
            assert len({link.provider_name for link in shown}) == len(shown), ref
            assert len(shown) <= SHOWN_LINKS


def test_no_provider_listed_only_in_the_us_is_shown_in_korea(titles: list[Title]) -> None:
    only_us = 0
    for ref, record, links in titles:
        foreign = services(record, "US") - services(record, "KR")
        only_us += bool(foreign)
        assert not foreign & {link.provider_id for link in select_links(links, "KR", table=TABLE)}, ref
    assert only_us > 100


def test_every_provider_listed_in_korea_is_shown_there(titles: list[Title]) -> None:
    for ref, record, links in titles:
        assert services(record, "KR") <= {link.provider_id for link in select_links(links, "KR", table=TABLE)}, ref


def test_netflix_with_ads_is_netflix(titles: list[Title]) -> None:
    assert any(row["provider_id"] == 1796 for _, record, _ in titles for row in record.get("ott_providers") or [])
    assert not any(link.provider_id in {1796, 2100} or "Ads" in link.provider_name for _, _, links in titles for link in links)


def test_the_korean_address_of_netflix_is_shown_where_there_are_two(titles: list[Title]) -> None:
    doubles = 0
    for ref, record, links in titles:
        korean = [raw for raw in raw_links(record) if "netflix.com/kr/" in raw.lower()]
        if korean and any("netflix.com/title/" in raw for raw in raw_links(record)):
            doubles += 1
            (shown,) = [link for link in select_links(links, "KR", table=TABLE) if link.provider_id == 8]
            assert shown.link in korean, ref
    assert doubles > 10


def test_a_wavve_address_is_shown_although_no_row_names_wavve(titles: list[Title]) -> None:
    unlisted = 0
    for ref, record, links in titles:
        wavve = [raw for raw in raw_links(record) if "wavve.com" in raw]
        if wavve and 356 not in services(record, "KR"):
            unlisted += 1
            (shown,) = [link for link in select_links(links, "KR", table=TABLE) if link.provider_id == 356]
            assert shown.link in wavve, ref
    assert unlisted > 400


def test_film_and_series_of_one_number_have_their_own_links(titles: list[Title]) -> None:
    by_ref = {ref: select_links(links, "KR", table=TABLE) for ref, _, links in titles}
    both = [ref.id for ref in by_ref if ref.kind is Kind.MOVIE and TitleRef(Kind.TV, ref.id) in by_ref]
    for number in both:
        film, series = by_ref[TitleRef(Kind.MOVIE, number)], by_ref[TitleRef(Kind.TV, number)]
        assert not {link.link for link in film} & {link.link for link in series}
    watch_pages = [
        {link.link for link in read_links(None, [{"provider_id": 8}], ref=TitleRef(kind, 615), table=TABLE, region="KR")} for kind in Kind
    ]
    assert not watch_pages[0] & watch_pages[1]


def test_the_links_can_be_stored(titles: list[Title]) -> None:
    for _, _, links in titles:
        assert links_from_json(links_to_json(links)) == links
