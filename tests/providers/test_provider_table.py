"""The table of providers: by number, name, host, and in what people write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.model import OfferType
from opuscine.providers.address import Address
from opuscine.providers.table import Provider, ProviderHost, ProviderTable, region_code

TABLE = ProviderTable.load()


def address(text: str) -> Address:
    parsed = Address.parse(text)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (8, "Netflix"),
        (1796, "Netflix Standard with Ads"),
        (97, "Watcha"),
        (356, "wavve"),
        (337, "Disney Plus"),
        (119, "Amazon Prime Video"),
        (9, "Amazon Prime Video"),
        (2100, "Amazon Prime Video with Ads"),
        (1883, "TVING"),
        (1881, "Coupang Play"),
        (350, "Apple TV+"),
        (2, "Apple TV"),
        (3, "Google Play Movies"),
        (96, "Naver Store"),
        (11, "MUBI"),
        (192, "YouTube"),
        (283, "Crunchyroll"),
        (701, "FilmBox+"),
        (692, "Cultpix"),
    ],
)
def test_the_packaged_table_knows_koreas_providers_by_tmdbs_numbers(number: int, name: str) -> None:
    provider = TABLE.by_id(number)
    assert provider is not None
    assert provider.name == name
    assert TABLE.by_name(name) is provider


def test_an_unknown_number_name_or_host_is_none() -> None:
    assert TABLE.by_id(0) is None
    assert TABLE.by_name("") is None
    assert TABLE.by_name("Blockbuster") is None
    assert TABLE.by_host("www.example.com") is None
    assert TABLE.all_by_host("") == ()


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("NETFLIX", 8),
        ("넷플릭스", 8),
        ("Disney+", 337),
        ("disneyplus", 337),
        ("디즈니 플러스", 337),
        ("Apple TV Plus", 350),
        ("Apple TV", 2),
        ("쿠팡 플레이", 1881),
        ("Wavve", 356),
        ("ＴＶＩＮＧ", 1883),
    ],
)
def test_a_whole_name_is_found_however_it_is_written(name: str, number: int) -> None:
    assert TABLE.by_name(name) is TABLE.by_id(number)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("netflix.com", "Netflix"),
        ("WWW.netflix.com", "Netflix"),
        ("program.tving.com", "TVING"),
        ("m.watcha.com", "Watcha"),
        ("www.amazon.com", "Amazon Prime Video"),
        ("tv.apple.com", "Apple TV+"),
        ("serieson.naver.com", "Naver Store"),
    ],
)
def test_a_host_and_its_subdomains_belong_to_their_provider(host: str, name: str) -> None:
    provider = TABLE.by_host(host)
    assert provider is not None
    assert provider.name == name


@pytest.mark.parametrize("host", ["notnetflix.com", "netflix.com.example.org", "apple.com", "naver.com", "music.apple.com"])
def test_a_host_that_only_looks_like_a_providers_is_nobodys(host: str) -> None:
    assert TABLE.by_host(host) is None


def test_apples_subscription_and_store_share_a_host() -> None:
    assert [provider.id for provider in TABLE.all_by_host("tv.apple.com")] == [350, 2]


def test_ad_tiers_fold_into_their_provider_and_others_into_themselves() -> None:
    folded = {provider.id: TABLE.main(provider).id for provider in TABLE.providers if TABLE.main(provider) is not provider}
    assert folded == {1796: 8, 2100: 119}


def test_amazon_has_another_number_in_the_us() -> None:
    amazon = TABLE.by_id(119)
    assert amazon is not None
    assert (amazon.id_in("KR"), amazon.id_in("US"), amazon.ids) == (119, 9, (119, 9))


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("https://www.netflix.com/kr/title/81774713", "KR"),
        ("https://www.netflix.com/KR/TITle/81472752", "KR"),
        ("https://www.netflix.com/kr-en/title/81774713", "KR"),
        ("https://www.netflix.com/de/title/80005772", "DE"),
        ("https://www.netflix.com/uk/title/80005772", "GB"),
        ("https://www.netflix.com/title/81774713", ""),
        ("http://www.netflix.com/triplefrontier", ""),
        ("https://www.disneyplus.com/ko-kr/movies/x/pa71", "KR"),
        ("https://www.disneyplus.com/tr-tr/series/x/7h5o", "TR"),
        ("https://www.disneyplus.com/movies/x/pa71", ""),
        ("https://watcha.com/contents/mdEwlmW", "KR"),
        ("https://watcha.com/ja-JP/contents/mdEwlmW", "JP"),
        ("https://www.wavve.com/player/movie?movieid=MV_1", "KR"),
        ("https://www.tving.com/contents/P001477352", "KR"),
        ("https://www.coupangplay.com/content/1", "KR"),
        ("https://tv.apple.com/kr/movie/x/umc.1", "KR"),
        ("https://mubi.com/ko/kr/films/x", "KR"),
        ("https://mubi.com/films/x", ""),
        ("https://www.amazon.com/dp/B0CV72XRMR", ""),
        ("https://www.amazon.co.jp/dp/B0CV72XRMR", "JP"),
        ("https://www.example.com/kr/title/1", ""),
    ],
)
def test_an_address_tells_its_region_by_path_or_host(text: str, region: str) -> None:
    assert TABLE.region_of(address(text)) == region


def test_a_redirector_gives_way_to_the_address_it_carries() -> None:
    carried = "https://www.disneyplus.com/movies/titanic/1vXLGiOUqEP9"
    redirector = address(
        "https://disneyplus.bn5x.net/c/1/2/3?u=https%3A%2F%2Fwww.disneyplus.com%2Fmovies%2Ftitanic%2F1vXLGiOUqEP9&subId3=justappsvod"
    )
    assert TABLE.destination(redirector) == address(carried)
    assert TABLE.destination(address(carried)) == address(carried)


def redirected(target: str, times: int) -> Address:
    for _ in range(times):
        target = "https://go.bn5x.net/c?u=" + quote(target, safe="")
    return address(target)


def test_two_redirectors_in_a_row_are_followed_and_longer_chains_are_not() -> None:
    target = "https://www.netflix.com/title/1"
    assert TABLE.destination(redirected(target, 2)) == address(target)
    assert TABLE.destination(redirected(target, 3)) is None


def test_a_redirector_that_carries_nothing_stays_and_one_that_carries_a_script_goes() -> None:
    empty = address("https://disneyplus.bn5x.net/c/1/2/3?subId3=x")
    assert TABLE.destination(empty) == empty
    assert TABLE.destination(address("https://disneyplus.bn5x.net/c/1?u=javascript%3Aalert(1)")) is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("넷플릭스에 있는 것만", ["Netflix"]),
        ("요즘넷플릭스추천", ["Netflix"]),
        ("넷플에서만 볼 수 있는 거", ["Netflix"]),
        ("왓챠에서", ["Watcha"]),
        ("왓챠영화를 찾아줘", ["Watcha"]),
        ("ＮＥＴＦＬＩＸ랑 TVING", ["Netflix", "TVING"]),
        ("티빙이나 웨이브로 볼 만한 드라마", ["TVING", "wavve"]),
        ("on Disney+ please", ["Disney Plus"]),
        ("disney  plus", ["Disney Plus"]),
        ("디즈니플러스에 있는", ["Disney Plus"]),
        ("디즈니 +", ["Disney Plus"]),
        ("디플에 새로 나온 거", ["Disney Plus"]),
        ("쿠팡 플레이에서", ["Coupang Play"]),
        ("쿠팡플레이", ["Coupang Play"]),
        ("애플TV+ 오리지널", ["Apple TV+"]),
        ("애플 티비에서", ["Apple TV+"]),
        ("Apple TV", ["Apple TV+"]),
        ("아마존 프라임 비디오", ["Amazon Prime Video"]),
        ("primevideo", ["Amazon Prime Video"]),
        ("what's good on netflix?", ["Netflix"]),
        ("(netflix)", ["Netflix"]),
        ("넷플릭스, 왓챠, 넷플", ["Netflix", "Watcha"]),
        ("넷플릭스", ["Netflix"]),
    ],
)
def test_providers_are_found_in_a_sentence_as_people_write_them(text: str, names: list[str]) -> None:
    assert [provider.name for provider in TABLE.mentioned_in(text)] == names


def test_decomposed_hangul_reads_as_composed() -> None:
    decomposed = "\u1102\u1166\u11ba\u1111\u1173\u11af\u1105\u1175\u11a8\u1109\u1173"
    assert [provider.name for provider in TABLE.mentioned_in(decomposed)] == ["Netflix"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "비 오는 날 볼만한 잔잔한 영화",
        "French new wave",
        "the wave",
        "프렌치 뉴웨이브",
        "대만 뉴 웨이브 영화",
        "뉴  웨이브",
        "apple pie",
        "애플 창업자 이야기",
        "디즈니 애니메이션",
        "디플레이션을 다룬 다큐",
        "왓챠피디아 평점 4점 이상",
        "왓챠 피디아",
        "아마존 정글 모험",
        "프라임 타임 뉴스",
        "무비 추천",
        "Mad Max",
        "peacock",
        "a film about youtubers",
        "unwavvering",
        "Kamahulu beach",
        "쇼크웨이브 같은 영화",
        "쇼크 웨이브 같은 영화",
        "스타티빙",
    ],
)
def test_other_words_are_no_mention_of_a_provider(text: str) -> None:
    assert TABLE.mentioned_in(text) == ()


@given(st.text())
def test_any_text_can_be_searched_for_mentions(text: str) -> None:
    assert len(TABLE.mentioned_in(text)) <= len(TABLE.providers)


@given(st.sampled_from([provider for provider in TABLE.providers if provider.mentions]), st.data())
def test_every_mention_finds_its_provider_between_other_words(provider: Provider, data: st.DataObject) -> None:
    mention = data.draw(st.sampled_from(provider.mentions + provider.word_mentions))
    assert TABLE.mentioned_in(f"오늘 {mention.upper()} 보자") == (provider,)


@pytest.mark.parametrize(
    ("value", "code"), [("kr", "KR"), (" US ", "US"), ("uk", "GB"), ("KOR", ""), ("", ""), ("4K", ""), ("한국", ""), (None, ""), (82, "")]
)
def test_a_region_is_two_letters(value: object, code: str) -> None:
    assert region_code(value) == code


def provider(number: int, name: str, **fields: Any) -> Provider:
    return Provider(id=number, name=name, korean_name=name, display_priority=1, **fields)


def test_a_table_refuses_doubles_and_an_ad_tier_of_nobody() -> None:
    with pytest.raises(ValueError, match="number 1 of B is A's"):
        ProviderTable([provider(1, "A"), provider(1, "B")])
    with pytest.raises(ValueError, match="name a of a is A's"):
        ProviderTable([provider(1, "A"), provider(2, "a")])
    with pytest.raises(ValueError, match="mention of both A and B"):
        ProviderTable([provider(1, "A", mentions=("x",)), provider(2, "B", word_mentions=("x",))])
    with pytest.raises(ValueError, match="ad tier of 7"):
        ProviderTable([provider(1, "A", ad_tier_of=7)])


@pytest.mark.parametrize("content", [[], {}, {"providers": [{}]}, {"providers": [7]}, {"providers": {"id": 1}}])
def test_a_malformed_table_is_a_value_error(content: object) -> None:
    with pytest.raises(ValueError, match="providers"):
        ProviderTable.from_json(json.dumps(content).encode())


def test_a_display_priority_begins_at_one() -> None:
    row = {"id": 1, "name": "A", "korean_name": "A", "display_priority": 0}
    with pytest.raises(ValueError, match="display_priority 0"):
        ProviderTable.from_json(json.dumps({"providers": [row]}).encode())


def test_a_minimal_row_gets_defaults() -> None:
    row = {"id": 1, "name": "A", "korean_name": "에이", "display_priority": 3, "hosts": [{"host": "a.example"}]}
    (read,) = ProviderTable.from_json(json.dumps({"providers": [row]}).encode()).providers
    assert read == Provider(1, "A", "에이", 3, offers=OfferType.FLATRATE, hosts=(ProviderHost("a.example"),))


def test_an_empty_table_finds_nothing() -> None:
    assert ProviderTable([]).mentioned_in("넷플릭스") == ()


def test_logos_are_those_of_the_reference(real_data: Path) -> None:
    excerpt = json.loads((real_data / "providers" / "kr_watch_providers_excerpt.json").read_text())
    logos = {
        row["provider_id"]: (row["provider_name"], row["logo_path"])
        for title in excerpt.values()
        if isinstance(title, dict)
        for rows in title["KR"].values()
        if isinstance(rows, list)
        for row in rows
    }
    assert logos
    assert {number: (found.name, found.logo_path) for number in logos if (found := TABLE.by_id(number))} == logos
    assert {provider.id for provider in TABLE.providers if provider.logo_path} == logos.keys()


def test_names_and_numbers_are_those_of_the_real_catalogue(real_data: Path) -> None:
    rows = [
        row
        for file, key in (("tmdb_movies_hybrid_final.json", "movies"), ("tmdb_tv_series_final.json", "tv_series"))
        for record in json.loads((real_data / "catalogue" / file).read_text())[key]
        for row in record.get("ott_providers") or []
    ]
    assert rows
    for row in rows:
        known = TABLE.by_id(row["provider_id"])
        assert known is not None or row["region"] != "KR", row
        assert known is None or known.name == row["provider_name"].strip()
