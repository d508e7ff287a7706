"""From a request's headers to its caller."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from multidict import istr

from opuscine.errors import SettingsError
from opuscine.identity.api_keys import ApiKeys
from opuscine.identity.caller import Caller
from opuscine.identity.jwks import Jwks
from opuscine.identity.jwt import JwtSettings, JwtVerifier
from opuscine.identity.key_source import KeySource, StaticKeys
from opuscine.identity.refusal import AuthenticationError, Reason
from opuscine.identity.verification_key import PUBLIC_KEY_ALGORITHMS, static_keys

_API_KEY_PREFIX = "oc_"
_X_API_KEY, _AUTHORIZATION = istr("X-Api-Key"), istr("Authorization")


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """How callers are recognised, and how many failed attempts an address has in how long."""

    keys_file: Path | None = None
    jwt: JwtSettings | None = None
    failures: int = 20
    failures_window_s: float = 60.0


class Authenticator:
    """Recognise callers by API keys, by tokens, or by both."""

    def __init__(self, api_keys: ApiKeys | None, jwt: JwtVerifier | None) -> None:
        """Take what callers are checked by; credentials of a kind that is None are refused."""
        self.api_keys = api_keys
        self.jwt = jwt

    @classmethod
    async def open(
        cls, settings: IdentitySettings, *, session: aiohttp.ClientSession, now: Callable[[], float] = time.time
    ) -> Authenticator:
        """Read the keys, begin to watch their file, and fetch the issuer's keys once; that the issuer is away stops nothing.

        `session` fetches those keys; it belongs to the caller and should keep no cookies.

        Raises:
            KeysFileError: the keys file can't be read, or not trusted, or a line is wrong.
            SettingsError: the settings for tokens are not complete or not valid.
        """
        jwt = _verifier(settings.jwt, session, now) if settings.jwt is not None else None
        authenticator = cls(ApiKeys(settings.keys_file, now=now) if settings.keys_file is not None else None, jwt)
        if jwt is not None:
            await jwt.refresh()
        if authenticator.api_keys is not None:
            authenticator.api_keys.start()
        return authenticator

    async def reload(self) -> None:
        """Read the keys file and fetch the issuer's keys again (SIGHUP); what can't be had stays as it was, and the log says so."""
        if self.api_keys is not None:
            await self.api_keys.reload()
        if self.jwt is not None:
            await self.jwt.refresh()

    async def close(self) -> None:
        """Stop watching and fetching."""
        if self.api_keys is not None:
            await self.api_keys.close()
        if self.jwt is not None:
            await self.jwt.close()

    async def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Return who makes a request.

        `headers` is aiohttp's: names in any case. A header that stands there twice must have been refused before.

        Raises:
            AuthenticationError: no credentials, or none that are believed. Whatever could not be checked is refused.
        """
        text, is_api_key = read_credential(headers)
        if is_api_key:
            if self.api_keys is None:
                raise AuthenticationError(Reason.UNSUPPORTED)
            return self.api_keys.authenticate(text)
        if self.jwt is None:
            raise AuthenticationError(Reason.UNSUPPORTED)
        return await self.jwt.verify(text)

    def recognise(self, headers: Mapping[str, str]) -> Caller | None:
        """Return the caller if that takes neither a signature nor I/O: an API key, or a token that was verified before.

        It lets callers whose credentials are good pass while others at their address have used up its budget of failures.
        """
        try:
            text, is_api_key = read_credential(headers)
            if is_api_key:
                return self.api_keys.authenticate(text) if self.api_keys is not None else None
        except AuthenticationError:
            return None
        return self.jwt.recognise(text) if self.jwt is not None else None


def read_credential(headers: Mapping[str, str]) -> tuple[str, bool]:
    """Return what `X-Api-Key` or `Authorization: Bearer` holds, and whether it is an API key.

    Raises:
        AuthenticationError: nothing there, another scheme, or two headers that do not say the same.
    """
    key, authorization = headers.get(_X_API_KEY), headers.get(_AUTHORIZATION)
    if authorization is None:
        if key is None:
            raise AuthenticationError(Reason.MISSING)
        return key.strip(), True
    scheme, _, rest = authorization.strip().partition(" ")
    bearer = rest.strip()
    if scheme.lower() != "bearer":
        raise AuthenticationError(Reason.UNSUPPORTED)
    if not bearer:
        raise AuthenticationError(Reason.MALFORMED)
    if key is not None and not _same(key.strip(), bearer):
        raise AuthenticationError(Reason.AMBIGUOUS)
    return bearer, bearer.startswith(_API_KEY_PREFIX)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def _verifier(settings: JwtSettings, session: aiohttp.ClientSession, now: Callable[[], float]) -> JwtVerifier:
    return JwtVerifier(
        _key_source(settings, session), issuer=settings.issuer, audience=settings.audience, leeway_s=settings.leeway_s, now=now
    )


def _key_source(settings: JwtSettings, session: aiohttp.ClientSession) -> KeySource:
    if sum((settings.key is not None, settings.key_file is not None, bool(settings.jwks_url))) != 1:
        raise SettingsError("AUTH_JWT_KEY, AUTH_JWT_KEY_FILE and AUTH_JWT_JWKS_URL: exactly one of them must be set with AUTH_JWT_ISSUER")
    if not settings.jwks_url:
        return StaticKeys(static_keys(settings.algorithm, _key_text(settings)))
    algorithms = frozenset({settings.algorithm}) if settings.algorithm else PUBLIC_KEY_ALGORITHMS
    if not algorithms <= PUBLIC_KEY_ALGORITHMS:
        raise SettingsError(f"AUTH_JWT_ALGORITHM: valid with AUTH_JWT_JWKS_URL: {', '.join(sorted(PUBLIC_KEY_ALGORITHMS))}, or nothing")
    return Jwks(settings.jwks_url, session, algorithms=algorithms)


def _key_text(settings: JwtSettings) -> str:
    if settings.key is not None:
        return settings.key.get_secret_value()
    try:
        return settings.key_file.read_text(encoding="utf-8") if settings.key_file is not None else ""
    except (OSError, ValueError):
        raise SettingsError(f"AUTH_JWT_KEY_FILE: {settings.key_file} can't be read; valid: path of a readable text file") from None
