"""Raw signatures against RFC 6979, RFC 8032 and the `openssl` command."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from iso15118.security.signature_primitives import (
    ECDSA_SHA256,
    ECDSA_SHA512,
    ED448,
    SignatureError,
    algorithm_of,
    digest,
    sign,
    verify,
)

# RFC 6979 appendix A.2.7: P-521, message "sample", SHA-512.
P521_KEY = 0x0FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75CAA896EB32F1F47C70855836A6D16FCC1466F6D8FBEC67DB89EC0C08B0E996B83538  # noqa: E501
P521_R = 0x0C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF05EC36E377FA  # noqa: E501
P521_S = 0x0617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4A67A  # noqa: E501
# RFC 6979 appendix A.2.5: P-256, message "sample", SHA-256.
P256_KEY = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
P256_R = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
P256_S = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8


def test_ecdsa_is_that_of_rfc_6979() -> None:
    for curve, key, r, s, width in (
        (ec.SECP521R1(), P521_KEY, P521_R, P521_S, 66),
        (ec.SECP256R1(), P256_KEY, P256_R, P256_S, 32),
    ):
        private = ec.derive_private_key(key, curve)
        signature = sign(private, b"sample", deterministic=True)
        assert signature == r.to_bytes(width, "big") + s.to_bytes(width, "big")
        verify(private.public_key(), signature, b"sample")


def test_ed448_is_that_of_rfc_8032() -> None:
    """Section 7.4, the blank message."""
    private = ed448.Ed448PrivateKey.from_private_bytes(
        bytes.fromhex(
            "6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960e"
            "f6e348a3528c8a3fcc2f044e39a3fc5b94492f8f032e7549a20098f95b"
        )
    )
    expected = bytes.fromhex(
        "533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823"
        "d41a591f2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd3980"
        "ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b4104852db99a"
        "c5c7cdda8530a113a0f4dbb61149f05a7363268c71d95808ff2e652600"
    )
    assert sign(private, b"") == expected
    verify(private.public_key(), expected, b"")


def test_algorithms_follow_the_key() -> None:
    p521, p256 = ec.derive_private_key(1, ec.SECP521R1()), ec.derive_private_key(1, ec.SECP256R1())
    edwards = ed448.Ed448PrivateKey.from_private_bytes(bytes(57))
    assert algorithm_of(p521) is algorithm_of(p521.public_key()) is ECDSA_SHA512
    assert algorithm_of(p256) is ECDSA_SHA256
    assert algorithm_of(edwards) is algorithm_of(edwards.public_key()) is ED448
    assert [len(sign(key, b"x")) for key in (p521, edwards, p256)] == [132, 114, 64]
    with pytest.raises(SignatureError, match="secp384r1"):
        algorithm_of(ec.derive_private_key(1, ec.SECP384R1()))
    with pytest.raises(SignatureError, match="RSA"):
        algorithm_of(rsa.generate_private_key(65537, 2048))  # type: ignore[arg-type]


def test_digests() -> None:
    # FIPS 180-4 examples for "abc"; SHAKE256 of the empty message: FIPS 202 examples.
    assert digest(b"abc", ECDSA_SHA256.digest_uri).hex().startswith("ba7816bf8f01cfea414140de5dae2223")
    assert digest(b"abc", ECDSA_SHA512.digest_uri).hex().startswith("ddaf35a193617abacc417349ae204131")
    shake = digest(b"", ED448.digest_uri)
    assert shake.hex().startswith("46b9dd2b0ba88d13233b3feb743eeb24")
    assert len(shake) == 64
    with pytest.raises(SignatureError, match="sha1"):
        digest(b"", "http://www.w3.org/2000/09/xmldsig#sha1")


@pytest.mark.parametrize("key", [ec.derive_private_key(5, ec.SECP521R1()),
                                 ed448.Ed448PrivateKey.from_private_bytes(bytes(range(57)))])  # fmt: skip
def test_what_is_wrong_is_refused(key) -> None:  # type: ignore[no-untyped-def]
    signature, public = sign(key, b"message"), key.public_key()
    half = len(signature) // 2
    with pytest.raises(SignatureError, match="does not verify"):
        verify(public, signature, b"another")
    with pytest.raises(SignatureError, match="does not verify"):
        verify(public, signature[half:] + signature[:half], b"message")
    with pytest.raises(SignatureError, match="does not verify"):
        verify(public, bytes(len(signature)), b"message")
    with pytest.raises(SignatureError, match=f"{len(signature) - 1} octets"):
        verify(public, signature[:-1], b"message")


def test_der_in_the_field_is_recognised() -> None:
    key = ec.derive_private_key(5, ec.SECP521R1())
    from cryptography.hazmat.primitives import hashes

    der = key.sign(b"message", ec.ECDSA(hashes.SHA512()))
    with pytest.raises(SignatureError, match="looks like DER"):
        verify(key.public_key(), der, b"message")


@pytest.mark.skipif(not shutil.which("openssl"), reason="the openssl command is not installed")
def test_signature_of_openssl_verifies(tmp_path: Path) -> None:
    key = ec.derive_private_key(5, ec.SECP521R1())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "data").write_bytes(b"message")
    command = ["openssl", "dgst", "-sha512", "-sign", str(tmp_path / "key.pem"), str(tmp_path / "data")]
    r, s = decode_dss_signature(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout)
    verify(key.public_key(), r.to_bytes(66, "big") + s.to_bytes(66, "big"), b"message")
