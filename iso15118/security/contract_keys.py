"""Wrapping a contract private key for one vehicle (CertificateInstallation), and unwrapping it.

ISO 15118-20: a one-pass Diffie-Hellman between an ephemeral key of the sender and the static key of the OEM
provisioning certificate, the concatenation KDF of NIST SP 800-56A with SHA-512, and AES-256-GCM; the field on
the wire is IV, ciphertext, tag. ISO 15118-2: the same on P-256 with SHA-256 and AES-128-CBC, no padding and
no integrity. On several points readings differ; `Wrapping` names each, and `unwrap` tries the known ones when
the chosen one fails, to say which reading the sender follows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Entropy: TypeAlias = Callable[[int], bytes]
ContractKey: TypeAlias = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey | x448.X448PrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey | x448.X448PublicKey
AgreementKey: TypeAlias = ec.EllipticCurvePrivateKey | x448.X448PrivateKey
AgreementPublicKey: TypeAlias = ec.EllipticCurvePublicKey | x448.X448PublicKey

IV_SIZE = 12
OTHER_INFO = b"\x01\x55\x56"
"""AlgorithmID 01, PartyUInfo "U", PartyVInfo "V"."""


class ContractKeyError(ValueError):
    """A wrapped contract key that cannot be used, with the field at fault and why."""


class Curve(StrEnum):
    """ECDHCurve of the response, and with it the field that carries the key."""

    SECP521 = "SECP521"
    X448 = "X448"


class SkiForm(StrEnum):
    """How the subject key identifier of the contract certificate enters the authenticated data."""

    HEX = "hex"
    """Upper-case hexadecimal text of the identifier as it is in the certificate."""
    HEX_8 = "hex-8"
    """The same, always of the eight-octet method 2 form."""
    RAW = "raw"
    """The octets themselves."""
    ABSENT = "absent"
    """No authenticated data at all, not even the PCID."""


class Ed448Seed(StrEnum):
    """What becomes of an Ed448 contract key: its 57 octets do not fit the 56 of the X448 field."""

    REFUSE = "refuse"
    LONG_FIELD = "long-field"
    """Send all 57, in a field of 85 octets."""


@dataclass(frozen=True)
class Wrapping:
    """The points on which readings of ISO 15118-20 differ; the defaults follow the text.

    `x448_key_size`: octets of DHPublicKey with X448, 57 by the text, 133 (zero-padded) by the schema.
    the 57 are 04 and the 56 of RFC 7748. `tpm_size`: octets of TPM_EncryptedPrivateKey,
    206 or 209; the blob itself is carried opaquely.
    """

    ski: SkiForm = SkiForm.HEX
    other_info: bytes = OTHER_INFO
    x448_key_size: int = 57
    ed448_seed: Ed448Seed = Ed448Seed.REFUSE
    tpm_size: int = 206


DEFAULT = Wrapping()
ALTERNATIVES: dict[str, Wrapping] = {
    "SKI as raw octets": replace(DEFAULT, ski=SkiForm.RAW),
    "SKI always of eight octets": replace(DEFAULT, ski=SkiForm.HEX_8),
    "no authenticated data": replace(DEFAULT, ski=SkiForm.ABSENT),
    "empty OtherInfo": replace(DEFAULT, other_info=b""),
    "empty OtherInfo, no authenticated data": replace(DEFAULT, other_info=b"", ski=SkiForm.ABSENT),
}
"""Readings met in other implementations, by name."""


@dataclass(frozen=True)
class WrappedKey:
    """What goes into SignedInstallationData: `dh_public_key` and the encrypted key, for `curve`."""

    curve: Curve
    dh_public_key: bytes
    encrypted_private_key: bytes


@dataclass(frozen=True)
class UnwrappedKey:
    """The contract key; `deviation` names the other reading that was needed to open it, or is None."""

    key: ContractKey = field(repr=False)
    deviation: str | None = None


def concat_kdf(secret: bytes, other_info: bytes, size: int, digest: str = "sha512") -> bytes:
    """Concatenation KDF of SP 800-56A: H(00000001 || Z || OtherInfo), in as many blocks as needed."""
    blocks = b""
    counter = 1
    while len(blocks) < size:
        blocks += hashlib.new(digest, counter.to_bytes(4, "big") + secret + other_info).digest()
        counter += 1
    return blocks[:size]


def authenticated_data(pcid: str, ski: bytes, form: SkiForm) -> bytes:
    """AAD of the wrapping: the PCID in ASCII followed by the identifier of the contract key."""
    if form is SkiForm.ABSENT:
        return b""
    if len(pcid) != 18 or not pcid.isascii():
        raise ContractKeyError(f"PCID {pcid!r}: 18 ASCII characters are needed")
    if form is SkiForm.RAW:
        return pcid.encode() + ski
    if form is SkiForm.HEX_8 and len(ski) != 8:
        # Method 2 of RFC 5280 section 4.2.1.2 from the SHA-1 of method 1.
        ski = bytes([0x40 | ski[-8] & 0x0F]) + ski[-7:]
    return (pcid + ski.hex().upper()).encode()


def wrap(
    key: ContractKey,
    recipient: AgreementPublicKey,
    *,
    pcid: str,
    ski: bytes,
    entropy: Entropy,
    settings: Wrapping = DEFAULT,
) -> WrappedKey:
    """Encrypt a contract key for the provisioning key `recipient` (P-521 or X448).

    `pcid` is the CN of the provisioning certificate, `ski` the subject key identifier of the contract
    certificate. `entropy(n)` gives n octets of a CSPRNG: an ephemeral key and the IV are made from it.
    """
    plain = _to_octets(key, recipient, settings)
    if isinstance(recipient, x448.X448PublicKey):
        ephemeral = x448.X448PrivateKey.from_private_bytes(entropy(56))
        secret, curve = ephemeral.exchange(recipient), Curve.X448
        public = b"\x04" + ephemeral.public_key().public_bytes_raw()
        public += bytes(settings.x448_key_size - len(public))
    else:
        _require_p521(recipient, "provisioning key")
        sender = _ephemeral_p521(entropy)
        secret, curve = sender.exchange(ec.ECDH(), recipient), Curve.SECP521
        public = sender.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    aes = AESGCM(concat_kdf(secret, settings.other_info, 32))
    iv = entropy(IV_SIZE)
    sealed = aes.encrypt(iv, plain, authenticated_data(pcid, ski, settings.ski))
    return WrappedKey(curve, public, iv + sealed)


def unwrap(
    wrapped: WrappedKey,
    recipient: AgreementKey,
    *,
    pcid: str,
    ski: bytes,
    contract: PublicKey,
    settings: Wrapping = DEFAULT,
    diagnose: bool = True,
) -> UnwrappedKey:
    """Decrypt a contract key and check that it belongs to the contract certificate's key `contract`.

    With `diagnose`, a blob the settings do not open is tried with every reading in `ALTERNATIVES`; the one
    that opens it is named in the result, so that the caller can refuse or report it.
    """
    secret = _agree(wrapped, recipient)
    _check_sizes(wrapped)
    failure = ContractKeyError("encrypted private key: the authentication tag does not fit")
    attempts: Iterator[tuple[str | None, Wrapping]] = iter([(None, settings)])
    if diagnose:
        attempts = iter([(None, settings), *ALTERNATIVES.items()])
    for name, reading in attempts:
        try:
            plain = AESGCM(concat_kdf(secret, reading.other_info, 32)).decrypt(
                wrapped.encrypted_private_key[:IV_SIZE],
                wrapped.encrypted_private_key[IV_SIZE:],
                authenticated_data(pcid, ski, reading.ski),
            )
        except InvalidTag:
            continue
        return UnwrappedKey(_from_octets(plain, contract), name)
    raise failure


def check_tpm_blob(blob: bytes, settings: Wrapping = DEFAULT) -> None:
    """TPM_EncryptedPrivateKey is for the vehicle's TPM alone: only its length can be checked."""
    if len(blob) != settings.tpm_size:
        raise ContractKeyError(f"TPM_EncryptedPrivateKey: {len(blob)} octets, not {settings.tpm_size}")


def _to_octets(key: ContractKey, recipient: AgreementPublicKey, settings: Wrapping) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        _require_p521(key.public_key(), "contract key")
        if isinstance(recipient, x448.X448PublicKey):
            raise ContractKeyError("contract key: P-521 does not fit the 56 octets of the X448 field")
        return key.private_numbers().private_value.to_bytes(66, "big")
    if not isinstance(recipient, x448.X448PublicKey):
        raise ContractKeyError("contract key: an Edwards or Montgomery key is sent with the curve X448 only")
    if isinstance(key, ed448.Ed448PrivateKey) and settings.ed448_seed is Ed448Seed.REFUSE:
        raise ContractKeyError("contract key: the 57 octets of Ed448 do not fit X448_EncryptedPrivateKey")
    return key.private_bytes_raw()


def _from_octets(plain: bytes, contract: PublicKey) -> ContractKey:
    key: ContractKey
    try:
        if isinstance(contract, ec.EllipticCurvePublicKey):
            key = ec.derive_private_key(int.from_bytes(plain, "big"), contract.curve)
        elif isinstance(contract, ed448.Ed448PublicKey):
            key = ed448.Ed448PrivateKey.from_private_bytes(plain)
        else:
            key = x448.X448PrivateKey.from_private_bytes(plain)
    except ValueError as error:
        raise ContractKeyError(f"private key: not a key of the curve of the certificate: {error}") from None
    if key.public_key() != contract:
        raise ContractKeyError("private key: does not belong to the contract certificate")
    return key


def _agree(wrapped: WrappedKey, recipient: AgreementKey) -> bytes:
    public = wrapped.dh_public_key
    if isinstance(recipient, x448.X448PrivateKey):
        if wrapped.curve is not Curve.X448:
            raise ContractKeyError(f"ECDHCurve: {wrapped.curve}, but the provisioning key is X448")
        padded = len(public) == 133 and not any(public[57:])  # the schema's length, zero-filled
        if (len(public) != 57 and not padded) or public[0] != 4:
            raise ContractKeyError(f"DHPublicKey: {len(public)} octets, 57 beginning with 04 are needed")
        try:
            return recipient.exchange(x448.X448PublicKey.from_public_bytes(public[1:57]))
        except ValueError:
            raise ContractKeyError("DHPublicKey: a point of small order") from None
    if wrapped.curve is not Curve.SECP521:
        raise ContractKeyError(f"ECDHCurve: {wrapped.curve}, but the provisioning key is secp521r1")
    _require_p521(recipient.public_key(), "provisioning key")
    if len(public) != 133 or public[0] != 4:
        raise ContractKeyError(f"DHPublicKey: {len(public)} octets, 133 beginning with 04 are needed")
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP521R1(), public)
    except ValueError:
        raise ContractKeyError("DHPublicKey: not a point of secp521r1") from None
    return recipient.exchange(ec.ECDH(), point)


def _check_sizes(wrapped: WrappedKey) -> None:
    allowed = (94,) if wrapped.curve is Curve.SECP521 else (84, 85)
    if len(wrapped.encrypted_private_key) not in allowed:
        found, wanted = len(wrapped.encrypted_private_key), " or ".join(map(str, allowed))
        raise ContractKeyError(f"{wrapped.curve}_EncryptedPrivateKey: {found} octets, not {wanted}")


def _require_p521(key: ec.EllipticCurvePublicKey, what: str) -> None:
    if not isinstance(key.curve, ec.SECP521R1):
        raise ContractKeyError(f"{what}: {key.curve.name}, secp521r1 is needed")


def _ephemeral_p521(entropy: Entropy) -> ec.EllipticCurvePrivateKey:
    curve = ec.SECP521R1()
    # 64 octets beyond the order make the bias of the reduction negligible (FIPS 186-5, A.2.1).
    return ec.derive_private_key(int.from_bytes(entropy(66 + 64), "big") % (curve.group_order - 1) + 1, curve)


def wrap_iso2(
    key: ec.EllipticCurvePrivateKey, recipient: ec.EllipticCurvePublicKey, *, entropy: Entropy
) -> tuple[bytes, bytes]:
    """(DHpublickey, encrypted key) of ISO 15118-2, 65 and 48 octets: P-256, SHA-256, AES-128-CBC."""
    curve = ec.SECP256R1()
    order = curve.group_order
    sender = ec.derive_private_key(int.from_bytes(entropy(32 + 64), "big") % (order - 1) + 1, curve)
    secret = concat_kdf(sender.exchange(ec.ECDH(), recipient), OTHER_INFO, 16, "sha256")
    iv = entropy(16)
    encryptor = Cipher(algorithms.AES128(secret), modes.CBC(iv)).encryptor()
    plain = key.private_numbers().private_value.to_bytes(32, "big")
    public = sender.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return public, iv + encryptor.update(plain) + encryptor.finalize()


def unwrap_iso2(
    dh_public_key: bytes,
    encrypted_private_key: bytes,
    recipient: ec.EllipticCurvePrivateKey,
    contract: ec.EllipticCurvePublicKey,
) -> ec.EllipticCurvePrivateKey:
    """The contract key of a -2 response. It has no tag: only the match with the certificate shows damage."""
    if len(encrypted_private_key) != 48:
        detail = f"{len(encrypted_private_key)} octets, 48 are needed"
        raise ContractKeyError(f"ContractSignatureEncryptedPrivateKey: {detail}")
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), dh_public_key)
    except ValueError:
        raise ContractKeyError("DHpublickey: not a point of secp256r1") from None
    secret = concat_kdf(recipient.exchange(ec.ECDH(), point), OTHER_INFO, 16, "sha256")
    decryptor = Cipher(algorithms.AES128(secret), modes.CBC(encrypted_private_key[:16])).decryptor()
    plain = decryptor.update(encrypted_private_key[16:]) + decryptor.finalize()
    key = _from_octets(plain, contract)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
