"""Which address a request comes from, seen past the proxies that are trusted."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Networks = tuple[IPv4Network | IPv6Network, ...]
LONGEST_CHAIN = 20  # proxies in a row; what lies beyond was written by whoever wanted to


def read_networks(texts: Sequence[str]) -> Networks:
    """Read addresses and networks.

    Raises:
        ValueError: a text is neither.
    """
    return tuple(ip_network(text, strict=False) for text in texts)


def client_address(peer: str, forwarded_for: Sequence[str], trusted: Networks) -> str:
    """Return the nearest address that is not one of ours.

    `forwarded_for` are the values of all `X-Forwarded-For` headers. They are read from the right, where the nearest proxy wrote; reading
    stops at the first address that is not trusted, since what stands left of it may be invented. With no trusted proxies the headers
    count for nothing.
    """
    chain = [part.strip() for value in forwarded_for for part in value.split(",")]
    address = peer
    for given in reversed(chain[-LONGEST_CHAIN:]):
        if not _in(address, trusted):
            break
        bare = _bare(given)
        if bare is None:
            break
        address = bare
    return address


def _in(address: str, networks: Networks) -> bool:
    if not networks:
        return False
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


def _bare(text: str) -> str | None:
    """Return an address without port and brackets, or None if it is none."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0] if text.count(":") == 1 else text
    try:
        return str(ip_address(host))
    except ValueError:
        return None
