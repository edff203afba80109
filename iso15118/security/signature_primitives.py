"""Signatures over octets as ISO 15118 messages carry them: raw r || s for ECDSA, 114 octets for Ed448.

X.509 libraries speak DER; the SignatureValue of a V2G message is the two numbers, each padded to the width of
the curve [V2G20-1000]: 132 octets for P-521, 64 for P-256. Ed448 is pure, with an empty context.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

SigningKey: TypeAlias = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
VerifyingKey: TypeAlias = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey

_SHA256_URI = "http://www.w3.org/2001/04/xmlenc#sha256"
_SHA512_URI = "http://www.w3.org/2001/04/xmlenc#sha512"
_SHAKE256_URI = "urn:iso:std:iso:15118:-20:Security:xmlenc#SHAKE256"
_ECDSA_URI = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-"
_ED448_URI = "urn:iso:std:iso:15118:-20:Security:xmldsig#Ed448"
ED448_RFC_9231_URI = "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed448"
"""What RFC 9231 calls Ed448: met in the field in place of the URN of ISO 15118-20."""


class SignatureError(ValueError):
    """A signature value that does not verify, or a key that cannot make or check one; the text says why."""


@dataclass(frozen=True)
class Algorithm:
    """A signature method with the digest that goes with it; `size` is in octets."""

    signature_uri: str
    digest_uri: str
    size: int
    digest_size: int


ECDSA_SHA512 = Algorithm(_ECDSA_URI + "sha512", _SHA512_URI, 132, 64)
"""ISO 15118-20 with secp521r1."""
ED448 = Algorithm(_ED448_URI, _SHAKE256_URI, 114, 64)
"""ISO 15118-20 with Ed448; the digest is the first 64 octets of SHAKE256."""
ED448_RFC_9231 = Algorithm(ED448_RFC_9231_URI, _SHAKE256_URI, 114, 64)
"""The same by another name, to write what some stacks write."""
ECDSA_SHA256 = Algorithm(_ECDSA_URI + "sha256", _SHA256_URI, 64, 32)
"""ISO 15118-2 with secp256r1; some -20 stacks use it too."""

ALGORITHMS = (ECDSA_SHA512, ED448, ECDSA_SHA256)


def algorithm_of(key: SigningKey | VerifyingKey) -> Algorithm:
    """The algorithm that goes with a key; SignatureError for a curve no profile knows."""
    if isinstance(key, ed448.Ed448PrivateKey | ed448.Ed448PublicKey):
        return ED448
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        if isinstance(key.curve, ec.SECP521R1):
            return ECDSA_SHA512
        if isinstance(key.curve, ec.SECP256R1):
            return ECDSA_SHA256
        raise SignatureError(f"no signature method for keys on {key.curve.name}")
    raise SignatureError(f"no signature method for a {type(key).__name__}")


def digest(data: bytes, digest_uri: str) -> bytes:
    """The digest of `data` by the method a DigestMethod element names."""
    if digest_uri == _SHA512_URI:
        return hashlib.sha512(data).digest()
    if digest_uri == _SHAKE256_URI:
        return hashlib.shake_256(data).digest(64)
    if digest_uri == _SHA256_URI:
        return hashlib.sha256(data).digest()
    raise SignatureError(f"digest method {digest_uri!r} is not known")


def sign(key: SigningKey, data: bytes, *, deterministic: bool = False) -> bytes:
    """The SignatureValue over `data`. `deterministic` makes ECDSA that of RFC 6979, for tests."""
    method = algorithm_of(key)
    if isinstance(key, ed448.Ed448PrivateKey):
        return key.sign(data)
    der = key.sign(data, ec.ECDSA(_hash(method), deterministic_signing=deterministic))
    width = method.size // 2
    return b"".join(number.to_bytes(width, "big") for number in decode_dss_signature(der))


def verify(key: VerifyingKey, signature: bytes, data: bytes) -> None:
    """Returns if `signature` is that of `data` by `key`; SignatureError otherwise."""
    method = algorithm_of(key)
    if len(signature) != method.size:
        hint = ""
        if isinstance(key, ec.EllipticCurvePublicKey) and signature[:1] == b"\x30":
            hint = ": it looks like DER, raw r || s is needed"
        raise SignatureError(f"SignatureValue has {len(signature)} octets, not {method.size}{hint}")
    try:
        if isinstance(key, ed448.Ed448PublicKey):
            key.verify(signature, data)
            return
        width = method.size // 2
        r, s = int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(_hash(method)))
    except InvalidSignature:
        raise SignatureError("SignatureValue does not verify with this key") from None


def _hash(method: Algorithm) -> hashes.SHA512 | hashes.SHA256:
    return hashes.SHA512() if method is ECDSA_SHA512 else hashes.SHA256()
