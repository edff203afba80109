"""Private keys and randomness: fresh by default, or wholly determined by a seed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import TypeAlias

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x448

from pki.profiles import Family

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
AnyPrivateKey: TypeAlias = PrivateKey | rsa.RSAPrivateKey
Entropy: TypeAlias = Callable[[str, int], bytes]
"""`entropy(label, n)` gives n octets; the label keeps unrelated uses of one seed apart."""

_CURVES: dict[Family, ec.EllipticCurve] = {Family.P521: ec.SECP521R1(), Family.P256: ec.SECP256R1()}


def system_entropy(label: str, size: int) -> bytes:
    """Octets of the operating system's generator; the label is not needed there."""
    return os.urandom(size)


def seeded_entropy(seed: str) -> Entropy:
    """A reproducible source for tests: SHAKE-256 over seed and label. Keys made from it are not secret."""

    def draw(label: str, size: int) -> bytes:
        return hashlib.shake_256(f"v2g-pki\0{seed}\0{label}".encode()).digest(size)

    return draw


def make_key(family: Family, entropy: Entropy, label: str) -> PrivateKey:
    """A private key of `family`. 64 octets beyond the order make the bias of the reduction negligible."""
    if family is Family.ED448:
        return ed448.Ed448PrivateKey.from_private_bytes(entropy(f"key {label}", 57))
    curve = _CURVES[family]
    wide = int.from_bytes(entropy(f"key {label}", 66 + 64), "big")
    return ec.derive_private_key(wide % (curve.group_order - 1) + 1, curve)


def make_x448(entropy: Entropy, label: str) -> x448.X448PrivateKey:
    """The X448 key an Ed448 provisioning certificate carries beside its own."""
    return x448.X448PrivateKey.from_private_bytes(entropy(f"x448 {label}", 56))


def signing_hash(key: AnyPrivateKey) -> hashes.SHA512 | hashes.SHA256 | None:
    """The hash a certificate signature by `key` uses: none for Ed448, which hashes by itself."""
    if isinstance(key, ed448.Ed448PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP521R1):
        return hashes.SHA512()
    return hashes.SHA256()
