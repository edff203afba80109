"""Contract key wrapping against `openssl` (ECDH, KDF) and RFC 7748, and every way it can go wrong."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from iso15118.security.contract_keys import (
    ALTERNATIVES,
    DEFAULT,
    ContractKeyError,
    Curve,
    Ed448Seed,
    SkiForm,
    WrappedKey,
    authenticated_data,
    check_tpm_blob,
    concat_kdf,
    unwrap,
    unwrap_iso2,
    wrap,
    wrap_iso2,
)
from pki.hierarchy import PCID
from pki.profiles import Edition, Family

from .conftest import mint

SKI = bytes.fromhex("4a0102030405060f")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="the openssl command is not installed")


def entropy(seed: bytes = b"test") -> Callable[[int], bytes]:
    """Octets that depend on the seed and on how many were drawn before."""
    drawn = 0

    def draw(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return hashlib.shake_256(seed + bytes([drawn])).digest(size)

    return draw


PROVISIONING = ec.derive_private_key(0x123456789ABCDEF, ec.SECP521R1())
CONTRACT = ec.derive_private_key(0xFEDCBA987654321, ec.SECP521R1())
PROVISIONING_X = x448.X448PrivateKey.from_private_bytes(bytes(range(56)))
CONTRACT_ED = ed448.Ed448PrivateKey.from_private_bytes(bytes(range(57)))
CONTRACT_X = x448.X448PrivateKey.from_private_bytes(bytes(range(1, 57)))


def wrapped(**settings: object) -> WrappedKey:
    reading = replace(DEFAULT, **settings)  # type: ignore[arg-type]
    return wrap(CONTRACT, PROVISIONING.public_key(), pcid=PCID, ski=SKI, entropy=entropy(), settings=reading)


def opened(blob: WrappedKey, **changes: object):  # type: ignore[no-untyped-def]
    arguments = {"pcid": PCID, "ski": SKI, "contract": CONTRACT.public_key()} | changes
    return unwrap(blob, PROVISIONING, **arguments)  # type: ignore[arg-type]


def openssl(*arguments: object) -> bytes:
    return subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, check=True, timeout=20
    ).stdout


def test_p521_round_trip_has_the_lengths_of_the_schema() -> None:
    blob = wrapped()
    assert blob.curve is Curve.SECP521
    assert (len(blob.dh_public_key), len(blob.encrypted_private_key)) == (133, 94)
    result = opened(blob)
    assert result.key.private_numbers() == CONTRACT.private_numbers()
    assert result.deviation is None


def test_x448_round_trip_has_the_lengths_of_the_text() -> None:
    blob = wrap(CONTRACT_X, PROVISIONING_X.public_key(), pcid=PCID, ski=SKI, entropy=entropy())
    assert blob.curve is Curve.X448
    assert (len(blob.dh_public_key), len(blob.encrypted_private_key)) == (57, 84)
    result = unwrap(blob, PROVISIONING_X, pcid=PCID, ski=SKI, contract=CONTRACT_X.public_key())
    assert result.key.private_bytes_raw() == CONTRACT_X.private_bytes_raw()


@needs_openssl
@pytest.mark.parametrize("family", ["p521", "x448"])
def test_openssl_derives_the_same_key_and_opens_the_blob(family: str, tmp_path: Path) -> None:
    """ECDH by `openssl pkeyutl`, KDF by `openssl kdf SSKDF`: neither our code nor the same library."""
    recipient = PROVISIONING if family == "p521" else PROVISIONING_X
    contract = CONTRACT if family == "p521" else CONTRACT_X
    blob = wrap(contract, recipient.public_key(), pcid=PCID, ski=SKI, entropy=entropy())
    if family == "p521":
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP521R1(), blob.dh_public_key)
        plain = CONTRACT.private_numbers().private_value.to_bytes(66, "big")
    else:
        peer = x448.X448PublicKey.from_public_bytes(blob.dh_public_key[1:])
        plain = CONTRACT_X.private_bytes_raw()
    key = recipient.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "own.pem").write_bytes(key)
    (tmp_path / "peer.pem").write_bytes(peer.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    secret = openssl("pkeyutl", "-derive", "-inkey", tmp_path / "own.pem", "-peerkey", tmp_path / "peer.pem")
    assert len(secret) == (66 if family == "p521" else 56)
    derived = openssl("kdf", "-keylen", 32, "-kdfopt", "digest:SHA512", "-kdfopt", f"hexkey:{secret.hex()}",
                      "-kdfopt", "hexinfo:015556", "-binary", "SSKDF")  # fmt: skip
    sealed = blob.encrypted_private_key
    assert AESGCM(derived).decrypt(sealed[:12], sealed[12:], f"{PCID}4A0102030405060F".encode()) == plain


@needs_openssl
@pytest.mark.parametrize("size", [1, 32, 64, 65, 200])
def test_kdf_equals_that_of_openssl(size: int) -> None:
    secret = bytes(range(66))
    said = openssl("kdf", "-keylen", size, "-kdfopt", "digest:SHA512", "-kdfopt", f"hexkey:{secret.hex()}",
                   "-kdfopt", "hexinfo:015556", "-binary", "SSKDF")  # fmt: skip
    assert concat_kdf(secret, b"\x01\x55\x56", size) == said


def test_x448_agreement_is_that_of_rfc_7748() -> None:
    """Section 6.2: Alice wraps for Bob; the blob opens with a key derived from the RFC's shared secret."""
    bob = x448.X448PrivateKey.from_private_bytes(
        bytes.fromhex(
            "1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d"
            "6927c120bb5ee8972b0d3e21374c9c921b09d1b0366f10b65173992d"
        )
    )
    alice = bytes.fromhex(
        "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28d"
        "d9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b"
    )
    shared = bytes.fromhex(
        "07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282b"
        "b60c0b56fd2464c335543936521c24403085d59a449a5037514a879d"
    )

    def draw(size: int) -> bytes:
        return alice if size == 56 else bytes(size)

    blob = wrap(CONTRACT_X, bob.public_key(), pcid=PCID, ski=SKI, entropy=draw)
    key = hashlib.sha512(b"\0\0\0\1" + shared + b"\1UV").digest()[:32]
    sealed = blob.encrypted_private_key
    plain = AESGCM(key).decrypt(sealed[:12], sealed[12:], f"{PCID}4A0102030405060F".encode())
    assert plain == CONTRACT_X.private_bytes_raw()


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_another_reading_is_named(name: str) -> None:
    long = hashlib.sha1(b"key").digest()
    settings = ALTERNATIVES[name]
    blob = wrap(
        CONTRACT, PROVISIONING.public_key(), pcid=PCID, ski=long, entropy=entropy(), settings=settings
    )
    assert opened(blob, ski=long).deviation == name
    with pytest.raises(ContractKeyError, match="tag does not fit"):
        opened(blob, ski=long, diagnose=False)
    assert opened(blob, ski=long, settings=settings).deviation is None


def test_authenticated_data_forms() -> None:
    long = bytes.fromhex("00112233445566778899aabbccddeeff01234567")
    assert authenticated_data(PCID, SKI, SkiForm.HEX) == PCID.encode() + b"4A0102030405060F"
    assert len(authenticated_data(PCID, SKI, SkiForm.HEX)) == 34
    assert len(authenticated_data(PCID, long, SkiForm.HEX)) == 58
    assert authenticated_data(PCID, long, SkiForm.HEX_8) == PCID.encode() + b"4CDDEEFF01234567"
    assert authenticated_data(PCID, long, SkiForm.RAW) == PCID.encode() + long
    with pytest.raises(ContractKeyError, match="PCID"):
        authenticated_data("WMZP", SKI, SkiForm.HEX)


def test_wrong_context_is_refused() -> None:
    blob = wrapped()
    for changes in ({"pcid": PCID[:-1] + "Y"}, {"ski": bytes(8)}):
        with pytest.raises(ContractKeyError, match="tag does not fit"):
            opened(blob, **changes)
    with pytest.raises(ContractKeyError, match="does not belong"):
        opened(blob, contract=PROVISIONING.public_key())


@given(position=st.integers(0, 94 * 8 - 1))
def test_any_flipped_bit_is_noticed(position: int) -> None:
    blob = wrapped()
    octets = bytearray(blob.encrypted_private_key)
    octets[position // 8] ^= 1 << position % 8
    with pytest.raises(ContractKeyError, match="tag does not fit"):
        opened(replace(blob, encrypted_private_key=bytes(octets)))


def test_bad_public_keys_are_named() -> None:
    blob = wrapped()
    point = blob.dh_public_key
    for key, words in (
        (point[:-1] + bytes([point[-1] ^ 1]), "not a point"),
        (b"\x02" + point[1:67], "67 octets"),
        (b"\0", "1 octets"),
        (bytes(133), "133 octets"),
        (point[:57], "57 octets"),
    ):
        with pytest.raises(ContractKeyError, match=f"DHPublicKey: .*{words}"):
            opened(replace(blob, dh_public_key=key))
    with pytest.raises(ContractKeyError, match="ECDHCurve"):
        opened(replace(blob, curve=Curve.X448))
    with pytest.raises(ContractKeyError, match="SECP521_EncryptedPrivateKey: 93 octets, not 94"):
        opened(replace(blob, encrypted_private_key=bytes(93)))
    zero = WrappedKey(Curve.X448, b"\x04" + bytes(56), bytes(84))
    with pytest.raises(ContractKeyError, match="small order"):
        unwrap(zero, PROVISIONING_X, pcid=PCID, ski=SKI, contract=CONTRACT_X.public_key())


@pytest.mark.parametrize("scalar", [0, ec.SECP521R1().group_order, (1 << 528) - 1])
def test_scalar_outside_the_group_is_refused(scalar: int) -> None:
    sender = ec.derive_private_key(7, ec.SECP521R1())
    key = concat_kdf(sender.exchange(ec.ECDH(), PROVISIONING.public_key()), b"\x01\x55\x56", 32)
    sealed = AESGCM(key).encrypt(
        bytes(12), scalar.to_bytes(66, "big"), authenticated_data(PCID, SKI, SkiForm.HEX)
    )
    public = sender.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    with pytest.raises(ContractKeyError, match="not a key of the curve"):
        opened(WrappedKey(Curve.SECP521, public, bytes(12) + sealed))


def test_contradictions_of_the_standard_are_settings() -> None:
    with pytest.raises(ContractKeyError, match="57 octets of Ed448"):
        wrap(CONTRACT_ED, PROVISIONING_X.public_key(), pcid=PCID, ski=SKI, entropy=entropy())
    reading = replace(DEFAULT, ed448_seed=Ed448Seed.LONG_FIELD, x448_key_size=133)
    blob = wrap(
        CONTRACT_ED, PROVISIONING_X.public_key(), pcid=PCID, ski=SKI, entropy=entropy(), settings=reading
    )
    assert (len(blob.dh_public_key), len(blob.encrypted_private_key)) == (133, 85)
    result = unwrap(blob, PROVISIONING_X, pcid=PCID, ski=SKI, contract=CONTRACT_ED.public_key())
    assert result.key.private_bytes_raw() == CONTRACT_ED.private_bytes_raw()
    check_tpm_blob(bytes(206))
    check_tpm_blob(bytes(209), replace(DEFAULT, tpm_size=209))
    with pytest.raises(ContractKeyError, match="209 octets, not 206"):
        check_tpm_blob(bytes(209))


def test_minted_certificates_fit(minted) -> None:  # type: ignore[no-untyped-def]
    for family in (Family.P521, Family.ED448):
        hierarchy = mint(Edition.ISO_20, family)
        leaf, contract = hierarchy["oem_provisioning"], hierarchy["contract"]
        identifier = contract.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        own = leaf.agreement_key or leaf.key
        reading = replace(DEFAULT, ed448_seed=Ed448Seed.LONG_FIELD)
        arguments = {"pcid": PCID, "ski": identifier.value.digest}
        blob = wrap(contract.key, own.public_key(), entropy=entropy(), settings=reading, **arguments)
        assert unwrap(blob, own, contract=contract.certificate.public_key(), **arguments).deviation is None


def test_iso2_round_trip_and_its_only_check(tmp_path: Path) -> None:
    own = ec.derive_private_key(11, ec.SECP256R1())
    contract = ec.derive_private_key(13, ec.SECP256R1())
    public, sealed = wrap_iso2(contract, own.public_key(), entropy=entropy())
    assert (len(public), len(sealed)) == (65, 48)
    assert (
        unwrap_iso2(public, sealed, own, contract.public_key()).private_numbers()
        == contract.private_numbers()
    )
    damaged = sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:]
    with pytest.raises(ContractKeyError):
        unwrap_iso2(public, damaged, own, contract.public_key())
    with pytest.raises(ContractKeyError, match="47 octets"):
        unwrap_iso2(public, sealed[:-1], own, contract.public_key())


@needs_openssl
def test_iso2_opens_with_openssl_alone(tmp_path: Path) -> None:
    own = ec.derive_private_key(11, ec.SECP256R1())
    contract = ec.derive_private_key(13, ec.SECP256R1())
    public, sealed = wrap_iso2(contract, own.public_key(), entropy=entropy())
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    (tmp_path / "own.pem").write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "peer.pem").write_bytes(peer.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "sealed").write_bytes(sealed[16:])
    secret = openssl("pkeyutl", "-derive", "-inkey", tmp_path / "own.pem", "-peerkey", tmp_path / "peer.pem")
    key = openssl("kdf", "-keylen", 16, "-kdfopt", "digest:SHA256", "-kdfopt", f"hexkey:{secret.hex()}",
                  "-kdfopt", "hexinfo:015556", "-binary", "SSKDF")  # fmt: skip
    plain = openssl("enc", "-d", "-aes-128-cbc", "-nopad", "-K", key.hex(), "-iv", sealed[:16].hex(),
                    "-in", tmp_path / "sealed")  # fmt: skip
    assert int.from_bytes(plain, "big") == 13
