"""An issuer's public keys, fetched from its JWKS address (RFC 7517, section 5) and kept."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence

import aiohttp
import structlog

from opuscine.errors import OpusCineError
from opuscine.identity.json_object import read_object
from opuscine.identity.refusal import AuthenticationError, Reason
from opuscine.identity.verification_key import PUBLIC_KEY_ALGORITHMS, VerificationKey, key_from_jwk

log = structlog.get_logger(__name__)

MAX_KEYS = 64
_TTL_BOUNDS_S = (60.0, 3600.0)  # a withdrawn key is noticed within the hour, whatever the issuer says
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=([0-9]{1,9})(?:$|[\s,])", re.IGNORECASE)
_HEADERS = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}


class JwksError(OpusCineError):
    """Say that an answer of the JWKS address is of no use."""


class Jwks:
    """Give the keys of an issuer, as fresh as can be had.

    The set is fetched when the first token needs it, and again once it is older than its time to live: then requests go on with
    the old set while one of them fetches. They wait for the fetch only when there is no set, when nobody has asked for so long
    that the set is of twice that age, or for a key id that it does not have: a new key counts from its first token on.
    There is one fetch at a time, and after a success none for `cool_down_s` (after failures 1, 2, 4, ... s, at most that long), so
    that made-up key ids can't make us flood the issuer. While the issuer can't be reached the last set stays in force, for
    `stale_max_s` at most: an attacker who cuts us off must not keep a withdrawn key alive for ever.
    """

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        *,
        algorithms: frozenset[str] = PUBLIC_KEY_ALGORITHMS,
        clock: Callable[[], float] = time.monotonic,
        ttl_s: float = 600.0,
        cool_down_s: float = 30.0,
        timeout_s: float = 2.0,
        stale_max_s: float = 86_400.0,
        max_bytes: int = 1_048_576,
    ) -> None:
        """Fetch nothing yet. `ttl_s` counts where the answer has no `max-age`."""
        self.algorithms = algorithms & PUBLIC_KEY_ALGORITHMS
        self._url = url
        self._session = session
        self._clock = clock
        self._default_ttl_s = ttl_s
        self._ttl_s = ttl_s
        self._cool_down_s = cool_down_s
        self._timeout_s = timeout_s
        self._stale_max_s = stale_max_s
        self._max_bytes = max_bytes
        self._keys: tuple[VerificationKey, ...] = ()
        self._body = b""
        self._generation = 0
        self._fetched_at: float | None = None
        self._asked_at: float | None = None  # the last attempt, whatever came of it
        self._next_fetch_at = float("-inf")
        self._failures = 0
        self._flight: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """Return how many keys are known."""
        return len(self._keys)

    @property
    def failures(self) -> int:
        """Return how many fetches have failed since the last success."""
        return self._failures

    @property
    def fetching(self) -> asyncio.Task[None] | None:
        """Return the fetch that is under way, if there is one."""
        return self._flight

    def generation(self) -> int | None:
        """Return a number for the present keys, and begin to renew them if it is time; None: `find` must be awaited first."""
        if self._must_wait():
            return None
        self._renew_if_due()
        return self._generation

    async def find(self, kid: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Return the key that a token names, or for one that names none the only key that fits.

        A key id is compared, nothing else: it is never part of an address or a path.

        Raises:
            AuthenticationError: no keys could be fetched, or only too long ago.
        """
        if self._must_wait():
            await self._renew()
        self._renew_if_due()
        found = self._match(kid, algorithm)
        if found is None:
            await self._renew()
            found = self._match(kid, algorithm)
        if self._fetched_at is None or self._age() >= self._stale_max_s:
            raise AuthenticationError(Reason.KEYS_UNAVAILABLE)
        return found or ()

    async def refresh(self) -> None:
        """Fetch now, at the start or when told to. A failure is logged, not raised; `failures` says whether there was one."""
        await self._fly()

    async def close(self) -> None:
        """Give up a fetch under way. The session is its owner's to close."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait({self._flight})

    def _match(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...] | None:
        """Return the keys that fit; None if a newer set might have one."""
        if kid is None:
            fitting = tuple(key for key in self._keys if key.algorithm == algorithm)
            return fitting if len(fitting) == 1 else () if fitting else None
        named = tuple(key for key in self._keys if key.kid == kid)
        return tuple(key for key in named if key.algorithm == algorithm) if named else None

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    def _must_wait(self) -> bool:
        long_ago = self._asked_at is None or self._clock() - self._asked_at >= 2 * self._ttl_s
        return self._fetched_at is None or (long_ago and self._age() >= 2 * self._ttl_s) or self._age() >= self._stale_max_s

    def _renew_if_due(self) -> None:
        if self._flight is None and self._age() >= self._ttl_s and self._clock() >= self._next_fetch_at:
            self._flight = self._take_off()

    async def _renew(self) -> None:
        """Wait for a fetch, the one under way or a new one, unless it is too early for a new one."""
        if self._flight is not None or self._clock() >= self._next_fetch_at:
            await self._fly()

    async def _fly(self) -> None:
        # `wait` neither cancels the fetch when this caller is cancelled nor raises what became of it.
        self._flight = self._flight or self._take_off()
        await asyncio.wait({self._flight})

    def _take_off(self) -> asyncio.Task[None]:
        flight = asyncio.create_task(self._fetch(), name="jwks-fetch")
        flight.add_done_callback(self._land)
        return flight

    def _land(self, _flight: asyncio.Task[None]) -> None:
        self._flight = None

    async def _fetch(self) -> None:
        self._asked_at = self._clock()
        try:
            async with asyncio.timeout(self._timeout_s):
                body, ttl_s = await self._get()
            keys = read_key_set(body, self.algorithms)
        except Exception as error:  # whatever went wrong, the last set stays and the next fetch is not at once
            self._fail(error)
            return
        if self._failures:
            log.info("jwks_available_again", failures=self._failures)
        if body != self._body:
            self._body, self._keys = body, keys
            self._generation += 1
            log.info("jwks_read", keys=len(keys))
        self._failures = 0
        self._ttl_s = ttl_s
        self._fetched_at = self._clock()
        self._next_fetch_at = self._fetched_at + self._cool_down_s

    def _fail(self, error: Exception) -> None:
        if not self._failures:
            log.warning(
                "jwks_unavailable",
                cause=type(error).__name__,
                detail=str(error) if isinstance(error, JwksError) else "",
                kept=len(self._keys),
            )
        self._next_fetch_at = self._clock() + min(self._cool_down_s, 2.0 ** min(self._failures, 30))
        self._failures += 1

    async def _get(self) -> tuple[bytes, float]:
        # Redirects are refused: keys from another address are not this issuer's. Nothing is unpacked: a small answer could be a large one.
        async with self._session.get(self._url, headers=_HEADERS, allow_redirects=False, auto_decompress=False) as response:
            if response.status != 200:
                raise JwksError(f"answered {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > self._max_bytes:
                    raise JwksError(f"more than {self._max_bytes} bytes")
            return bytes(body), ttl_of(response.headers.get("Cache-Control", ""), default_s=self._default_ttl_s)


def read_key_set(body: bytes, algorithms: frozenset[str]) -> tuple[VerificationKey, ...]:
    """Read a JWK set, without the keys that are not for us; of two with one id and algorithm the first counts.

    Raises:
        JwksError: it is not a JWK set, or none of its keys is for us.
    """
    try:
        members = read_object(body).get("keys")
    except ValueError as error:
        raise JwksError(f"not a JWK set: {error}") from None
    if not isinstance(members, list):
        raise JwksError("not a JWK set: no list of keys")
    keys: list[VerificationKey] = []
    for member in members[:MAX_KEYS]:
        key = key_from_jwk(member) if isinstance(member, dict) else None
        if key is not None and key.algorithm in algorithms and not any(_are_twins(key, known) for known in keys):
            keys.append(key)
    if not keys:
        raise JwksError(f"none of {len(members)} keys is for {' or '.join(sorted(algorithms))}")
    return tuple(keys)


def _are_twins(key: VerificationKey, known: VerificationKey) -> bool:
    """Say whether two keys can't be told apart by a token; of keys without an id only equal ones are."""
    return key == known or (key.kid is not None and (key.kid, key.algorithm) == (known.kid, known.algorithm))


def ttl_of(cache_control: str, *, default_s: float) -> float:
    """Return how many seconds an answer counts as fresh, by its `Cache-Control`, within our bounds."""
    least, most = _TTL_BOUNDS_S
    if re.search(r"\bno-(?:store|cache)\b", cache_control, re.IGNORECASE):
        return least
    found = _MAX_AGE.search(cache_control)
    return min(max(float(found[1]), least), most) if found else default_s
