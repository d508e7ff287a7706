from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from opuscine.identity.jwks import MAX_KEYS, Jwks, JwksError, read_key_set, ttl_of
from opuscine.identity.jwt import JwtVerifier
from opuscine.identity.refusal import AuthenticationError, Reason
from opuscine.identity.verification_key import PUBLIC_KEY_ALGORITHMS
from support.jwks_server import Behaviour, JwksServer
from support.manual_clock import ManualClock
from support.tokens import AUDIENCE, ISSUER, NOW, claims, ec_key, jwk_of, public_pem, rsa_key, signed

OLD = signed(claims(), rsa_key(), "RS256", kid="old")
NEW = signed(claims(sub="user-2"), rsa_key("second"), "RS256", kid="new")
OLD_JWK, NEW_JWK = jwk_of(rsa_key(), "old"), jwk_of(rsa_key("second"), "new")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[JwksServer]:
    async with JwksServer(OLD_JWK) as started:
        yield started


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def jwks(server: JwksServer, session: aiohttp.ClientSession, clock: ManualClock) -> AsyncIterator[Jwks]:
    keys = Jwks(server.url, session, clock=clock)
    yield keys
    await keys.close()


@pytest.fixture
def verifier(jwks: Jwks) -> JwtVerifier:
    return JwtVerifier(jwks, issuer=ISSUER, audience=AUDIENCE, now=ManualClock(NOW))


async def refusal(verifier: JwtVerifier, token: str) -> Reason:
    with pytest.raises(AuthenticationError) as caught:
        await verifier.verify(token)
    return caught.value.reason


async def settled(jwks: Jwks) -> None:
    """Wait for a fetch in the background, if there is one."""
    if jwks.fetching is not None:
        await asyncio.wait({jwks.fetching}, timeout=5)


async def test_the_set_is_fetched_for_the_first_token_and_kept(server: JwksServer, verifier: JwtVerifier) -> None:
    for number in range(3):
        token = signed(claims(sub=f"user-{number}"), rsa_key(), "RS256", kid="old")
        assert (await verifier.verify(token)).subject == f"user-{number}"
    assert server.fetches == 1
    assert server.paths == ["/keys.json"]


async def test_a_hundred_at_once_fetch_once(server: JwksServer, verifier: JwtVerifier) -> None:
    server.accepting.clear()
    calls = [asyncio.create_task(verifier.verify(signed(claims(sub=f"u{n}"), rsa_key(), "RS256", kid="old"))) for n in range(100)]
    async with asyncio.timeout(5):
        while not server.fetches:
            await asyncio.sleep(0.005)
    calls[0].cancel()  # who leaves takes nothing from the others
    server.accepting.set()
    callers = await asyncio.gather(*calls[1:])
    assert {caller.subject for caller in callers} == {f"u{n}" for n in range(1, 100)}
    assert server.fetches == 1


async def test_a_new_key_counts_from_its_first_token_on(server: JwksServer, verifier: JwtVerifier, clock: ManualClock) -> None:
    await verifier.verify(OLD)
    server.keys.append(NEW_JWK)
    clock.advance(31)
    assert (await verifier.verify(NEW)).subject == "user-2"
    assert (await verifier.verify(OLD)).subject == "user-1"
    assert server.fetches == 2


async def test_a_withdrawn_key_counts_no_more_once_the_set_is_renewed(
    server: JwksServer, jwks: Jwks, verifier: JwtVerifier, clock: ManualClock
) -> None:
    """Not even for a token that was verified before and is remembered."""
    await verifier.verify(OLD)
    server.keys[:] = [NEW_JWK]
    clock.advance(601)
    assert (await verifier.verify(OLD)).subject == "user-1"  # renewed in the background: nobody waits
    await settled(jwks)
    assert verifier.recognise(OLD) is None
    assert await refusal(verifier, OLD) is Reason.UNKNOWN_KEY
    assert (await verifier.verify(NEW)).subject == "user-2"
    assert server.fetches == 2


async def test_after_a_long_silence_the_first_token_waits_for_the_present_set(
    server: JwksServer, verifier: JwtVerifier, clock: ManualClock
) -> None:
    await verifier.verify(OLD)
    server.keys[:] = [NEW_JWK]
    clock.advance(1201)
    assert verifier.recognise(OLD) is None
    assert await refusal(verifier, OLD) is Reason.UNKNOWN_KEY


async def test_invented_key_ids_cost_one_fetch_in_a_cool_down(server: JwksServer, verifier: JwtVerifier, clock: ManualClock) -> None:
    await verifier.verify(OLD)
    for round_ in range(1, 4):
        for kid in ("../../etc/passwd", "http://127.0.0.1/x", "' OR 1=1", "old\x00", "OLD", "k" * 256, ""):
            token = signed(claims(), rsa_key("second"), "RS256", kid=kid)
            assert await refusal(verifier, token) is Reason.UNKNOWN_KEY
        assert server.fetches == round_
        clock.advance(29.9)
        assert await refusal(verifier, NEW) is Reason.UNKNOWN_KEY
        assert server.fetches == round_
        clock.advance(0.2)
    assert set(server.paths) == {"/keys.json"}  # a key id is never part of an address


async def test_a_known_key_id_with_another_algorithm_fetches_nothing(server: JwksServer, verifier: JwtVerifier, clock: ManualClock) -> None:
    await verifier.verify(OLD)
    clock.advance(31)
    assert await refusal(verifier, signed(claims(), ec_key(), "ES256", kid="old")) is Reason.UNKNOWN_KEY
    assert await refusal(verifier, signed(claims(), public_pem(rsa_key()).replace("-", "_"), "HS256", kid="old")) is Reason.WRONG_ALGORITHM
    assert server.fetches == 1


async def test_an_oct_key_in_a_set_signs_nothing(server: JwksServer, verifier: JwtVerifier) -> None:
    secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0"
    server.keys.append({"kty": "oct", "kid": "shared", "k": secret, "alg": "HS256"})
    assert await refusal(verifier, signed(claims(), "secret-secret-secret-secret-secret-", "HS256", kid="shared")) is Reason.WRONG_ALGORITHM


async def test_a_token_without_a_key_id_needs_that_exactly_one_key_fits(
    server: JwksServer, verifier: JwtVerifier, clock: ManualClock
) -> None:
    server.keys[:] = [jwk_of(rsa_key()), jwk_of(ec_key())]
    assert (await verifier.verify(signed(claims(), rsa_key(), "RS256"))).subject == "user-1"
    assert (await verifier.verify(signed(claims(), ec_key(), "ES256"))).subject == "user-1"
    assert await refusal(verifier, signed(claims(), ec_key("second"), "ES256")) is Reason.BAD_SIGNATURE
    assert await refusal(verifier, OLD) is Reason.UNKNOWN_KEY  # it names a key, and no key has a name
    server.keys.append(jwk_of(ec_key("second")))
    clock.advance(31)
    assert await refusal(verifier, OLD) is Reason.UNKNOWN_KEY  # fetches the set with two
    assert await refusal(verifier, signed(claims(), ec_key("second"), "ES256")) is Reason.UNKNOWN_KEY


async def test_while_the_issuer_is_away_known_keys_go_on_working(
    server: JwksServer, jwks: Jwks, verifier: JwtVerifier, clock: ManualClock
) -> None:
    await verifier.verify(OLD)
    await server.stop()
    with capture_logs() as logs:
        for hour in range(23):
            clock.advance(3600)
            fresh = signed(claims(sub=f"user-{hour}"), rsa_key(), "RS256", kid="old")
            assert (await verifier.verify(fresh)).subject == f"user-{hour}"
            assert await refusal(verifier, NEW) is Reason.UNKNOWN_KEY
            await settled(jwks)
    assert [entry["event"] for entry in logs] == ["jwks_unavailable"]  # said once
    assert jwks.failures >= 23

    server.keys.append(NEW_JWK)
    await server.start()
    clock.advance(30)
    with capture_logs() as logs:
        assert (await verifier.verify(NEW)).subject == "user-2"
    assert [entry["event"] for entry in logs] == ["jwks_available_again", "jwks_read"]
    assert jwks.failures == 0


async def test_a_set_that_could_not_be_renewed_for_a_day_is_not_believed(
    server: JwksServer, verifier: JwtVerifier, clock: ManualClock
) -> None:
    await verifier.verify(OLD)
    await server.stop()
    clock.advance(86_400)
    assert await refusal(verifier, OLD) is Reason.KEYS_UNAVAILABLE
    await server.start()
    clock.advance(30)
    assert (await verifier.verify(OLD)).subject == "user-1"


async def test_remembered_tokens_end_with_the_set_that_verified_them(
    server: JwksServer, jwks: Jwks, verifier: JwtVerifier, clock: ManualClock
) -> None:
    await verifier.verify(OLD)
    await server.stop()
    for _ in range(24):
        assert (await verifier.verify(OLD)).subject == "user-1"
        await settled(jwks)
        clock.advance(3599)
    clock.advance(23)
    await verifier.verify(OLD)
    await settled(jwks)
    clock.advance(1)
    assert verifier.recognise(OLD) is None
    assert await refusal(verifier, OLD) is Reason.KEYS_UNAVAILABLE


@pytest.mark.parametrize("spoil", [lambda token: token + ".e30", lambda token: token[:-1] + "é", lambda token: token.rpartition(".")[0]])
async def test_a_malformed_token_fetches_nothing(server: JwksServer, verifier: JwtVerifier, spoil: Callable[[str], str]) -> None:
    assert await refusal(verifier, spoil(OLD)) is Reason.MALFORMED
    assert server.fetches == 0


async def test_without_any_set_tokens_are_refused_until_the_issuer_is_there(
    server: JwksServer, jwks: Jwks, verifier: JwtVerifier, clock: ManualClock
) -> None:
    """Attempts are spaced 1, 2, 4, ... seconds, and a refusal for this reason is no guess of the caller's."""
    server.behaviour = "error"
    for _ in range(5):
        with pytest.raises(AuthenticationError) as caught:
            await verifier.verify(OLD)
        assert caught.value.reason is Reason.KEYS_UNAVAILABLE
        assert not caught.value.is_attempt
    assert server.fetches == 1
    for pause_s, fetches in ((0.9, 1), (0.1, 2), (1.9, 2), (0.1, 3), (3.9, 3), (0.1, 4)):
        clock.advance(pause_s)
        await refusal(verifier, OLD)
        assert server.fetches == fetches
    server.behaviour = "ok"
    clock.advance(8)
    assert (await verifier.verify(OLD)).subject == "user-1"
    assert jwks.count == 1


@pytest.mark.parametrize("behaviour", ["error", "redirect", "garbage", "list", "no_keys", "huge", "gzip", "cut"])
async def test_an_answer_of_no_use_keeps_the_last_set(
    server: JwksServer, jwks: Jwks, verifier: JwtVerifier, clock: ManualClock, behaviour: Behaviour
) -> None:
    await verifier.verify(OLD)
    server.behaviour = behaviour
    server.keys.append(NEW_JWK)
    clock.advance(31)
    assert await refusal(verifier, NEW) is Reason.UNKNOWN_KEY
    assert jwks.failures == 1
    assert (await verifier.verify(signed(claims(sub="x"), rsa_key(), "RS256", kid="old"))).subject == "x"
    assert set(server.paths) == {"/keys.json"}  # a redirect is not followed
    server.behaviour = "ok"
    clock.advance(31)
    assert (await verifier.verify(NEW)).subject == "user-2"


@pytest.mark.parametrize("behaviour", ["hang", "endless"])
async def test_a_slow_issuer_is_waited_for_so_long_and_no_longer(
    server: JwksServer, session: aiohttp.ClientSession, behaviour: Behaviour
) -> None:
    keys = Jwks(server.url, session, timeout_s=0.1)
    verifier = JwtVerifier(keys, issuer=ISSUER, audience=AUDIENCE, now=ManualClock(NOW))
    server.behaviour = behaviour
    async with asyncio.timeout(1.5):
        assert await refusal(verifier, OLD) is Reason.KEYS_UNAVAILABLE
    assert keys.failures == 1


async def test_closing_gives_up_a_fetch(server: JwksServer, jwks: Jwks) -> None:
    server.behaviour = "hang"
    fetching = asyncio.create_task(jwks.refresh())
    async with asyncio.timeout(5):
        while not server.fetches:
            await asyncio.sleep(0.005)
    await jwks.close()
    async with asyncio.timeout(1):
        await fetching
    assert jwks.count == 0
    await jwks.close()


async def test_a_closed_session_is_a_failure_like_any_other(server: JwksServer, session: aiohttp.ClientSession) -> None:
    keys = Jwks(server.url, session)
    await keys.refresh()
    await session.close()
    await keys.refresh()
    assert (keys.failures, keys.count) == (1, 1)


async def test_a_told_refresh_fetches_whatever_the_cool_down(server: JwksServer, jwks: Jwks) -> None:
    await jwks.refresh()
    server.keys.append(NEW_JWK)
    await jwks.refresh()
    assert (server.fetches, jwks.count) == (2, 2)


async def test_the_issuer_says_how_long_its_keys_are_fresh(
    server: JwksServer, jwks: Jwks, verifier: JwtVerifier, clock: ManualClock
) -> None:
    server.cache_control = "public, max-age=120, must-revalidate"
    await verifier.verify(OLD)
    clock.advance(119)
    await verifier.verify(OLD)
    await settled(jwks)
    assert server.fetches == 1
    clock.advance(2)
    await verifier.verify(OLD)
    await settled(jwks)
    assert server.fetches == 2


@pytest.mark.parametrize(
    ("cache_control", "ttl_s"),
    [
        ("", 600),
        ("public", 600),
        ("max-age=900", 900),
        ("MAX-AGE=900,public", 900),
        ("s-maxage=5, x-max-age=7", 600),
        ("max-age=1", 60),
        ("max-age=0", 60),
        ("max-age=99999999999999", 600),
        ("max-age=31536000", 3600),
        ("max-age=-1", 600),
        ("max-age=abc", 600),
        ("no-store, max-age=900", 60),
        ("no-cache", 60),
    ],
)
def test_freshness_stays_within_a_minute_and_an_hour(cache_control: str, ttl_s: float) -> None:
    assert ttl_of(cache_control, default_s=600) == ttl_s


def key_set(*members: Any) -> bytes:
    return repr(list(members)).replace("'", '"').join(('{"keys": ', "}")).encode()


def test_of_two_keys_with_one_id_the_first_counts_and_kinds_are_told_apart() -> None:
    body = key_set(OLD_JWK, jwk_of(rsa_key("second"), "old"), jwk_of(ec_key(), "old"), "no key", jwk_of(rsa_key()), jwk_of(rsa_key()))
    keys = read_key_set(body, PUBLIC_KEY_ALGORITHMS)
    assert [(key.kid, key.algorithm) for key in keys] == [("old", "RS256"), ("old", "ES256"), (None, "RS256")]
    assert keys[0].material == rsa_key().public_key()
    assert [key.algorithm for key in read_key_set(body, frozenset({"ES256"}))] == ["ES256"]


def test_a_set_whose_keys_are_no_list_is_refused() -> None:
    with pytest.raises(JwksError, match="no list of keys"):
        read_key_set(b'{"keys": {"kty": "RSA"}}', PUBLIC_KEY_ALGORITHMS)


def test_a_flood_of_keys_is_cut() -> None:
    body = key_set(*({"kty": "oct"} for _ in range(MAX_KEYS)), OLD_JWK)
    with pytest.raises(JwksError, match=f"none of {MAX_KEYS + 1} keys"):
        read_key_set(body, PUBLIC_KEY_ALGORITHMS)


@given(st.binary(max_size=100) | st.from_regex(rb'\{"keys": ?\[(\{"kty":"(RSA|EC)"[^\x00-\x1f]{0,20}\}?)*\]\}'))
def test_whatever_the_issuer_answers_it_is_a_set_or_refused(body: bytes) -> None:
    with pytest.raises(JwksError):
        read_key_set(body, PUBLIC_KEY_ALGORITHMS)
