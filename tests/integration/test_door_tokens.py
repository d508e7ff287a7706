"""Tokens over HTTP: what is forged or confused is refused, an issuer that is away stops nobody whose key is known."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from opuscine.errors import SettingsError
from support.door import JWT, OTT, bearer, eventually, token
from support.jwks_server import JwksServer
from support.service import running
from support.tokens import AUDIENCE, ISSUER, SECRET, assembled, claims, ec_key, jwk_of, public_pem, rsa_key, signed

NOW = int(time.time())  # when the tests were collected, perhaps long ago
CLAIMS = json.dumps(claims(iat=NOW - 10, exp=NOW + 86_400)).encode()
PEM = public_pem(rsa_key())
RS: dict[str, Any] = {"key": rsa_key(), "algorithm": "RS256", "kid": "rsa-1"}
ES: dict[str, Any] = {"key": ec_key(), "algorithm": "ES256", "kid": "ec-1"}

# What is configured: a secret, a public key, or an issuer's set of keys.
WAYS: dict[str, dict[str, Any]] = {
    "HS256": dict(JWT),
    "RS256": {**JWT, "auth_jwt_algorithm": "RS256", "auth_jwt_key": PEM},
    "JWKS": {"auth_jwt_issuer": ISSUER, "auth_jwt_audience": AUDIENCE},
}
GOOD: dict[str, dict[str, Any]] = {"HS256": {}, "RS256": {"key": rsa_key(), "algorithm": "RS256"}, "JWKS": RS}


def confused(way: str) -> dict[str, str]:
    """Return every token that a verifier set up in this way might be led to believe."""
    good = GOOD[way]
    kid = good.get("kid")
    header = {"typ": "JWT"} | ({"kid": kid} if kid else {})
    return {
        "none": signed(claims(exp=NOW + 86_400), "", "none", kid=kid),
        "None in other letters": assembled({**header, "alg": "nOnE"}, CLAIMS, secret=b"").rpartition(".")[0] + ".",
        "HS256 with the public key as secret": assembled({**header, "alg": "HS256"}, CLAIMS, secret=PEM.encode()),
        "HS256 with the public key, stripped": assembled({**header, "alg": "HS256"}, CLAIMS, secret=PEM.strip().encode()),
        "RS256 in the header, an HMAC behind it": assembled({**header, "alg": "RS256"}, CLAIMS, secret=PEM.encode()),
        "another key": token(**{**good, "key": rsa_key("second"), "algorithm": "RS256"}),
        "its own key in its header": signed(claims(exp=NOW + 86_400), rsa_key("second"), "RS256", kid=kid, jwk=jwk_of(rsa_key("second"))),
        "another audience": token(**good, aud="others"),
        "no audience": token(**good, aud=None),
        "another issuer": token(**good, iss=ISSUER + ".evil.example"),
        "no issuer": token(**good, iss=None),
        "expired": token(**good, exp=NOW - 60),
        "no exp": token(**good, exp=None),
        "not yet valid": token(**good, nbf=NOW + 86_400),
        "no sub": token(**good, sub=None),
        "no signature": token(**good).rpartition(".")[0] + ".",
        "two parts": token(**good).rpartition(".")[0],
        "a letter changed": token(**good).replace(".ey", ".fy", 1),
    }


def confused_key_ids() -> dict[str, str]:
    """Return tokens whose key id names no key of the issuer, though its address, a file or another key is meant."""
    kids = {
        "unknown": "rsa-2",
        "a path": "../../keys.json",
        "an absolute path": "/dev/null",
        "an address": "http://127.0.0.1:9/keys.json",
        "a query": "rsa-1?x=1",
        "SQL": "' OR 1=1 --",
        "another algorithm's key": "ec-1",
        "other letters": "RSA-1",
        "empty": "",
    }
    return {f"kid: {name}": token(key=rsa_key(), algorithm="RS256", kid=kid) for name, kid in kids.items()} | {
        "kid: /dev/null, signed with nothing": assembled({"alg": "HS256", "kid": "/dev/null"}, CLAIMS, secret=b""),
        "jku": signed(claims(exp=NOW + 86_400), rsa_key("second"), "RS256", kid="rsa-1", jku="http://127.0.0.1:9/keys.json"),
    }


@pytest.fixture
async def issuer() -> AsyncIterator[JwksServer]:
    async with JwksServer(jwk_of(rsa_key(), "rsa-1"), jwk_of(ec_key(), "ec-1")) as started:
        yield started


@pytest.mark.parametrize("way", WAYS)
async def test_a_confused_token_is_401_in_the_same_words(compiled: Path, issuer: JwksServer, way: str) -> None:
    more = {"auth_jwt_jwks_url": issuer.url} if way == "JWKS" else {}
    forged = confused(way) | (confused_key_ids() if way == "JWKS" else {})
    async with running(compiled, auth="on", auth_failures=10_000, **WAYS[way], **more) as service:
        fetches = issuer.fetches
        said = set()
        for name, text in forged.items():
            async with service.caller.get(service.url + OTT, headers={**bearer(text), "X-Request-Id": "same"}) as response:
                assert response.status == 401, name
                assert response.headers["WWW-Authenticate"] == 'Bearer realm="opuscine"'
                said.add(await response.text())
        assert len(said) == 1
        await service.get(OTT, headers=bearer(token(**GOOD[way])))
        assert issuer.fetches <= fetches + 1  # made-up key ids do not make us flood the issuer
        assert set(issuer.paths) <= {"/keys.json"}


async def test_either_algorithm_of_an_issuer_is_believed(compiled: Path, issuer: JwksServer) -> None:
    async with running(compiled, auth="on", auth_jwt_jwks_url=issuer.url, **WAYS["JWKS"]) as service:
        for honest in (RS, ES):
            await service.get(OTT, headers=bearer(token(**honest)))


async def test_health_waits_for_no_issuer(compiled: Path, issuer: JwksServer) -> None:
    """Credentials that can't be checked at once count for nothing there; once the keys have come they do."""
    await issuer.stop()
    async with running(compiled, auth="on", auth_jwt_jwks_url=issuer.url, **WAYS["JWKS"]) as service:
        issuer.accepting.clear()
        await issuer.start()

        async def details() -> bool:
            began = time.monotonic()
            health = await service.get("/health", headers=bearer(token(**RS)))
            assert time.monotonic() - began < 0.5
            return bool(health["components"]["catalogue"]["details"])

        async def asked() -> bool:
            assert not await details()
            return issuer.fetches > 0

        await eventually(asked, for_s=5, what="a question to the issuer")
        assert not await details()
        issuer.accepting.set()
        await eventually(details, for_s=5, what="a token that is believed")


async def test_a_secret_that_is_short_or_public_stops_the_start(compiled: Path) -> None:
    for key in (SECRET[:31], PEM):
        with pytest.raises(SettingsError, match="AUTH_JWT_KEY"):
            async with running(compiled, auth="on", **{**JWT, "auth_jwt_key": key}):
                raise AssertionError("it started")
