"""Addresses that may be handed out, and those that may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.providers.address import MAX_LENGTH, Address


@pytest.mark.parametrize(
    "text",
    [
        "https://www.netflix.com/kr/title/81472752",
        "http://program.tving.com/tvn/snl",
        "https://www.wavve.com:443/player/movie?movieid=MV_CF01_SY0000011246#top",
        "https://tv.apple.com/kr/movie/핀치/umc.cmc.47dkj9f2ho3h8dwxixflz65q5",
        "https://xn--9i1b14lcmc51s.com./x",
    ],
)
def test_an_ordinary_address_passes_unchanged(text: str) -> None:
    address = Address.parse(text)
    assert address is not None
    assert address.text == text


def test_scheme_and_host_are_compared_in_lower_case_and_blanks_around_are_dropped() -> None:
    address = Address.parse("  HTTPS://WWW.Netflix.COM/kr/TITle/1\n")
    assert address is not None
    assert (address.text, address.host, address.secure) == ("https://WWW.Netflix.COM/kr/TITle/1", "www.netflix.com", True)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        7,
        ["https://www.netflix.com/title/1"],
        "",
        "Netflix",
        "www.netflix.com/title/1",
        "//www.netflix.com/title/1",
        "/title/1",
        "javascript:alert(1)",
        "JaVaScRiPt://www.netflix.com/%0aalert(1)",
        "data:text/html,<script>",
        "ftp://www.netflix.com/title/1",
        "intent://www.netflix.com/#Intent;scheme=https;end",
        "https://",
        "https:///title/1",
        "https://localhost/title/1",
        "https://127.0.0.1/title/1",
        "https://[::1]/title/1",
        "https://[::1/title/1",
        "https://2130706433/",
        "https://user:secret@www.netflix.com/title/1",
        "https://www.netflix.com@evil.example/title/1",
        "https://www.netflix.com\\@evil.example/",
        "https://www.netflix.com:port/title/1",
        "https://www.netflix.com:99999/title/1",
        "https://-www.netflix.com/title/1",
        "https://www..netflix.com/title/1",
        "https://www.netflix.com/title /1",
        "https://www.netflix.com/title/1\r\nSet-Cookie: a=b",
        "https://www.net\tflix.com/title/1",
        "https://www.netflix.com/title/\x00",
        "https://www.netflix.com/\u202egnp.1/",
        "https://www.netflix.com/\ud800",
        'https://www.netflix.com/"onload="alert(1)',
        "https://www.netflix.com/<script>",
        "https://netflix.c℀m/title/1",
        "https://www.netflix.com/" + "a" * MAX_LENGTH,
    ],
)
def test_what_must_not_be_handed_out_is_none(raw: object) -> None:
    assert Address.parse(raw) is None


def test_the_longest_address_of_the_real_catalogue_has_room() -> None:
    assert Address.parse("https://tv.apple.com/kr/movie/" + "%E1%84%8C" * 39) is not None


def test_two_schemes_and_a_trailing_slash_are_one_address() -> None:
    first, second = Address.parse("http://www.amazon.com/dp/B0B6B6B9RY"), Address.parse("https://www.amazon.com/dp/B0B6B6B9RY/")
    assert first is not None
    assert second is not None
    assert first.without_scheme == second.without_scheme


def test_a_parameter_is_decoded_and_an_absent_one_is_empty() -> None:
    address = Address.parse("https://disneyplus.bn5x.net/c/1?u=https%3A%2F%2Fwww.disneyplus.com%2Fmovies%2Fx&v=")
    assert address is not None
    assert address.parameter("u") == "https://www.disneyplus.com/movies/x"
    assert address.parameter("v") == address.parameter("w") == ""


@given(st.text() | st.from_regex(r"(?i)https?://.{0,40}"))
def test_reading_never_raises_and_what_passes_reads_the_same_again(text: str) -> None:
    address = Address.parse(text)
    if address is not None:
        assert address.text.startswith(("https://", "http://"))
        assert Address.parse(address.text) == address
