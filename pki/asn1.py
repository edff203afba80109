"""Certificates that `cryptography` refuses to build: decoded with an ASN.1 module, changed, signed again.

Two levels. `mutate` works on the decoded structure (asn1tools, DER); `edit_octets` replaces octets anywhere
in the encoding and mends the lengths around them, for values that are no ASN.1 at all. Both sign the result
with the key of the right issuer, so that only the intended fault is in it.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa

from pki.certificate import Credential
from pki.keys import AnyPrivateKey, signing_hash

_MODULE = "pkix.asn"


@cache
def module() -> Any:
    """The compiled ASN.1 module; asn1tools is an optional dependency, needed to break certificates only."""
    try:
        import asn1tools
    except ModuleNotFoundError:
        raise RuntimeError("this needs asn1tools: pip install 'hlc-sim[pki]'") from None
    beside = Path(__file__).parent.parent / "schemas" / _MODULE
    shared = Path(sysconfig.get_path("data")) / "share" / "hlc-sim" / "schemas" / _MODULE
    found = next((path for path in (beside, shared) if path.exists()), None)
    if found is None:
        raise FileNotFoundError(f"{_MODULE} is neither at {beside} nor at {shared}")
    return asn1tools.compile_files(str(found), "der")


def tlv(tag: int, body: bytes) -> bytes:
    """One DER element with a one-octet tag."""
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def split(data: bytes) -> list[tuple[int, bytes]]:
    """The DER elements in `data` as (tag, contents)."""
    elements, position = [], 0
    while position < len(data):
        tag, size, position = data[position], data[position + 1], position + 2
        if size & 0x80:
            count = size & 0x7F
            size, position = int.from_bytes(data[position : position + count], "big"), position + count
        elements.append((tag, data[position : position + size]))
        position += size
    return elements


def replace_octets(der: bytes, old: bytes, new: bytes) -> bytes:
    """`der` with the first element that contains, or is, `old` changed; lengths around it are mended."""
    done = False

    def rebuild(data: bytes) -> bytes:
        nonlocal done
        result = b""
        for tag, body in split(data):
            whole = tlv(tag, body)
            if not done and whole == old:
                done, whole = True, new
            elif not done and old in whole:
                if tag & 0x20:
                    whole = tlv(tag, rebuild(body))
                else:
                    done, whole = True, tlv(tag, body.replace(old, new, 1))
            result += whole
        return result

    changed = rebuild(der)
    if not done:
        raise ValueError(f"the octets {old.hex()} are not in the certificate")
    return changed


def sign(key: AnyPrivateKey, data: bytes, digest: hashes.HashAlgorithm | None = None) -> bytes:
    """A signature as certificates carry it."""
    chosen = digest or signing_hash(key)
    if isinstance(key, ed448.Ed448PrivateKey):
        return key.sign(data)
    assert chosen is not None
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), chosen)
    return key.sign(data, ec.ECDSA(chosen))


def _parts(der: bytes) -> tuple[bytes, bytes]:
    (_, body), *_ = split(der)
    (_, tbs), (_, algorithm), _ = split(body)
    return tlv(0x30, tbs), tlv(0x30, algorithm)


def wrap(tbs: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """A certificate from its three parts; the first two are complete elements."""
    return tlv(0x30, tbs + algorithm + tlv(0x03, b"\0" + signature))


def _issuer_key(credential: Credential) -> AnyPrivateKey:
    return credential.key if credential.issuer is None else credential.issuer.key


def mutate(
    credential: Credential,
    change: Callable[[dict[str, Any]], object],
    *,
    outer_algorithm: bytes | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """The certificate (DER) with `change` applied to its decoded tbsCertificate, signed again."""
    codec = module()
    decoded = codec.decode("Certificate", credential.der)
    inner = decoded["tbsCertificate"]
    change(inner)
    tbs = codec.encode("TBSCertificate", inner)
    algorithm = outer_algorithm or codec.encode("AlgorithmIdentifier", inner["signature"])
    return wrap(tbs, algorithm, sign(_issuer_key(credential), tbs, digest))


def edit_octets(credential: Credential, old: bytes, new: bytes) -> bytes:
    """The certificate with `old` replaced by `new` inside tbsCertificate, signed again."""
    tbs, algorithm = _parts(credential.der)
    changed = replace_octets(tbs, old, new)
    return wrap(changed, algorithm, sign(_issuer_key(credential), changed))


def with_signature(credential: Credential, change: Callable[[bytes], bytes]) -> bytes:
    """The certificate with its signature octets changed and nothing signed again."""
    (_, body), *_ = split(credential.der)
    (_, tbs), (_, algorithm), (_, signature) = split(body)
    return wrap(tlv(0x30, tbs), tlv(0x30, algorithm), change(signature[1:]))
