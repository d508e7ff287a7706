"""The address that a request comes from: past trusted proxies, and never further than they vouch for."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.client_address import LONGEST_CHAIN, client_address, read_networks

PROXIES = read_networks(["10.0.0.0/8", "127.0.0.1", "2001:db8:1::/48"])


@pytest.mark.parametrize("forwarded", [[], ["192.0.2.1"], ["10.0.0.1, 192.0.2.1", "nonsense"]])
def test_a_peer_that_is_not_trusted_is_the_caller_whatever_it_says(forwarded: list[str]) -> None:
    assert client_address("198.51.100.7", forwarded, PROXIES) == "198.51.100.7"
    assert client_address("127.0.0.1", forwarded, ()) == "127.0.0.1"
    assert client_address("", forwarded, PROXIES) == ""


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.1.2.3", ["192.0.2.1"], "192.0.2.1"),
        ("2001:db8:1::5", ["2001:db8:2::9"], "2001:db8:2::9"),
        ("::ffff:127.0.0.1", ["192.0.2.1"], "192.0.2.1"),  # a peer on a socket that takes both families
        ("127.0.0.1", ["203.0.113.9, 192.0.2.1"], "192.0.2.1"),  # what the caller wrote stands to the left
        ("127.0.0.1", ["203.0.113.9", "192.0.2.1"], "192.0.2.1"),  # so do headers of its own
        ("127.0.0.1", ["192.0.2.1, 10.0.0.9, 10.0.0.8"], "192.0.2.1"),  # three proxies in a row
        ("127.0.0.1", ["10.0.0.9, 192.0.2.1, 10.0.0.8"], "192.0.2.1"),
        ("127.0.0.1", ["10.0.0.9, 10.0.0.8"], "10.0.0.9"),  # the first proxy calls by itself
        ("127.0.0.1", [" 192.0.2.1 ,10.0.0.8 "], "192.0.2.1"),
        ("127.0.0.1", ["192.0.2.1:4711"], "192.0.2.1"),
        ("127.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("127.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("127.0.0.1", ["2001:DB8:0::1"], "2001:db8::1"),  # one caller, however it is written
        ("fe80::1%eth0", ["192.0.2.1"], "fe80::1%eth0"),
    ],
)
def test_past_trusted_proxies_the_nearest_other_address_is_the_caller(peer: str, forwarded: list[str], caller: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == caller


@pytest.mark.parametrize(
    "nonsense", ["", "unknown", "_hidden", "192.0.2", "1.2.3.4.5", "a.example", "[", "[]", "192.0.2.1 192.0.2.2", "::1::2"]
)
def test_where_the_chain_makes_no_sense_it_ends(nonsense: str) -> None:
    """A proxy that names nobody is itself the caller, so that nonsense gives no new name to count by."""
    assert client_address("127.0.0.1", [nonsense], PROXIES) == "127.0.0.1"
    assert client_address("127.0.0.1", [f"192.0.2.1, {nonsense}, 10.0.0.8"], PROXIES) == "10.0.0.8"


def test_a_chain_is_not_followed_for_ever() -> None:
    endless = ["192.0.2.1, " + ", ".join(f"10.0.0.{number % 250}" for number in range(10_000))]
    assert client_address("127.0.0.1", endless, PROXIES) == f"10.0.0.{(10_000 - LONGEST_CHAIN) % 250}"


@given(st.sampled_from(["127.0.0.1", "198.51.100.7", "", "unix"]), st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=4))
def test_whatever_is_sent_the_result_is_the_peer_or_an_address(peer: str, forwarded: list[str]) -> None:
    found = client_address(peer, forwarded, PROXIES)
    if found != peer:
        assert peer == "127.0.0.1"
        assert str(ip_address(found)) == found


def test_networks_are_read_with_and_without_a_length() -> None:
    assert [str(network) for network in read_networks(["10.1.2.3/8", "::1"])] == ["10.0.0.0/8", "::1/128"]
    with pytest.raises(ValueError, match="nowhere"):
        read_networks(["nowhere"])
