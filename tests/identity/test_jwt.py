from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt as pyjwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opuscine.errors import SettingsError
from opuscine.identity.caller import Caller, CallerKind
from opuscine.identity.jwt import MAX_TOKEN_CHARS, JwtVerifier, verified_claims
from opuscine.identity.key_source import StaticKeys
from opuscine.identity.refusal import AuthenticationError, Reason
from opuscine.identity.scopes import Scope
from opuscine.identity.verification_key import static_keys
from support.manual_clock import ManualClock
from support.tokens import AUDIENCE, ISSUER, NOW, SECRET, assembled, claims, ec_key, jwk_of, public_pem, rsa_key, signed

SECRET_BYTES = SECRET.encode()
CLAIMS = json.dumps(claims()).encode()
KEY_TEXTS = {"HS256": SECRET, "RS256": public_pem(rsa_key()), "ES256": public_pem(ec_key())}
PRIVATE_KEYS: dict[str, Any] = {"HS256": SECRET, "RS256": rsa_key(), "ES256": ec_key()}
PEM = KEY_TEXTS["RS256"]


def verifier(algorithm: str = "HS256", text: str | None = None, *, now: Callable[[], float] | None = None, **settings: Any) -> JwtVerifier:
    keys = StaticKeys(static_keys(algorithm, KEY_TEXTS[algorithm] if text is None else text))
    arguments: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "now": now or ManualClock(NOW)} | settings
    return JwtVerifier(keys, **arguments)


async def refusal(token: str, of: JwtVerifier) -> Reason:
    with pytest.raises(AuthenticationError) as caught:
        await of.verify(token)
    assert str(caught.value) == caught.value.reason.value
    assert of.recognise(token) is None
    return caught.value.reason


def hs256(**changes: Any) -> str:
    return signed(claims(**changes), SECRET, "HS256")


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
async def test_an_honest_token_is_its_user_with_the_scopes_that_are_ours(algorithm: str) -> None:
    token = signed(claims(scope="openid read recommend"), PRIVATE_KEYS[algorithm], algorithm, kid="any")
    caller = await verifier(algorithm).verify(token)
    assert caller == Caller("jwt", frozenset({Scope.READ, Scope.RECOMMEND}), "user-1", CallerKind.JWT)
    assert token not in repr(caller)


async def test_a_token_of_the_library_is_accepted_by_the_real_clock() -> None:
    token = pyjwt.encode({"iss": ISSUER, "aud": [AUDIENCE, "other"], "sub": "u", "exp": int(time.time()) + 60}, SECRET, algorithm="HS256")
    assert await verifier(now=time.time).verify(token) == Caller("jwt", frozenset(), "u", CallerKind.JWT)


async def test_every_configured_key_verifies() -> None:
    """Old and new key both count while an issuer changes its key."""
    both = verifier("ES256", KEY_TEXTS["ES256"] + public_pem(ec_key("second")))
    for key in (ec_key(), ec_key("second")):
        assert (await both.verify(signed(claims(), key, "ES256"))).subject == "user-1"
    assert await refusal(signed(claims(), ec_key("third"), "ES256"), both) is Reason.BAD_SIGNATURE


# Every way that is known to make a verifier believe what it should not, by what is configured.
CONFUSED: dict[str, tuple[str, str]] = {
    "alg none, no signature": ("HS256", signed(claims(), "", "none")),
    "alg None in other letters": ("HS256", signed(claims(), "", "none").replace("bm9uZSI", "Tm9uZSI")),
    "alg none for a public key": ("RS256", signed(claims(), "", "none")),
    "HS256 with the public key's PEM as its secret": ("RS256", assembled({"alg": "HS256", "typ": "JWT"}, CLAIMS, secret=PEM.encode())),
    "HS256 with the PEM without its last line end": ("RS256", assembled({"alg": "HS256"}, CLAIMS, secret=PEM.strip().encode())),
    "alg changed to RS256, signed with the PEM": ("RS256", assembled({"alg": "RS256"}, CLAIMS, secret=PEM.encode())),
    "alg changed in the header of an honest token": ("HS256", signed(claims(), rsa_key(), "RS256")),
    "HS512 with the right secret": ("HS256", signed(claims(), SECRET * 2, "HS512")),
    "PS256 by the right key": ("RS256", signed(claims(), rsa_key(), "PS256")),
    "RS512 by the right key": ("RS256", signed(claims(), rsa_key(), "RS512")),
    "alg is no text": ("HS256", assembled({"alg": ["HS256"]}, CLAIMS, secret=SECRET_BYTES)),
    "no alg": ("HS256", assembled({"typ": "JWT"}, CLAIMS, secret=SECRET_BYTES)),
    "alg twice, the last one right": ("HS256", assembled(b'{"alg":"none","alg":"HS256"}', CLAIMS, secret=SECRET_BYTES)),
    "a claim twice": ("HS256", assembled({"alg": "HS256"}, CLAIMS[:-1] + b',"sub":"admin"}', secret=SECRET_BYTES)),
    "another secret": ("HS256", signed(claims(), SECRET + "x", "HS256")),
    "another RSA key": ("RS256", signed(claims(), rsa_key("second"), "RS256")),
    "another EC key": ("ES256", signed(claims(), ec_key("second"), "ES256")),
    "its own key in the header (jwk)": ("ES256", signed(claims(), ec_key("second"), "ES256", jwk=jwk_of(ec_key("second")))),
    "its own key's address in the header (jku)": ("ES256", signed(claims(), ec_key("second"), "ES256", jku="http://127.0.0.1:9/")),
    "a zero ECDSA signature (CVE-2022-21449)": ("ES256", signed(claims(), ec_key(), "ES256").rpartition(".")[0] + "." + "A" * 86),
    "no signature": ("HS256", hs256().rpartition(".")[0] + "."),
    "truncated by one": ("HS256", hs256()[:-1]),
    "truncated to two parts": ("HS256", hs256().rpartition(".")[0]),
    "a byte of the payload changed": ("HS256", hs256().replace(".ey", ".fy", 1)),
    "four parts": ("HS256", hs256() + ".e30"),
    "encrypted (JWE, five parts)": ("HS256", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AAAA.AAAA.AAAA.AAAA"),
    "a token inside a token": ("HS256", assembled({"alg": "HS256", "cty": "JWT"}, hs256().encode(), secret=SECRET_BYTES)),
    "a token as a JSON text": ("HS256", assembled({"alg": "HS256"}, json.dumps(hs256()).encode(), secret=SECRET_BYTES)),
    "a list of claims": ("HS256", assembled({"alg": "HS256"}, json.dumps([claims()]).encode(), secret=SECRET_BYTES)),
    "a payload that is no JSON": ("HS256", assembled({"alg": "HS256"}, b"\xff\xfe", secret=SECRET_BYTES)),
    "a header that is a list": ("HS256", assembled(b'["HS256"]', CLAIMS, secret=SECRET_BYTES)),
    "a header that is no JSON": ("HS256", assembled(b"{", CLAIMS, secret=SECRET_BYTES)),
    "an unencoded payload (b64)": ("HS256", assembled({"alg": "HS256", "b64": False, "crit": ["b64"]}, b"", secret=SECRET_BYTES)),
    "something critical": ("HS256", assembled({"alg": "HS256", "crit": ["exp"]}, CLAIMS, secret=SECRET_BYTES)),
    "critical, but changing nothing": ("HS256", assembled({"alg": "HS256", "b64": True, "crit": ["b64"]}, CLAIMS, secret=SECRET_BYTES)),
    "a logout token": ("HS256", signed(claims(), SECRET, "HS256", typ="logout+jwt")),
    "a kid that is a number": ("HS256", assembled({"alg": "HS256", "kid": 1}, CLAIMS, secret=SECRET_BYTES)),
    "a huge kid": ("HS256", signed(claims(), SECRET, "HS256", kid="k" * 257)),
    "not base64": ("HS256", "%%%.%%%.%%%"),
    "line breaks inside": ("HS256", hs256().replace(".", ".\n", 1)),
    "letters that are not ASCII": ("HS256", hs256()[:-1] + "é"),
    "lone surrogates": ("HS256", hs256()[:-1] + "\udcff"),
    "empty": ("HS256", ""),
    "dots": ("HS256", ".."),
}  # fmt: skip

WRONG_CLAIMS: dict[str, tuple[Reason, dict[str, Any]]] = {
    "expired": (Reason.EXPIRED, {"exp": NOW - 30}),
    "no exp": (Reason.BAD_CLAIMS, {"exp": None}),
    "exp as text": (Reason.BAD_CLAIMS, {"exp": str(NOW + 300)}),
    "exp is true": (Reason.BAD_CLAIMS, {"exp": True}),
    "exp beyond all numbers": (Reason.BAD_CLAIMS, {"exp": 10**400}),
    "nbf in the future": (Reason.NOT_YET_VALID, {"nbf": NOW + 31}),
    "nbf as text": (Reason.BAD_CLAIMS, {"nbf": "0"}),
    "iat in the future": (Reason.NOT_YET_VALID, {"iat": NOW + 31}),
    "another issuer": (Reason.WRONG_ISSUER, {"iss": "https://issuer.example.evil.example"}),
    "an issuer with a slash more": (Reason.WRONG_ISSUER, {"iss": ISSUER + "/"}),
    "issuers in a list": (Reason.WRONG_ISSUER, {"iss": [ISSUER]}),
    "no issuer": (Reason.WRONG_ISSUER, {"iss": None}),
    "another audience": (Reason.WRONG_AUDIENCE, {"aud": "opuscine-admin"}),
    "other audiences": (Reason.WRONG_AUDIENCE, {"aud": ["a", "b"]}),
    "no audiences": (Reason.WRONG_AUDIENCE, {"aud": []}),
    "an audience within an audience": (Reason.WRONG_AUDIENCE, {"aud": [[AUDIENCE]]}),
    "audiences as an object": (Reason.WRONG_AUDIENCE, {"aud": {AUDIENCE: True}}),
    "no audience": (Reason.WRONG_AUDIENCE, {"aud": None}),
    "no sub": (Reason.BAD_CLAIMS, {"sub": None}),
    "sub is a number": (Reason.BAD_CLAIMS, {"sub": 1}),
    "sub is a list": (Reason.BAD_CLAIMS, {"sub": ["user-1"]}),
    "sub is empty": (Reason.BAD_CLAIMS, {"sub": ""}),
    "sub is blank": (Reason.BAD_CLAIMS, {"sub": "  "}),
    "sub is too long": (Reason.BAD_CLAIMS, {"sub": "u" * 129}),
    "sub breaks a line": (Reason.BAD_CLAIMS, {"sub": "user\nadmin"}),
    "sub is a lone surrogate": (Reason.BAD_CLAIMS, {"sub": "\ud800"}),
    "scope is a number": (Reason.BAD_CLAIMS, {"scope": 1}),
    "scope is a list of anything": (Reason.BAD_CLAIMS, {"scope": ["read", 1]}),
}


@pytest.mark.parametrize("name", CONFUSED)
async def test_a_confused_token_is_refused(name: str) -> None:
    algorithm, token = CONFUSED[name]
    await refusal(token, verifier(algorithm))


@pytest.mark.parametrize("name", WRONG_CLAIMS)
async def test_a_well_signed_token_with_wrong_claims_is_refused(name: str) -> None:
    reason, changes = WRONG_CLAIMS[name]
    assert await refusal(hs256(**changes), verifier()) is reason


def test_a_key_is_used_by_its_own_algorithm_only() -> None:
    """Even if a token reached a key that is for another algorithm than it names."""
    (key,) = static_keys("RS256", PEM)
    for token in (assembled({"alg": "HS256"}, CLAIMS, secret=PEM.encode()), signed(claims(), ec_key(), "ES256")):
        with pytest.raises(AuthenticationError):
            verified_claims(token, [key])


async def test_an_infinite_or_missing_number_is_no_instant() -> None:
    for number in (b"NaN", b"Infinity", b"1e999", b"null"):
        payload = json.dumps(claims(exp=None)).encode()[:-1] + b', "exp": ' + number + b"}"
        await refusal(assembled({"alg": "HS256"}, payload, secret=SECRET_BYTES), verifier())


async def test_a_huge_token_is_refused_before_it_is_read() -> None:
    longest = hs256(note="x" * ((MAX_TOKEN_CHARS - len(hs256(note=""))) * 3 // 4 - 10))
    assert MAX_TOKEN_CHARS - 50 < len(longest) <= MAX_TOKEN_CHARS
    assert (await verifier().verify(longest)).subject == "user-1"
    assert await refusal(longest + "A" * (MAX_TOKEN_CHARS + 1 - len(longest)), verifier()) is Reason.TOO_LONG
    assert await refusal("." * 10_000_000, verifier()) is Reason.TOO_LONG


async def test_scopes_may_be_a_list_or_absent() -> None:
    """Spring's authorization server writes a list."""
    assert (await verifier().verify(hs256(scope=["read", "openid"]))).scopes == {Scope.READ}
    assert (await verifier().verify(hs256(scope=None))).scopes == frozenset()
    assert (await verifier().verify(hs256(scope="  read\tadmin "))).scopes == frozenset()


async def test_clocks_may_disagree_by_the_leeway() -> None:
    clock = ManualClock(NOW)
    token = hs256(exp=NOW + 300, nbf=NOW - 10)
    for now in (NOW - 40, NOW + 329.9):
        clock.now = now
        assert (await verifier(now=clock).verify(token)).subject == "user-1"
    for now, reason in ((NOW - 40.1, Reason.NOT_YET_VALID), (NOW + 330, Reason.EXPIRED)):
        clock.now = now
        assert await refusal(token, verifier(now=clock)) is reason
    clock.now = NOW + 300
    assert await refusal(token, verifier(now=clock, leeway_s=0)) is Reason.EXPIRED


async def test_a_verified_token_is_recognised_until_it_expires() -> None:
    clock = ManualClock(NOW)
    of, token = verifier(now=clock), hs256(exp=NOW + 300)
    assert of.recognise(token) is None
    caller = await of.verify(token)
    assert of.recognise(token) is caller
    assert await of.verify(token) is caller
    assert of.recognise(token[:-1]) is None
    clock.now = NOW + 330
    assert await refusal(token, of) is Reason.EXPIRED


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"issuer": ""}, "AUTH_JWT_ISSUER"),
        ({"audience": ""}, "AUTH_JWT_AUDIENCE"),
        ({"leeway_s": 31}, "0 to 30"),
        ({"leeway_s": -1}, "0 to 30"),
    ],
)
def test_settings_that_would_believe_too_much_stop_the_start(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        verifier(**settings)


HONEST = hs256()
base64url = st.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode())


@given(
    st.text(max_size=100)
    | st.tuples(base64url, base64url, base64url).map(".".join)
    | st.tuples(st.integers(0, len(HONEST) - 1), st.characters(exclude_categories=[])).map(
        lambda change: HONEST[: change[0]] + change[1] + HONEST[change[0] + 1 :]
    )
)
async def test_whatever_is_sent_is_the_honest_token_or_refused(token: str) -> None:
    of = verifier()
    try:
        caller = await of.verify(token)
    except AuthenticationError:
        assert token != HONEST
    else:
        assert caller.subject == "user-1"
        assert token == HONEST


@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "scope"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
        | st.lists(st.text(max_size=8)),
    )
)
async def test_whatever_the_issuer_signs_only_our_user_comes_out(changes: dict[str, Any]) -> None:
    token = hs256(**changes)
    try:
        caller = await verifier().verify(token)
    except AuthenticationError:
        return
    assert caller.subject == changes.get("sub", "user-1")
    assert caller.id.isprintable()
    assert caller.scopes <= set(Scope)
