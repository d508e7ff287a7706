"""What a caller may do, in words that keys files, tokens and the route table share."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    """One permission. None implies another: `admin` alone may not read."""

    READ = "read"
    RECOMMEND = "recommend"
    METRICS = "metrics"
    ADMIN = "admin"
    ACT_AS = "act_as"  # may name the user it calls for, as a server does for its visitors


ALL_SCOPES: frozenset[Scope] = frozenset(Scope)
_WORDS = {scope.value: scope for scope in Scope}


def known_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """Keep the words that are scopes of ours; an issuer's other words (`openid`, `profile`) mean nothing here."""
    return frozenset(_WORDS[word] for word in words if word in _WORDS)
