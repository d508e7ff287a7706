from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from opuscine.errors import SettingsError
from opuscine.identity.verification_key import key_from_jwk, static_keys
from support.tokens import SECRET, ec_key, jwk_of, private_pem, public_pem, rsa_key


def test_several_keys_of_one_algorithm_are_read() -> None:
    assert [key.material for key in static_keys("HS256", f"{SECRET}\n\n {SECRET}2\n")] == [SECRET.encode(), f"{SECRET}2".encode()]
    pems = public_pem(rsa_key()) + "\n# a note\n" + public_pem(rsa_key("second"))
    assert [key.material for key in static_keys("RS256", pems)] == [rsa_key().public_key(), rsa_key("second").public_key()]
    assert [key.algorithm for key in static_keys("ES256", public_pem(ec_key()))] == ["ES256"]


def ed25519_pem() -> str:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("algorithm", "text", "says"),
    [
        ("", SECRET, "AUTH_JWT_ALGORITHM: valid with AUTH_JWT_KEY: HS256, RS256, ES256"),
        ("none", SECRET, "AUTH_JWT_ALGORITHM"),
        ("HS256", "", "found 0 keys"),
        ("HS256", "s" * 31, "31 bytes"),
        ("HS256", json.dumps(jwk_of(rsa_key())), "is no secret"),
        ("RS256", SECRET, "found 0 keys"),
        ("RS256", private_pem(rsa_key()), "found PRIVATE KEY; valid for RS256: PUBLIC KEY"),
        ("RS256", public_pem(ec_key()), "an RSA key of 2048 to 8192 bits"),
        ("RS256", public_pem(rsa_key("short", 1024)), "an RSA key of 2048 to 8192 bits"),
        ("ES256", public_pem(rsa_key()), "an EC key on P-256"),
        ("ES256", public_pem(ec_key("other curve", ec.SECP384R1)), "an EC key on P-256"),
        ("ES256", ed25519_pem(), "an EC key on P-256"),
        ("ES256", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "can't be read"),
        ("ES256", public_pem(ec_key()) * 9, "found 9 keys"),
    ],
)
def test_unfit_keys_stop_the_start_and_are_not_shown(algorithm: str, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        static_keys(algorithm, text)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 200
    assert not text or text[:60] not in str(caught.value)


def test_a_public_key_as_a_secret_stops_the_start() -> None:
    """HS256 with the PEM of a public key would let everybody sign who knows that key."""
    with pytest.raises(SettingsError, match="AUTH_JWT_KEY"):
        static_keys("HS256", public_pem(rsa_key()))
    with pytest.raises(SettingsError, match="is no secret"):
        static_keys("HS256", public_pem(rsa_key()).replace("\n", " "))


def test_a_key_of_a_set_is_bound_to_the_algorithm_of_its_kind() -> None:
    key = key_from_jwk(jwk_of(rsa_key(), "a", alg="RS256", use="sig", key_ops=["verify", "sign"]))
    assert key is not None
    assert (key.algorithm, key.kid, key.material) == ("RS256", "a", rsa_key().public_key())
    key = key_from_jwk(jwk_of(ec_key()))
    assert key is not None
    assert (key.algorithm, key.kid, key.material) == ("ES256", None, ec_key().public_key())


def test_private_members_are_not_looked_at() -> None:
    jwk = RSAAlgorithm.to_jwk(rsa_key(), as_dict=True) | {"key_ops": ["verify"]}
    assert "d" in jwk
    key = key_from_jwk(jwk)
    assert key is not None
    assert key.material == rsa_key().public_key()


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0", "alg": "HS256"},
        {"kty": ["RSA"]},
        jwk_of(rsa_key(), alg="RS512"),
        jwk_of(rsa_key(), alg="HS256"),
        jwk_of(rsa_key(), alg="none"),
        jwk_of(rsa_key(), alg=["RS256"]),
        jwk_of(rsa_key(), use="enc"),
        jwk_of(rsa_key(), key_ops=["encrypt"]),
        jwk_of(rsa_key(), key_ops="verify"),
        jwk_of(rsa_key()) | {"kid": 5},
        jwk_of(rsa_key(), kid="k" * 257),
        jwk_of(rsa_key(), e=None),
        jwk_of(rsa_key(), e="AA"),
        jwk_of(rsa_key(), n="%%%"),
        jwk_of(rsa_key("short", 1024)),
        jwk_of(ec_key(), x="AAAA"),
        jwk_of(ec_key(), x=jwk_of(ec_key("second"))["x"]),
        jwk_of(ec_key("other curve", ec.SECP384R1)),
        jwk_of(ec_key("other curve", ec.SECP384R1), crv="P-256"),
        {name: value for name, value in jwk_of(ec_key()).items() if name != "y"},
    ],
)
def test_keys_that_no_token_of_ours_may_be_verified_with_are_passed_over(jwk: dict[str, Any]) -> None:
    assert key_from_jwk(jwk) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@given(
    st.sampled_from([jwk_of(rsa_key(), "a"), jwk_of(ec_key(), "a")]),
    st.dictionaries(st.sampled_from(["kty", "crv", "n", "e", "x", "y", "kid", "alg", "use", "key_ops"]), json_values, max_size=4),
)
def test_whatever_a_set_holds_it_is_a_key_or_passed_over(jwk: dict[str, Any], changes: dict[str, Any]) -> None:
    key = key_from_jwk(jwk | changes)
    assert key is None or key.algorithm in {"RS256", "ES256"}
