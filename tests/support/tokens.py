"""An issuer of tokens: its keys, honest tokens, and tokens that no honest library would write."""

from __future__ import annotations

import functools
import hmac
import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

ISSUER = "https://issuer.example"
AUDIENCE = "opuscine"
SECRET = "not-a-real-secret-but-long-enough-to-be-one"
NOW = 1_750_000_000.0

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@functools.cache
def rsa_key(name: str = "first", bits: int = 2048) -> rsa.RSAPrivateKey:
    """Make an RSA key, once a name."""
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ec_key(name: str = "first", curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    """Make an elliptic-curve key, once a name."""
    return ec.generate_private_key(curve())


def public_pem(key: PrivateKey) -> str:
    """Write the public half of a key as PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: PrivateKey) -> str:
    """Write a whole key as PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def jwk_of(key: PrivateKey, kid: str | None = None, **members: Any) -> dict[str, Any]:
    """Write the public half of a key as a member of a JWK set."""
    public = key.public_key()
    jwk = RSAAlgorithm.to_jwk(public, as_dict=True) if isinstance(public, rsa.RSAPublicKey) else ECAlgorithm.to_jwk(public, as_dict=True)
    return jwk | ({} if kid is None else {"kid": kid}) | members


def claims(**changes: Any) -> dict[str, Any]:
    """Return honest claims with changes; a change to None takes a claim away."""
    honest = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": NOW - 10, "exp": NOW + 300, "scope": "read recommend"}
    return {name: value for name, value in (honest | changes).items() if value is not None}


def signed(content: Mapping[str, Any], key: PrivateKey | str, algorithm: str, *, kid: str | None = None, **header: Any) -> str:
    """Sign claims as the issuer does, without a look at what they say."""
    return jwt.api_jws.encode(
        json.dumps(content).encode(), key, algorithm=algorithm, headers=({} if kid is None else {"kid": kid}) | header
    )


def assembled(header: bytes | Mapping[str, Any], payload: bytes, *, secret: bytes) -> str:
    """Write a token of any header and payload, with an HS256 signature that fits it."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    text = base64url_encode(head) + b"." + base64url_encode(payload)
    return (text + b"." + base64url_encode(hmac.digest(secret, text, "sha256"))).decode()
