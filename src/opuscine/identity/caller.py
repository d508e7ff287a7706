"""Who makes a request, once that is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from opuscine.identity.scopes import ALL_SCOPES, Scope


class CallerKind(StrEnum):
    """How a caller was recognised."""

    KEY = "key"
    JWT = "jwt"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Caller:
    """Name whoever makes a request and what they may do. It holds nothing secret and may be logged."""

    name: str  # the name of an API key's line; "jwt" and "anonymous" for the other kinds
    scopes: frozenset[str]
    subject: str | None  # a token's user; a key has none of its own
    kind: CallerKind
    id: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make what limits and cached answers are kept under, once and not in each request.

        For a key it is made of its name and not of its public id, so that two keys that share a name (the old and the new one
        during a rotation) are one caller. Kinds cannot meet: names hold no colon.
        """
        object.__setattr__(self, "id", f"{self.kind}:{self.name if self.subject is None else self.subject}")

    def has(self, scope: Scope) -> bool:
        """Say whether the caller may do what `scope` names."""
        return scope in self.scopes

    def user(self, named: str | None) -> str | None:
        """Return the user a request is for: a token's subject, else the one the request names if the caller may act for users."""
        if self.subject is not None:
            return self.subject
        return named if self.has(Scope.ACT_AS) else None


NOBODY = Caller("anonymous", frozenset(), None, CallerKind.ANONYMOUS)
"""A caller without credentials, for what is open to everybody."""

ANYBODY = Caller("anonymous", ALL_SCOPES, None, CallerKind.ANONYMOUS)
"""Every caller while authentication is switched off."""
