"""What a viewer in one region is shown of a title's links."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from opuscine.model import OfferType, OttLink
from opuscine.providers.links import select_links
from opuscine.providers.table import ProviderTable

TABLE = ProviderTable.load()

NETFLIX = OttLink("Netflix", 8, "", 1, "https://www.netflix.com/title/1", OfferType.FLATRATE, "KR")
NETFLIX_KR = replace(NETFLIX, link="https://www.netflix.com/kr/title/1")
NETFLIX_ADS = replace(NETFLIX, provider_name="Netflix Standard with Ads", provider_id=1796, logo_path="/ads.jpg")
WATCHA = OttLink("Watcha", 97, "", 4, "https://watcha.com/contents/1", OfferType.FLATRATE, "KR")
PAGE = "https://www.themoviedb.org/movie/1/watch?locale=KR"


def select(*links: OttLink, region: str = "KR", limit: int = 8) -> list[OttLink]:
    return select_links(links, region, limit, table=TABLE)


def test_only_the_wanted_region_is_shown() -> None:
    us = replace(NETFLIX, region="US")
    assert select(us, WATCHA) == [WATCHA]
    assert select(us, WATCHA, region="us") == [us]
    assert select(us, WATCHA, region="JP") == []
    assert select(us, WATCHA, region="") == []


def test_links_are_ordered_by_display_priority_then_type_then_name() -> None:
    rent = replace(WATCHA, provider_id=3, provider_name="Google Play Movies", type=OfferType.RENT)
    other = replace(WATCHA, provider_id=11, provider_name="MUBI")
    assert select(rent, WATCHA, other, NETFLIX) == [NETFLIX, other, WATCHA, rent]


def test_at_most_so_many_are_shown_the_first_by_priority() -> None:
    many = [replace(WATCHA, provider_id=10_000 + n, provider_name=f"P{n}", display_priority=20 - n) for n in range(12)]
    assert [link.display_priority for link in select(*many)] == list(range(9, 17))
    assert len(select(*many, limit=3)) == 3
    assert select(*many, limit=0) == select(*many, limit=-1) == []


def test_the_regional_address_wins_in_either_order() -> None:
    assert select(NETFLIX, NETFLIX_KR) == select(NETFLIX_KR, NETFLIX) == [NETFLIX_KR]


def test_an_address_for_another_region_does_not_win() -> None:
    german = replace(NETFLIX, link="https://www.netflix.com/de/title/1")
    assert select(NETFLIX, german) == [NETFLIX]


def test_https_wins_over_http_where_nothing_else_differs() -> None:
    http = replace(NETFLIX, link="http://www.netflix.com/WiMovie/1")
    assert select(http, NETFLIX) == select(NETFLIX, http) == [NETFLIX]


def test_the_best_type_is_shown_with_the_best_address() -> None:
    rent = replace(WATCHA, type=OfferType.RENT, link="https://watcha.com/contents/rent")
    assert select(rent, WATCHA) == [WATCHA]
    page = replace(WATCHA, link=PAGE)
    assert select(rent, page) == [replace(rent, type=OfferType.FLATRATE)]


def test_a_watch_page_is_shown_only_where_there_is_no_address() -> None:
    page = replace(WATCHA, link=PAGE)
    assert select(page, WATCHA) == [WATCHA]
    assert select(page) == [page]
    rent, neutral_page = replace(NETFLIX, type=OfferType.RENT), replace(NETFLIX, link=PAGE)
    assert select(neutral_page, rent) == [NETFLIX]


def test_logo_and_priority_come_from_whichever_entry_has_them() -> None:
    page = replace(WATCHA, link=PAGE, logo_path="/w.jpg", display_priority=2)
    assert select(WATCHA, page) == [replace(WATCHA, logo_path="/w.jpg", display_priority=2)]


def test_an_ad_tier_folds_into_its_provider() -> None:
    assert select(NETFLIX_ADS, NETFLIX) == select(NETFLIX, NETFLIX_ADS) == [NETFLIX]
    assert select(NETFLIX_ADS) == [NETFLIX]
    assert select(replace(NETFLIX_ADS, provider_id=0)) == [NETFLIX]


def test_an_ad_tier_takes_the_number_of_its_region() -> None:
    ads = OttLink("Amazon Prime Video with Ads", 2100, "", 8, "https://www.amazon.com/dp/1", OfferType.FLATRATE, "US")
    amazon = replace(ads, provider_name="Amazon Prime Video", provider_id=9)
    assert select(ads, region="US") == [amazon]
    assert select(ads, replace(amazon, link="https://www.primevideo.com/1"), region="US") == [amazon]


def test_two_numbers_of_one_service_are_one_provider() -> None:
    amazon = OttLink("Amazon Prime Video", 119, "", 8, "https://www.amazon.com/dp/1", OfferType.FLATRATE, "KR")
    assert select(amazon, replace(amazon, provider_id=9)) == [amazon]


def test_a_provider_is_known_by_its_name_where_it_has_no_number() -> None:
    assert select(NETFLIX, replace(NETFLIX, provider_id=0, provider_name="넷플릭스")) == [NETFLIX]


def test_providers_without_a_number_are_told_apart_by_name() -> None:
    first = replace(WATCHA, provider_id=0, provider_name="Local Stream")
    assert select(first, replace(first, provider_name="LOCAL STREAM"), replace(first, provider_name="Other")) == [
        first,
        replace(first, provider_name="Other"),
    ]


def test_unknown_providers_are_told_apart_by_host() -> None:
    first = replace(WATCHA, provider_id=0, provider_name="Unknown", link="https://a.example/1")
    other = replace(first, link="https://b.example/1")
    assert select(first, other, replace(first, link="https://a.example/2")) == [first, other]


def test_an_address_that_cannot_be_read_is_last_among_its_providers() -> None:
    odd = replace(NETFLIX, link="nflx://1")
    assert select(odd, NETFLIX) == [NETFLIX]
    unknown = replace(odd, provider_id=0, provider_name="Unknown")
    assert select(unknown, unknown) == [unknown]


LINKS = st.builds(
    OttLink,
    provider_name=st.sampled_from(["Netflix", "Netflix Standard with Ads", "Watcha", "Unknown", "Local Stream"]),
    provider_id=st.sampled_from([0, 8, 1796, 97, 119, 9, 2100, 777]),
    logo_path=st.sampled_from(["", "/a.jpg"]),
    display_priority=st.integers(1, 30),
    link=st.sampled_from([NETFLIX.link, NETFLIX_KR.link, WATCHA.link, PAGE, "http://a.example/1", "https://b.example/1"]),
    type=st.sampled_from(OfferType),
    region=st.sampled_from(["KR", "US"]),
)


@given(st.lists(LINKS, max_size=20))
def test_no_provider_is_ever_shown_twice_and_choosing_again_changes_nothing(links: list[OttLink]) -> None:
    shown = select(*links)
    known = [TABLE.by_id(link.provider_id) for link in shown if link.provider_id]
    services = [TABLE.main(provider).id for provider in known if provider]
    assert len(services) == len(set(services))
    assert not {1796, 2100} & {link.provider_id for link in shown}
    assert select(*shown) == shown
    assert bool(shown) == any(link.region == "KR" for link in links)
