"""Raw statements about where a title streams, read into links of every region."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.model import Kind, OfferType, OttLink, TitleRef
from opuscine.providers.address import Address
from opuscine.providers.links import links_from_json, links_to_json, read_links, select_links
from opuscine.providers.table import ProviderTable

TABLE = ProviderTable.load()
FILM = TitleRef(Kind.MOVIE, 615)
SERIES = TitleRef(Kind.TV, 615)
PAGE_KR = "https://www.themoviedb.org/movie/615/watch?locale=KR"
PAGE_US = "https://www.themoviedb.org/movie/615/watch?locale=US"

NETFLIX = "https://www.netflix.com/title/81774713"
NETFLIX_KR = "https://www.netflix.com/kr/title/81774713"
AMAZON = "https://www.amazon.com/salp/challengers"
WAVVE = "https://www.wavve.com/player/movie?movieid=MV_CA01_DY0000011628"


def read(links: Any, providers: Any = None, *, ref: TitleRef = FILM, region: str = "KR") -> tuple[OttLink, ...]:
    return read_links(links, providers, ref=ref, table=TABLE, region=region)


def row(number: int, name: str, region: str = "KR", **more: Any) -> dict[str, Any]:
    return {"provider_name": name, "provider_id": number, "type": "streaming", "region": region, **more}


def brief(links: tuple[OttLink, ...]) -> list[tuple[str, str, str]]:
    return [(link.provider_name, link.region, link.link) for link in links]


@pytest.mark.parametrize(
    ("link", "name", "number"),
    [
        (NETFLIX_KR, "Netflix", 8),
        ("http://www.netflix.com/WiMovie/80018988", "Netflix", 8),
        (WAVVE, "wavve", 356),
        ("https://watcha.com/contents/mdEwlmW", "Watcha", 97),
        ("https://www.disneyplus.com/ko-kr/movies/x/pa71", "Disney Plus", 337),
        (AMAZON, "Amazon Prime Video", 119),
        ("https://tv.apple.com/kr/movie/x/umc.1", "Apple TV+", 350),
        ("http://program.tving.com/tvn/snl", "TVING", 1883),
        ("https://www.coupangplay.com/content/1", "Coupang Play", 1881),
    ],
)
def test_a_bare_address_is_its_hosts_providers(link: str, name: str, number: int) -> None:
    (found,) = read([link])
    assert (found.provider_name, found.provider_id, found.link, found.region) == (name, number, link, "KR")
    assert found.display_priority >= 1
    assert found.type is OfferType.FLATRATE


def test_a_bare_address_of_a_store_is_no_subscription() -> None:
    (found,) = read(["https://play.google.com/store/movies/details?id=x"])
    assert (found.provider_id, found.type) == (3, OfferType.RENT)


def test_an_unknown_host_is_unknown_in_the_default_region() -> None:
    (found,) = read(["https://www.example.com/kr/1"], region="JP")
    assert (found.provider_name, found.provider_id, found.region, found.logo_path) == ("Unknown", 0, "JP", "")


def test_the_address_inside_a_redirector_is_handed_out() -> None:
    redirector = "https://disneyplus.bn5x.net/c/1206980/705874/9358?u=https%3A%2F%2Fwww.disneyplus.com%2Fmovies%2Fmoana-2%2F63iJ&subId3=x"
    assert brief(read([redirector])) == [("Disney Plus", "KR", "https://www.disneyplus.com/movies/moana-2/63iJ")]


def test_a_redirector_into_something_that_is_no_address_gives_nothing() -> None:
    assert read(["https://disneyplus.bn5x.net/c/1?u=javascript%3Aalert(1)"]) == ()


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "ftp://www.netflix.com/1", "https://user:secret@www.netflix.com/1", "넷플릭스", ""]
)
def test_only_http_and_https_pass(link: str) -> None:
    assert read([link]) == ()
    assert read([{"link": link}]) == ()


def test_a_providers_dict_whose_address_must_not_pass_still_says_who_streams() -> None:
    assert brief(read([row(8, "Netflix", link="nflx://title/1")])) == [("Netflix", "KR", PAGE_KR)]


class TestRegionByEvidence:
    """Whose region an address is, as the module describes it."""

    def test_a_neutral_address_without_rows_is_the_default_regions(self) -> None:
        assert [link.region for link in read([NETFLIX], region="JP")] == ["JP"]

    def test_a_regional_address_is_its_own_regions_whatever_the_default(self) -> None:
        assert [link.region for link in read([NETFLIX_KR], region="US")] == ["KR"]
        assert [link.region for link in read([WAVVE], region="US")] == ["KR"]

    def test_an_address_of_a_provider_listed_only_elsewhere_is_theirs(self) -> None:
        rows = [row(9, "Amazon Prime Video", "US"), row(2100, "Amazon Prime Video with Ads", "US")]
        (found,) = read([AMAZON], rows)
        assert (found.provider_name, found.provider_id, found.region, found.link) == ("Amazon Prime Video", 9, "US", AMAZON)

    def test_being_listed_as_an_ad_tier_is_evidence_too(self) -> None:
        assert [link.region for link in read([AMAZON], [row(2100, "Amazon Prime Video with Ads", "US")])] == ["US"]

    def test_a_neutral_address_listed_here_and_elsewhere_is_both_regions(self) -> None:
        found = read([NETFLIX], [row(8, "Netflix", "US"), row(8, "Netflix", "KR")])
        assert sorted(brief(found)) == [("Netflix", "KR", NETFLIX), ("Netflix", "US", NETFLIX)]

    def test_rows_of_others_are_no_evidence_against_an_address(self) -> None:
        found = read([WAVVE, NETFLIX], [row(97, "Watcha"), row(15, "Hulu", "US")])
        assert ("wavve", "KR", WAVVE) in brief(found)
        assert ("Netflix", "KR", NETFLIX) in brief(found)

    def test_an_address_for_another_country_leaves_the_watch_page_here(self) -> None:
        turkish = "https://www.disneyplus.com/tr-tr/series/x/7h5o"
        assert brief(read([turkish], [row(337, "Disney Plus")])) == [("Disney Plus", "TR", turkish), ("Disney Plus", "KR", PAGE_KR)]

    def test_a_stated_region_beats_the_address(self) -> None:
        assert [link.region for link in read([row(8, "Netflix", "JP", link=NETFLIX_KR)])] == ["JP"]

    def test_a_row_without_a_region_is_the_default_regions(self) -> None:
        assert brief(read(None, [{"provider_id": 8, "provider_name": "Netflix"}])) == [("Netflix", "KR", PAGE_KR)]

    def test_an_address_beside_a_dict_for_a_region_follows_it(self) -> None:
        found = read([row(8, "Netflix", "US", link="https://www.netflix.com/title/1"), NETFLIX])
        assert {link.region for link in found} == {"US"}

    def test_of_two_providers_at_one_host_the_listed_one_is_meant(self) -> None:
        apple = "https://tv.apple.com/kr/movie/x/umc.1"
        assert [link.provider_id for link in read([apple], [row(2, "Apple TV", type="rent")])] == [2]
        assert [link.provider_id for link in read([apple], [row(350, "Apple TV+")])] == [350]
        assert [link.provider_id for link in read([apple])] == [350]


class TestRows:
    """Provider rows: what they add to an address, and what they are without one."""

    def test_a_row_and_an_address_of_one_provider_are_one_link(self) -> None:
        stated = row(356, "wavve", type="rent", display_priority=2, logo_path="/8N0DNa4BO3lH24KWv1EjJh4TxoD.jpg")
        assert read([WAVVE], [stated]) == (OttLink("wavve", 356, "/8N0DNa4BO3lH24KWv1EjJh4TxoD.jpg", 2, WAVVE, OfferType.RENT, "KR"),)

    def test_rows_of_several_types_give_the_best(self) -> None:
        rows = [row(356, "wavve", type=offer) for offer in ("buy", "rent", "ads")]
        assert [link.type for link in read([WAVVE], rows)] == [OfferType.ADS]

    def test_a_row_without_an_address_gets_tmdbs_page_of_that_very_title(self) -> None:
        assert brief(read(None, [row(283, "Crunchyroll")])) == [("Crunchyroll", "KR", PAGE_KR)]
        assert brief(read(None, [row(15, "Hulu", "US")])) == [("Hulu", "US", PAGE_US)]
        assert [link.link for link in read(None, [row(8, "Netflix")], ref=SERIES)] == ["https://www.themoviedb.org/tv/615/watch?locale=KR"]

    def test_an_ad_tier_alone_is_its_provider(self) -> None:
        (found,) = read(None, [row(1796, "Netflix Standard with Ads")])
        assert (found.provider_name, found.provider_id) == ("Netflix", 8)
        (found,) = read(None, [row(2100, "Amazon Prime Video with Ads", "US")])
        assert (found.provider_name, found.provider_id) == ("Amazon Prime Video", 9)

    def test_a_provider_that_the_table_lacks_keeps_its_name_and_number(self) -> None:
        (found,) = read(None, [row(457, "VIX ", "US")])
        assert (found.provider_name, found.provider_id, found.region) == ("VIX", 457, "US")

    def test_a_provider_known_by_name_only_gets_its_number(self) -> None:
        (found,) = read(None, [{"provider_name": "왓챠"}])
        assert (found.provider_name, found.provider_id) == ("왓챠", 97)

    def test_a_nameless_number_that_the_table_lacks_is_unknown(self) -> None:
        (found,) = read(None, [{"provider_id": 999_999}])
        assert (found.provider_name, found.provider_id) == ("Unknown", 999_999)

    def test_a_better_type_without_an_address_is_not_lost(self) -> None:
        found = read([row(356, "wavve", type="rent", link=WAVVE)], [row(356, "wavve", type="flatrate")])
        assert [(link.type, link.link) for link in found] == [(OfferType.RENT, WAVVE), (OfferType.FLATRATE, PAGE_KR)]


class TestDicts:
    """Dicts of a link's own fields."""

    def test_a_full_dict_is_taken_as_it_is(self) -> None:
        stated = row(97, "왓챠", "JP", type="buy", link="https://watcha.com/ja-JP/contents/1", logo_path="/a.jpg", display_priority=3)
        assert read([stated]) == (OttLink("왓챠", 97, "/a.jpg", 3, "https://watcha.com/ja-JP/contents/1", OfferType.BUY, "JP"),)

    def test_a_dicts_own_type_stands_beside_a_row_of_another(self) -> None:
        found = read([row(356, "wavve", type="flatrate", link=WAVVE)], [row(356, "wavve", type="rent")])
        assert [link.type for link in found] == [OfferType.FLATRATE]

    def test_a_dict_of_an_address_only_is_read_like_the_bare_address(self) -> None:
        assert read([{"link": NETFLIX_KR}]) == read([NETFLIX_KR])
        assert read({"link": NETFLIX_KR, "provider_name": "Unknown", "provider_id": 0}) == read(NETFLIX_KR)

    def test_a_dicts_unfamiliar_name_gets_the_number_of_its_host(self) -> None:
        (found,) = read([{"provider_name": "Netflix Korea", "link": NETFLIX}])
        assert (found.provider_name, found.provider_id) == ("Netflix Korea", 8)

    def test_numbers_may_be_digits_and_nonsense_is_not_taken(self) -> None:
        (found,) = read([row(0, "", link=NETFLIX) | {"provider_id": "8", "display_priority": "4"}])
        assert (found.provider_id, found.display_priority) == (8, 4)
        for nonsense in (-8, True, 8.5, 10**30, "8; DROP", [8], None):
            (found,) = read([{"provider_id": nonsense, "display_priority": nonsense, "link": NETFLIX}])
            assert (found.provider_id, found.display_priority) == (8, 1)

    def test_tmdbs_display_priority_zero_is_shown_as_one(self) -> None:
        assert [link.display_priority for link in read(None, [row(97, "Watcha", display_priority=0)])] == [1]

    def test_names_are_freed_of_control_characters_and_cut(self) -> None:
        (found,) = read([{"provider_name": "A\x00\u202eB\n C" + "x" * 500, "link": "https://a.example/1"}])
        assert found.provider_name.startswith("A B Cxxx")
        assert len(found.provider_name) == 100

    @pytest.mark.parametrize(
        ("logo", "kept"),
        [
            ("/a.jpg", "/a.jpg"),
            ("https://image.example/a.jpg", "https://image.example/a.jpg"),
            ("//evil.example/a.jpg", ""),
            ("javascript:alert(1)", ""),
            ("/a b.jpg", ""),
            (7, ""),
        ],
    )
    def test_a_logo_is_a_path_or_an_address(self, logo: object, kept: str) -> None:
        (found,) = read([{"provider_name": "A", "logo_path": logo, "link": "https://a.example/1"}])
        assert found.logo_path == kept


class TestTmdbsForm:
    """TMDB's `{"KR": {"link": ..., "flatrate": [...]}}`."""

    REPLY = {  # noqa: RUF012 -- read only
        "KR": {
            "link": "https://www.themoviedb.org/movie/615-x/watch?locale=KR",
            "flatrate": [{"provider_id": 97, "provider_name": "Watcha", "display_priority": 4, "logo_path": "/w.jpg"}],
            "rent": [{"provider_id": 3, "provider_name": "Google Play Movies", "display_priority": 0}],
            "flatrate_and_buy": [{"provider_id": 11, "provider_name": "MUBI"}],
            "cinema": [{"provider_id": 8, "provider_name": "Netflix"}],
            "buy": [None, 7, {}],
            "ads": "none",
        },
        "US": {"free": [{"provider_id": 15, "provider_name": "Hulu"}]},
    }

    def test_it_is_read_with_every_region_and_type(self) -> None:
        page = "https://www.themoviedb.org/movie/615-x/watch?locale=KR"
        found = read(None, self.REPLY)
        assert [(link.provider_id, link.region, link.type, link.display_priority, link.link) for link in found] == [
            (97, "KR", OfferType.FLATRATE, 4, page),
            (3, "KR", OfferType.RENT, 1, page),
            (11, "KR", OfferType.FLATRATE, 10, page),
            (15, "US", OfferType.FREE, 30, PAGE_US),
        ]

    def test_it_may_stand_in_either_field_in_a_list_or_within_results(self) -> None:
        assert read(self.REPLY) == read([self.REPLY]) == read(None, {"id": 615, "results": self.REPLY}) == read(None, self.REPLY)

    def test_an_address_beside_it_takes_the_rows_facts(self) -> None:
        found = {link.provider_id: link for link in read(["https://watcha.com/contents/1"], self.REPLY)}
        assert found[97] == OttLink("Watcha", 97, "/w.jpg", 4, "https://watcha.com/contents/1", OfferType.FLATRATE, "KR")

    def test_a_page_that_must_not_be_handed_out_is_replaced_by_the_titles_own(self) -> None:
        reply = {"KR": {"link": "javascript:alert(1)", "rent": [{"provider_id": 356}]}}
        assert brief(read(None, reply)) == [("wavve", "KR", PAGE_KR)]

    def test_the_reference_replies_name_every_provider(self, real_data: Path) -> None:
        excerpt = json.loads((real_data / "providers" / "kr_watch_providers_excerpt.json").read_text())
        film = select_links(read(None, excerpt["movie/560144"]), "KR", table=TABLE)
        assert [(link.provider_name, link.type) for link in film] == [
            ("wavve", OfferType.RENT),
            ("Google Play Movies", OfferType.RENT),
            ("Naver Store", OfferType.BUY),
        ]
        series = select_links(read(None, excerpt["tv/2316"], ref=TitleRef(Kind.TV, 2316)), "KR", table=TABLE)
        assert [(link.provider_name, link.type) for link in series] == [("Watcha", OfferType.FLATRATE), ("Naver Store", OfferType.RENT)]
        assert {link.link for link in series} == {"https://www.themoviedb.org/tv/2316-the-office/watch?locale=KR"}


class TestDoubles:
    """One address said twice."""

    def test_http_gives_way_to_https(self) -> None:
        assert [link.link for link in read([NETFLIX.replace("https", "http"), NETFLIX])] == [NETFLIX]
        assert [link.link for link in read([NETFLIX, NETFLIX.replace("https", "http")])] == [NETFLIX]

    def test_of_two_spellings_the_first_stays(self) -> None:
        assert [link.link for link in read([NETFLIX + "/", NETFLIX])] == [NETFLIX + "/"]

    def test_http_alone_stays(self) -> None:
        assert [link.link for link in read(["http://program.tving.com/tvn/snl"])] == ["http://program.tving.com/tvn/snl"]

    def test_the_better_type_stays(self) -> None:
        found = read([row(356, "wavve", type="rent", link=WAVVE), row(356, "wavve", type="flatrate", link=WAVVE)])
        assert [link.type for link in found] == [OfferType.FLATRATE]

    def test_different_addresses_of_a_provider_all_stay_for_selection(self) -> None:
        assert [link.link for link in read([NETFLIX, NETFLIX_KR])] == [NETFLIX, NETFLIX_KR]


@pytest.mark.parametrize(
    "nothing", [None, [], {}, "", 0, True, 1.5, [None], [[]], [[NETFLIX]], [{}], {"KR": {}}, {"KR": []}, {"results": {}}]
)
def test_what_says_nothing_gives_no_link(nothing: Any) -> None:
    assert read(nothing, nothing) == ()


FIELDS = (
    "link",
    "provider_name",
    "provider_id",
    "logo_path",
    "display_priority",
    "type",
    "region",
    "results",
    "KR",
    "US",
    "flatrate",
    "rent",
)
SEEN = st.sampled_from([NETFLIX, NETFLIX_KR, AMAZON, WAVVE, "kr", "Netflix", "streaming", 8, 119, 2100, 0, "javascript:alert(1)", "/a.jpg"])
JSON = st.recursive(
    SEEN | st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=3), inner, max_size=6),
    max_leaves=25,
)
URLISH = st.from_regex(r"(?i)(https?|javascript|ftp)://[a-z.@:\\/ ]{0,20}\.com/.{0,20}")


@given(JSON | st.lists(URLISH), JSON)
def test_no_json_raises_and_every_link_may_be_handed_out_and_stored(links: Any, providers: Any) -> None:
    found = read(links, providers)
    for link in found:
        parsed = Address.parse(link.link)
        assert parsed is not None
        assert parsed.text == link.link
        assert link.display_priority >= 1
        assert link.provider_id >= 0
        assert link.provider_name
        assert len(link.region) == 2
    assert links_from_json(links_to_json(found)) == found
    assert read(links, providers) == found
    for region in {link.region for link in found}:
        shown = select_links(found, region, table=TABLE)
        assert 0 < len(shown) <= 8
        assert {link.region for link in shown} == {region}
