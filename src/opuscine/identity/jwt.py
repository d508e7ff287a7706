"""JSON Web Tokens: is it one of our issuer's, for us, now, and whose is it?

PyJWT verifies signatures; what the token must say is checked here, against a clock that is given (RFC 7519, RFC 8725).
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from jwt.api_jws import PyJWS
from jwt.exceptions import InvalidSignatureError, PyJWTError
from pydantic import SecretStr

from opuscine.errors import SettingsError
from opuscine.identity.caller import Caller, CallerKind
from opuscine.identity.json_object import read_object
from opuscine.identity.key_source import KeySource
from opuscine.identity.refusal import AuthenticationError, Reason
from opuscine.identity.scopes import known_scopes
from opuscine.identity.verification_key import ALGORITHMS, MAX_KID_CHARS, VerificationKey
from opuscine.identity.verified_tokens import VerifiedTokens

MAX_TOKEN_CHARS = 8192
MAX_SUBJECT_CHARS = 128
MAX_LEEWAY_S = 30.0
# A token for another purpose says so here (RFC 8725, section 3.11: `logout+jwt`, `dpop+jwt`, ...) and is refused.
_ACCESS_TOKEN_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})

_jws = PyJWS(algorithms=ALGORITHMS)


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """Whose tokens are believed. Either `key` or `key_file` (with `algorithm`) or `jwks_url` is set."""

    issuer: str
    audience: str
    algorithm: str = ""  # with a JWKS address: the only one accepted; empty: RS256 and ES256
    key: SecretStr | None = None
    key_file: Path | None = None
    jwks_url: str = ""
    leeway_s: float = MAX_LEEWAY_S


class TokenHeader(NamedTuple):
    """What a token says of its own making. Nothing of it is believed: it only helps to find a key."""

    algorithm: str
    kid: str | None


class JwtVerifier:
    """Recognise users by tokens of one issuer for one audience."""

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        audience: str,
        leeway_s: float = MAX_LEEWAY_S,
        now: Callable[[], float] = time.time,
        remembered: int = 10_000,
    ) -> None:
        """Take what a token must say. `now` gives seconds since the epoch; `leeway_s` forgives clocks that disagree.

        Raises:
            SettingsError: no issuer, no audience, or more leeway than half a minute.
        """
        if not issuer or not audience:
            raise SettingsError("AUTH_JWT_ISSUER and AUTH_JWT_AUDIENCE: both must be set; valid: what the tokens say in `iss` and `aud`")
        if not 0 <= leeway_s <= MAX_LEEWAY_S:
            raise SettingsError(f"AUTH_JWT_LEEWAY: found {leeway_s:g}; valid: 0 to {MAX_LEEWAY_S:g} seconds")
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._leeway_s = leeway_s
        self._now = now
        self._verified = VerifiedTokens(limit=remembered)

    def recognise(self, token: str) -> Caller | None:
        """Return whose token it is if it was verified before and still counts. Costs no signature and no I/O."""
        if len(token) > MAX_TOKEN_CHARS:
            return None
        return self._verified.find(token, generation=self._keys.generation(), now_s=self._now())

    async def verify(self, token: str) -> Caller:
        """Return the user a token is about.

        Raises:
            AuthenticationError: it is not to be believed; also when the issuer's keys can't be had (authentication fails closed).
        """
        if caller := self.recognise(token):
            return caller
        header = read_header(token, self._keys.algorithms)
        keys = await self._keys.find(header.kid, header.algorithm)
        claims = verified_claims(token, keys)
        caller, expires_s = read_claims(claims, issuer=self._issuer, audience=self._audience, leeway_s=self._leeway_s, now_s=self._now())
        self._verified.remember(token, caller, generation=self._keys.generation(), good_until_s=expires_s + self._leeway_s)
        return caller

    async def refresh(self) -> None:
        """Get the keys anew, where they come from elsewhere; failure keeps the old ones."""
        await self._keys.refresh()

    async def close(self) -> None:
        """Stop what the keys' source does in the background."""
        await self._keys.close()


def read_header(token: str, algorithms: frozenset[str]) -> TokenHeader:
    """Read the unverified header of a token in compact form (RFC 7515, section 3.1).

    Raises:
        AuthenticationError: too long, malformed, encrypted, another kind of token, or an algorithm that is not set up.
    """
    if len(token) > MAX_TOKEN_CHARS:
        raise AuthenticationError(Reason.TOO_LONG)
    if not token.isascii() or token.count(".") != 2:  # an encrypted one has five parts
        raise AuthenticationError(Reason.MALFORMED)
    try:
        header = read_object(base64.urlsafe_b64decode(token[: token.index(".")] + "=="))
    except ValueError:
        raise AuthenticationError(Reason.MALFORMED) from None
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise AuthenticationError(Reason.WRONG_ALGORITHM)
    if not isinstance(kind, str) or kind.lower() not in _ACCESS_TOKEN_TYPES or "crit" in header or "b64" in header:
        raise AuthenticationError(Reason.MALFORMED)
    if kid is not None and not isinstance(kid, str):
        raise AuthenticationError(Reason.MALFORMED)
    if kid is not None and len(kid) > MAX_KID_CHARS:
        raise AuthenticationError(Reason.UNKNOWN_KEY)
    return TokenHeader(algorithm, kid)


def verified_claims(token: str, keys: Sequence[VerificationKey]) -> dict[str, Any]:
    """Return what a token says, once one of the keys has verified it, each by its own algorithm only.

    Raises:
        AuthenticationError: there is no key, none verifies it, or the content is not one JSON object.
    """
    if not keys:
        raise AuthenticationError(Reason.UNKNOWN_KEY)
    for key in keys:
        try:
            return read_object(_jws.decode_complete(token, key.material, algorithms=[key.algorithm])["payload"])
        except InvalidSignatureError:
            continue
        except (PyJWTError, ValueError):
            raise AuthenticationError(Reason.MALFORMED) from None
    raise AuthenticationError(Reason.BAD_SIGNATURE)


def read_claims(claims: Mapping[str, Any], *, issuer: str, audience: str, leeway_s: float, now_s: float) -> tuple[Caller, float]:
    """Return the user and the end of validity (seconds since the epoch) that verified claims state.

    `exp`, `iss`, `aud` and `sub` are required, `nbf` and `iat` count when they are there. `scope` is a text of words
    separated by blanks (RFC 8693, section 4.2) or, as Spring's authorization server writes it, a list of words.

    Raises:
        AuthenticationError: they are not for us, not valid now, or not of the types they should be.
    """
    expires_s = _instant(claims, "exp")
    if expires_s is None:
        raise AuthenticationError(Reason.BAD_CLAIMS)
    if now_s >= expires_s + leeway_s:
        raise AuthenticationError(Reason.EXPIRED)
    starts_s = max(_instant(claims, "nbf") or 0.0, _instant(claims, "iat") or 0.0)
    if now_s < starts_s - leeway_s:
        raise AuthenticationError(Reason.NOT_YET_VALID)
    if claims.get("iss") != issuer:
        raise AuthenticationError(Reason.WRONG_ISSUER)
    audiences = claims.get("aud")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise AuthenticationError(Reason.WRONG_AUDIENCE)
    subject, words = claims.get("sub"), claims.get("scope", "")
    # `isprintable` is false for control characters and for lone surrogates, which no log or store could take.
    if not isinstance(subject, str) or not subject.strip() or len(subject) > MAX_SUBJECT_CHARS or not subject.isprintable():
        raise AuthenticationError(Reason.BAD_CLAIMS)
    if isinstance(words, str):
        words = words.split(" ")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise AuthenticationError(Reason.BAD_CLAIMS)
    return Caller("jwt", known_scopes(words), subject, CallerKind.JWT), expires_s


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a claim that is a number of seconds since the epoch (RFC 7519, section 2), None if it is absent."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AuthenticationError(Reason.BAD_CLAIMS)
    try:
        seconds = float(value)
    except OverflowError:
        raise AuthenticationError(Reason.BAD_CLAIMS) from None
    if not math.isfinite(seconds):
        raise AuthenticationError(Reason.BAD_CLAIMS)
    return seconds
