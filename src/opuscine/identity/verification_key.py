"""The keys that tokens are verified with, each bound to the one algorithm it is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from opuscine.errors import SettingsError

ALGORITHMS = ("HS256", "RS256", "ES256")
PUBLIC_KEY_ALGORITHMS = frozenset({"RS256", "ES256"})

MAX_KID_CHARS = 256
_MAX_STATIC_KEYS = 8
_RSA_BITS = range(2048, 8193)  # shorter is broken (NIST SP 800-131A); longer costs more time than a request is worth
_SECRET_BYTES = 32  # RFC 7518, section 3.2
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)

Material = bytes | RSAPublicKey | EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and its algorithm. What a token's header says of algorithms never chooses how a key is used."""

    algorithm: str
    material: Material = field(repr=False)
    kid: str | None = None


def static_keys(algorithm: str, text: str) -> tuple[VerificationKey, ...]:
    """Read the configured keys: for HS256 one secret a line, else public keys in PEM, one after the other (rotation).

    Raises:
        SettingsError: no key, too many, or one that is unfit for the algorithm. Nothing of a key is shown.
    """
    if algorithm not in ALGORITHMS:
        raise SettingsError(f"AUTH_JWT_ALGORITHM: valid with AUTH_JWT_KEY: {', '.join(ALGORITHMS)}")
    if algorithm == "HS256":
        keys = [VerificationKey(algorithm, _secret(line)) for line in text.splitlines() if line.strip()]
    else:
        keys = [VerificationKey(algorithm, _public_key(algorithm, block[0], label=block[1])) for block in _PEM.finditer(text)]
    if not 1 <= len(keys) <= _MAX_STATIC_KEYS:
        kind = "secrets, one a line" if algorithm == "HS256" else "public keys in PEM (-----BEGIN PUBLIC KEY-----)"
        raise SettingsError(f"AUTH_JWT_KEY: found {len(keys)} keys; valid for {algorithm}: 1 to {_MAX_STATIC_KEYS} {kind}")
    return tuple(keys)


def key_from_jwk(jwk: Mapping[str, Any]) -> VerificationKey | None:
    """Read one member of a JWK set (RFC 7517); None for a key that no token of ours may be verified with.

    Those are secrets (`oct`: whoever can read the set could sign), keys for encryption, other algorithms, other curves and
    malformed ones. Private members are not looked at.
    """
    kind = jwk.get("kty"), jwk.get("crv")
    algorithm = "RS256" if kind[0] == "RSA" else "ES256" if kind == ("EC", "P-256") else ""
    kid, operations = jwk.get("kid"), jwk.get("key_ops", ["verify"])
    if (
        not algorithm
        or jwk.get("alg", algorithm) != algorithm
        or jwk.get("use", "sig") != "sig"
        or not (isinstance(operations, list) and "verify" in operations)
        or not (kid is None or (isinstance(kid, str) and len(kid) <= MAX_KID_CHARS))
    ):
        return None
    material: object
    try:
        if algorithm == "RS256":
            material = RSAAlgorithm.from_jwk({name: jwk[name] for name in ("kty", "n", "e")})
        else:
            material = ECAlgorithm.from_jwk({name: jwk[name] for name in ("kty", "crv", "x", "y")})
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, OverflowError):
        return None
    fitting = _fitting(algorithm, material)
    return None if fitting is None else VerificationKey(algorithm, fitting, kid)


def _fitting(algorithm: str, material: object) -> Material | None:
    if algorithm == "RS256":
        return material if isinstance(material, RSAPublicKey) and material.key_size in _RSA_BITS else None
    return material if isinstance(material, EllipticCurvePublicKey) and isinstance(material.curve, SECP256R1) else None


def _secret(line: str) -> bytes:
    secret = line.strip().encode()
    if len(secret) < _SECRET_BYTES:
        raise SettingsError(f"AUTH_JWT_KEY: a secret of {len(secret)} bytes; valid for HS256: at least {_SECRET_BYTES} random bytes a line")
    try:
        return HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except PyJWTError:
        raise SettingsError(
            "AUTH_JWT_KEY: a public key or JWK is no secret; valid for HS256: a random secret, or set AUTH_JWT_ALGORITHM"
        ) from None


def _public_key(algorithm: str, pem: str, *, label: str) -> Material:
    if label != "PUBLIC KEY":
        raise SettingsError(f"AUTH_JWT_KEY: found {label}; valid for {algorithm}: PUBLIC KEY, and nothing private belongs here")
    try:
        material = _fitting(algorithm, load_pem_public_key(pem.encode()))
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError("AUTH_JWT_KEY: a PUBLIC KEY block that can't be read; copy it anew, with its line breaks") from None
    if material is None:
        wanted = "an RSA key of 2048 to 8192 bits" if algorithm == "RS256" else "an EC key on P-256"
        raise SettingsError(f"AUTH_JWT_KEY: a public key of another kind; valid for {algorithm}: {wanted}")
    return material
