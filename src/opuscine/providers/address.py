"""A web address that may be handed out to a viewer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs

# Longest address that is read: the longest of the real catalogue has 382 characters.
MAX_LENGTH = 2048

# A numeric host or one without a dot (`localhost`) reaches no provider. Nothing but the host may stand before the path: no
# credentials. Backslashes are slashes to browsers (WHATWG URL), so that they would see another host than the one matched here;
# quotes, angle brackets and blanks are never part of an address (RFC 3986, section 2).
_HOST = re.compile(
    r"((?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{2,59}))\.?",
    re.ASCII | re.IGNORECASE,
)
_BEHIND_SCHEME = re.compile(
    r"""
    ([^/?\#:]+)
    (?::([0-9]{1,5}))?
    (/[^?#\s\\"<>]*)?
    (?:\?([^#\s\\"<>]*))?
    (?:\#[^\s\\"<>]*)?
    """,
    re.ASCII | re.VERBOSE,
)
_KEPT_HOSTS = 1_024  # addresses are many, their hosts few, and the pattern of a host is the slow one


@lru_cache(maxsize=_KEPT_HOSTS)
def _host(said: str) -> str:
    """Return a real host in lower case, without a trailing dot; "" for what is none."""
    found = _HOST.fullmatch(said)
    return found[1].lower() if found else ""


@dataclass(frozen=True, slots=True)
class Address:
    """An http or https address with a real host: no credentials, no control characters, nothing a page could trip over."""

    text: str
    secure: bool
    host: str  # lower case, without a trailing dot
    path: str
    query: str

    @classmethod
    def parse(cls, raw: object) -> Address | None:
        """Read an address, or return None for anything that must not be handed out."""
        if not isinstance(raw, str):
            return None
        text = raw.strip()
        if len(text) > MAX_LENGTH or not text.isprintable():
            return None
        scheme, _, behind = text.partition("://")
        scheme = scheme.lower()
        found = _BEHIND_SCHEME.fullmatch(behind) if scheme in {"https", "http"} else None
        if found is None:
            return None
        said, port, path, query = found.groups()
        host = _host(said)
        if not host or (port and int(port) > 65535):
            return None
        return cls(f"{scheme}://{behind}", scheme == "https", host, path or "", query or "")

    @property
    def without_scheme(self) -> str:
        """Return what two spellings of one address share: an `http://` double differs in nothing else."""
        return self.text.partition("://")[2].rstrip("/")

    def parameter(self, name: str) -> str:
        """Return the first value of a query parameter, percent-decoded; "" where it is absent or empty."""
        return next(iter(parse_qs(self.query).get(name, ())), "")
