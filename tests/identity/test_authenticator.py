from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from multidict import CIMultiDict
from pydantic import SecretStr

from opuscine.errors import SettingsError
from opuscine.identity.authenticator import Authenticator, IdentitySettings
from opuscine.identity.jwt import JwtSettings
from opuscine.identity.keys_editor import new_key, revoke_key
from opuscine.identity.keys_file import KeysFileError
from opuscine.identity.refusal import AuthenticationError, Reason
from support.jwks_server import JwksServer
from support.manual_clock import ManualClock
from support.tokens import AUDIENCE, ISSUER, NOW, SECRET, claims, jwk_of, public_pem, rsa_key, signed

JWT = JwtSettings(issuer=ISSUER, audience=AUDIENCE, algorithm="HS256", key=SecretStr(SECRET))
TOKEN = signed(claims(), SECRET, "HS256")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def key(path: Path) -> str:
    return new_key(path, "backend", ["read"]).key


@pytest.fixture
async def both(path: Path, key: str, session: aiohttp.ClientSession) -> AsyncIterator[Authenticator]:
    authenticator = await Authenticator.open(IdentitySettings(path, JWT), session=session, now=ManualClock(NOW))
    yield authenticator
    await authenticator.close()


async def refusal(of: Authenticator, **headers: str) -> Reason:
    sent = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    assert of.recognise(sent) is None
    with pytest.raises(AuthenticationError) as caught:
        await of.authenticate(sent)
    return caught.value.reason


async def test_a_key_is_taken_from_either_header_and_a_token_from_one(both: Authenticator, key: str) -> None:
    for headers in ({"x-api-key": key}, {"Authorization": f"Bearer {key}"}, {"authorization": f"bearer   {key} "}):
        assert (await both.authenticate(CIMultiDict(headers))).id == "key:backend"
    assert (await both.authenticate(CIMultiDict({"Authorization": f"BEARER {TOKEN}"}))).id == "jwt:user-1"
    assert await refusal(both, X_Api_Key=TOKEN) is Reason.MALFORMED


async def test_two_headers_must_say_the_same(both: Authenticator, key: str) -> None:
    assert (await both.authenticate(CIMultiDict({"X-Api-Key": key, "Authorization": f"Bearer {key}"}))).name == "backend"
    assert await refusal(both, X_Api_Key=key, Authorization=f"Bearer {TOKEN}") is Reason.AMBIGUOUS
    assert await refusal(both, X_Api_Key="", Authorization=f"Bearer {key}") is Reason.AMBIGUOUS
    assert await refusal(both, X_Api_Key="\udcff", Authorization=f"Bearer {key}") is Reason.AMBIGUOUS
    assert await refusal(both, X_Api_Key=key, Authorization="Basic dXNlcjpwYXNz") is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", Reason.UNSUPPORTED),
        ("Bearer", Reason.MALFORMED),
        ("Bearer  ", Reason.MALFORMED),
        ("Basic dXNlcjpwYXNz", Reason.UNSUPPORTED),
        (TOKEN, Reason.UNSUPPORTED),
        ("Bearer oc_", Reason.MALFORMED),
        (f"Bearer {TOKEN} {TOKEN}", Reason.MALFORMED),
        (f"Bearer {TOKEN},{TOKEN}", Reason.MALFORMED),
        ("Bearer é\udcff.a.b", Reason.MALFORMED),
    ],
)
async def test_other_authorizations_are_refused(both: Authenticator, authorization: str, reason: Reason) -> None:
    assert await refusal(both, Authorization=authorization) is reason


async def test_missing_credentials_are_no_attempt_and_wrong_ones_are(both: Authenticator) -> None:
    assert await refusal(both) is Reason.MISSING
    assert not AuthenticationError(Reason.MISSING).is_attempt
    assert AuthenticationError(Reason.WRONG_SECRET).is_attempt


async def test_what_is_not_set_up_is_refused(path: Path, key: str) -> None:
    nothing = Authenticator(None, None)
    assert await refusal(nothing, X_Api_Key=key) is Reason.UNSUPPORTED
    assert await refusal(nothing, Authorization=f"Bearer {TOKEN}") is Reason.UNSUPPORTED
    await nothing.reload()
    await nothing.close()


async def test_who_was_verified_before_is_recognised_without_a_signature(both: Authenticator, key: str) -> None:
    """So callers with good credentials pass although others at their address have spent its budget of failures."""
    token = CIMultiDict({"Authorization": f"Bearer {TOKEN}"})
    assert both.recognise(token) is None
    caller = await both.authenticate(token)
    assert both.recognise(token) is caller
    recognised = both.recognise(CIMultiDict({"X-Api-Key": key}))
    assert recognised is not None
    assert recognised.name == "backend"
    assert both.recognise(CIMultiDict({"X-Api-Key": key[:-1]})) is None


async def test_a_reload_reads_the_keys_file_and_fetches_the_issuers_keys(path: Path, session: aiohttp.ClientSession) -> None:
    made = new_key(path, "backend", ["read"])
    async with JwksServer(jwk_of(rsa_key(), "a")) as server:
        settings = IdentitySettings(path, JwtSettings(ISSUER, AUDIENCE, jwks_url=server.url))
        authenticator = await Authenticator.open(settings, session=session, now=lambda: NOW)
        assert server.fetches == 1
        token = signed(claims(), rsa_key(), "RS256", kid="a")
        assert (await authenticator.authenticate(CIMultiDict({"Authorization": f"Bearer {token}"}))).subject == "user-1"
        revoke_key(path, made.id)
        await authenticator.reload()
        assert server.fetches == 2
        assert await refusal(authenticator, X_Api_Key=made.key) is Reason.UNKNOWN_KEY
        await authenticator.close()


async def test_a_revoked_key_is_refused_within_two_seconds(path: Path, session: aiohttp.ClientSession) -> None:
    made, other = new_key(path, "backend", ["read"]), new_key(path, "other", ["read"])
    authenticator = await Authenticator.open(IdentitySettings(path), session=session)
    revoke_key(path, made.id)
    begun = time.monotonic()
    while authenticator.recognise(CIMultiDict({"X-Api-Key": made.key})) is not None:
        assert authenticator.recognise(CIMultiDict({"X-Api-Key": other.key})) is not None
        assert time.monotonic() - begun < 2
        await asyncio.sleep(0.01)
    assert await refusal(authenticator, X_Api_Key=made.key) is Reason.UNKNOWN_KEY
    await authenticator.close()


async def test_an_issuer_that_is_away_does_not_stop_the_start(session: aiohttp.ClientSession) -> None:
    async with JwksServer() as server:
        url = server.url
    authenticator = await Authenticator.open(IdentitySettings(jwt=JwtSettings(ISSUER, AUDIENCE, jwks_url=url)), session=session)
    token = signed(claims(exp=time.time() + 60), rsa_key(), "RS256", kid="a")
    assert await refusal(authenticator, Authorization=f"Bearer {token}") is Reason.KEYS_UNAVAILABLE
    await authenticator.close()


async def test_keys_come_from_a_file_too(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    pem = tmp_path / "issuer.pem"
    pem.write_text(public_pem(rsa_key()))
    settings = IdentitySettings(jwt=JwtSettings(ISSUER, AUDIENCE, algorithm="RS256", key_file=pem))
    authenticator = await Authenticator.open(settings, session=session, now=lambda: NOW)
    token = signed(claims(), rsa_key(), "RS256")
    assert (await authenticator.authenticate(CIMultiDict({"Authorization": f"Bearer {token}"}))).subject == "user-1"
    await authenticator.reload()
    await authenticator.close()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (replace(JWT, key=None), "exactly one of them must be set"),
        (replace(JWT, jwks_url="http://127.0.0.1:9/"), "exactly one of them must be set"),
        (replace(JWT, key=None, key_file=Path("/nonexistent/key")), "AUTH_JWT_KEY_FILE: .* can't be read"),
        (replace(JWT, key=SecretStr("short")), "5 bytes"),
        (replace(JWT, algorithm="HS512"), "AUTH_JWT_ALGORITHM"),
        (
            replace(JWT, key=None, jwks_url="http://127.0.0.1:9/"),
            "AUTH_JWT_ALGORITHM: valid with AUTH_JWT_JWKS_URL: ES256, RS256, or nothing",
        ),
        (replace(JWT, audience=""), "AUTH_JWT_AUDIENCE"),
    ],
)
async def test_unclear_settings_stop_the_start(session: aiohttp.ClientSession, settings: JwtSettings, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        await Authenticator.open(IdentitySettings(jwt=settings), session=session)
    assert SECRET not in str(caught.value)


@pytest.fixture
def writable(path: Path, key: str) -> Path:
    path.chmod(0o622)
    return path


async def test_a_keys_file_that_others_may_write_stops_the_start(writable: Path, session: aiohttp.ClientSession) -> None:
    with pytest.raises(KeysFileError, match="chmod 0600"):
        await Authenticator.open(IdentitySettings(writable), session=session)


def test_settings_show_no_secret() -> None:
    assert SECRET not in repr(IdentitySettings(jwt=JWT))
