"""What each V2G certificate looks like: one table, role by edition.

Everything the tool mints, inspects or breaks on purpose is derived from `profile()`. Sources: Annex B of
ISO 15118-20 as read by several open implementations; where two readings exist the edition decides:

* `2022`     the first edition of ISO 15118-20: P-521 or Ed448, vehicle subject of CN and O only;
* `amd1`     its first amendment, as tested on chargers: vehicle subject with DC=EV, no cRLSign in its CAs;
* `iso2`     ISO 15118-2: P-256, SHA-256, no extended key usage, no vehicle certificate;
* `lenient`  -20 roles on P-256, for peers that cannot do P-521.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID


class Edition(StrEnum):
    """The text of the standard a hierarchy follows."""

    ISO_20 = "2022"
    AMD1 = "amd1"
    ISO_2 = "iso2"
    LENIENT = "lenient"


class Family(StrEnum):
    """The key and signature algorithm of a whole chain; families never mix inside one."""

    P521 = "p521"
    ED448 = "ed448"
    P256 = "p256"


class Role(StrEnum):
    """What a certificate is for."""

    V2G_ROOT = "v2g-root"
    OEM_ROOT = "oem-root"
    MO_ROOT = "mo-root"
    PE_ROOT = "pe-root"
    SUB_CA1 = "sub-ca1"
    SUB_CA2 = "sub-ca2"
    CROSS = "cross"
    SECC = "secc"
    VEHICLE = "vehicle"
    OEM_PROVISIONING = "oem-provisioning"
    CONTRACT = "contract"
    CPS = "cps"
    OCSP_SIGNER = "ocsp-signer"


CA_USAGE = frozenset({"key_cert_sign", "crl_sign"})
ROOT_ROLES = frozenset({Role.V2G_ROOT, Role.OEM_ROOT, Role.MO_ROOT, Role.PE_ROOT})

DEFAULT_FAMILY = {
    Edition.ISO_20: Family.P521,
    Edition.AMD1: Family.P521,
    Edition.ISO_2: Family.P256,
    Edition.LENIENT: Family.P256,
}
ALLOWED_FAMILIES = {
    Edition.ISO_20: frozenset({Family.P521, Family.ED448}),
    Edition.AMD1: frozenset({Family.P521, Family.ED448}),
    Edition.ISO_2: frozenset({Family.P256}),
    Edition.LENIENT: frozenset(Family),
}
MAX_DER_SIZE = {Edition.ISO_20: 1600, Edition.AMD1: 1600, Edition.ISO_2: 800, Edition.LENIENT: 1600}
"""Largest DER encoding of one certificate in bytes: the limit of the message schemas."""


@dataclass(frozen=True)
class Profile:
    """One cell of the table.

    `key_usage` and `tolerated_usage` hold the attribute names of `cryptography.x509.KeyUsage`; `days` is the
    validity given at minting; `dc` the domain component the subject must carry (None: none is expected).
    """

    role: Role
    is_ca: bool
    days: int
    path_length: int | None = None
    key_usage: frozenset[str] = frozenset({"digital_signature"})
    tolerated_usage: frozenset[str] = frozenset()
    extended_usage: ObjectIdentifier | None = None
    dc: str | None = None
    revocation_pointers: bool = True
    ocsp_no_check: bool = False


def _ca(role: Role, days: int, path_length: int | None, **more: object) -> Profile:
    return replace(
        Profile(role, is_ca=True, days=days, path_length=path_length, key_usage=CA_USAGE),
        **more,  # type: ignore[arg-type]
    )


_LEAF_EXTRAS = frozenset({"content_commitment", "key_encipherment", "key_agreement"})

_BASE: dict[Role, Profile] = {
    Role.V2G_ROOT: _ca(Role.V2G_ROOT, 40 * 365, None, dc="V2G", revocation_pointers=False),
    Role.OEM_ROOT: _ca(Role.OEM_ROOT, 40 * 365, None, dc="OEM", revocation_pointers=False),
    Role.MO_ROOT: _ca(Role.MO_ROOT, 40 * 365, None, dc="MO", revocation_pointers=False),
    Role.PE_ROOT: _ca(Role.PE_ROOT, 40 * 365, None, dc="PE", revocation_pointers=False),
    Role.SUB_CA1: _ca(Role.SUB_CA1, 12 * 365, 1),
    Role.SUB_CA2: _ca(Role.SUB_CA2, 10 * 365, 0),
    Role.CROSS: _ca(Role.CROSS, 20 * 365, None, dc="V2G"),
    Role.SECC: Profile(
        Role.SECC,
        is_ca=False,
        days=2 * 365,
        extended_usage=ExtendedKeyUsageOID.SERVER_AUTH,
        dc="CPO",
    ),
    Role.VEHICLE: Profile(
        Role.VEHICLE,
        is_ca=False,
        days=4 * 365,
        tolerated_usage=_LEAF_EXTRAS,
        extended_usage=ExtendedKeyUsageOID.CLIENT_AUTH,
    ),
    Role.OEM_PROVISIONING: Profile(Role.OEM_PROVISIONING, is_ca=False, days=4 * 365, dc="OEM"),
    Role.CONTRACT: Profile(
        Role.CONTRACT,
        is_ca=False,
        days=2 * 365,
        tolerated_usage=_LEAF_EXTRAS,
        dc="MO",
    ),
    Role.CPS: Profile(
        Role.CPS, is_ca=False, days=2 * 365, tolerated_usage=frozenset({"content_commitment"}), dc="CPS"
    ),
    Role.OCSP_SIGNER: Profile(
        Role.OCSP_SIGNER,
        is_ca=False,
        days=365,
        extended_usage=ExtendedKeyUsageOID.OCSP_SIGNING,
        revocation_pointers=False,
        ocsp_no_check=True,
    ),
}


def profile(role: Role, edition: Edition, family: Family | None = None) -> Profile:
    """The profile of `role` under `edition`; `family` decides on keyAgreement, an elliptic-curve-only bit."""
    cell = _BASE[role]
    family = family or DEFAULT_FAMILY[edition]
    if role in (Role.SECC, Role.OEM_PROVISIONING) and family is not Family.ED448:
        cell = replace(cell, key_usage=cell.key_usage | {"key_agreement"})
    if edition is Edition.AMD1 and role is Role.VEHICLE:
        cell = replace(cell, dc="EV")
    if edition is Edition.AMD1 and role in (Role.SUB_CA1, Role.SUB_CA2):
        # Chargers tested against the amendment refuse cRLSign in vehicle chains; elsewhere it stays usual.
        cell = replace(cell, key_usage=frozenset({"key_cert_sign"}), tolerated_usage=frozenset({"crl_sign"}))
    if edition is Edition.ISO_2:
        if role is Role.VEHICLE:
            raise ValueError("ISO 15118-2 has no vehicle certificate: its TLS does not ask the EV for one")
        if role is not Role.OCSP_SIGNER:
            cell = replace(cell, extended_usage=None)
        if role is Role.CONTRACT:
            cell = replace(cell, key_usage=cell.key_usage | _LEAF_EXTRAS)
    return cell
