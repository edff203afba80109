"""The rules one certificate of a V2G chain must obey, by role and edition.

`chain.check_chain` walks a chain and asks this module about every certificate in it. Each rule knows the
TLS alert a device answers with and, where a reliable one is known, the id of its requirement. The tables
come from Annex B of ISO 15118-20 as several implementations read it; where readings differ, `Policy` has a
setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, SignatureAlgorithmOID

from iso15118.security.tls_profile import Alert


class Edition(StrEnum):
    """Which text decides where the texts differ; `LENIENT` accepts what today's stacks present."""

    ISO_20 = "2022"
    AMD1 = "amd1"
    ISO_2 = "iso2"
    LENIENT = "lenient"


class Role(StrEnum):
    """What the leaf of the chain is for."""

    SECC = "secc"
    VEHICLE = "vehicle"
    OEM_PROVISIONING = "oem-provisioning"
    CONTRACT = "contract"
    CPS = "cps"
    OCSP_SIGNER = "ocsp-signer"


class Rule(Enum):
    """Every rule with its TLS alert and its requirement id (None where none is known for certain)."""

    MALFORMED = "malformed", Alert.BAD_CERTIFICATE, None
    TOO_LARGE = "too-large", Alert.BAD_CERTIFICATE, None
    SERIAL_NUMBER = "serial-number", Alert.BAD_CERTIFICATE, None
    NOT_DER = "not-der", Alert.BAD_CERTIFICATE, None
    NAME_STRING = "name-string", Alert.BAD_CERTIFICATE, None
    CHAIN_EMPTY = "chain-empty", Alert.CERTIFICATE_REQUIRED, None
    CHAIN_LENGTH = "chain-length", Alert.BAD_CERTIFICATE, None
    CHAIN_ORDER = "chain-order", Alert.BAD_CERTIFICATE, None
    ROOT_ON_WIRE = "root-on-wire", Alert.BAD_CERTIFICATE, None
    UNKNOWN_ISSUER = "unknown-issuer", Alert.UNKNOWN_CA, None
    SIGNATURE = "signature", Alert.DECRYPT_ERROR, None
    SIGNATURE_ALGORITHM = "signature-algorithm", Alert.CERTIFICATE_UNKNOWN, None
    KEY_FAMILY = "key-family", Alert.UNSUPPORTED_CERTIFICATE, "V2G20-2674"
    MIXED_FAMILIES = "mixed-families", Alert.UNSUPPORTED_CERTIFICATE, "V2G20-2319"
    KEY_ENCODING = "key-encoding", Alert.BAD_CERTIFICATE, None
    EXPIRED = "expired", Alert.CERTIFICATE_EXPIRED, None
    NOT_YET_VALID = "not-yet-valid", Alert.CERTIFICATE_UNKNOWN, None
    VALIDITY_NESTING = "validity-nesting", Alert.CERTIFICATE_UNKNOWN, None
    CRITICAL_EXTENSION = "critical-extension", Alert.BAD_CERTIFICATE, None
    EXTENSION = "extension", Alert.CERTIFICATE_UNKNOWN, None
    CRITICALITY = "criticality", Alert.CERTIFICATE_UNKNOWN, None
    CRITICAL_AIA = "critical-aia", Alert.BAD_CERTIFICATE, None
    CA_BASIC_CONSTRAINTS = "ca-basic-constraints", Alert.UNKNOWN_CA, None
    PATH_LENGTH = "path-length", Alert.UNKNOWN_CA, None
    CA_KEY_USAGE = "ca-key-usage", Alert.UNKNOWN_CA, None
    LEAF_BASIC_CONSTRAINTS = "leaf-basic-constraints", Alert.CERTIFICATE_UNKNOWN, None
    KEY_USAGE = "key-usage", Alert.UNSUPPORTED_CERTIFICATE, None
    EXTENDED_KEY_USAGE = "extended-key-usage", Alert.UNSUPPORTED_CERTIFICATE, None
    SUBJECT_KEY_ID = "subject-key-id", Alert.CERTIFICATE_UNKNOWN, None
    AUTHORITY_KEY_ID = "authority-key-id", Alert.CERTIFICATE_UNKNOWN, None
    REVOCATION_POINTER = "revocation-pointer", Alert.CERTIFICATE_UNKNOWN, None
    SUBJECT = "subject", Alert.CERTIFICATE_UNKNOWN, "V2G20-2598"
    COMMON_NAME = "common-name", Alert.CERTIFICATE_UNKNOWN, None
    DOMAIN_COMPONENT = "domain-component", Alert.CERTIFICATE_UNKNOWN, None
    REVOKED = "revoked", Alert.CERTIFICATE_REVOKED, None
    REVOCATION_LIST = "revocation-list", Alert.CERTIFICATE_UNKNOWN, None
    STAPLE_MISSING = "staple-missing", Alert.BAD_CERTIFICATE_STATUS_RESPONSE, "V2G20-2388"
    STAPLE = "staple", Alert.BAD_CERTIFICATE_STATUS_RESPONSE, "V2G20-2409"
    STAPLE_VALIDITY = "staple-validity", Alert.BAD_CERTIFICATE_STATUS_RESPONSE, "V2G20-1021"

    def __init__(self, code: str, alert: Alert, requirement: str | None) -> None:
        self.code = code
        self.alert = alert
        self.requirement = requirement


@dataclass(frozen=True)
class Fault:
    """A broken rule: `index` 0 is the leaf. A remark is reported but does not decide the verdict."""

    rule: Rule
    index: int
    detail: str
    remark: bool = False

    @property
    def alert(self) -> Alert:
        return self.rule.alert

    def __str__(self) -> str:
        where = "leaf" if self.index == 0 else f"certificate {self.index + 1}"
        cite = f" [{self.rule.requirement}]" if self.rule.requirement else ""
        return f"{where}: {self.rule.code}: {self.detail}{cite}"


class Family(StrEnum):
    """Key and signature algorithm of a chain."""

    P521 = "p521"
    ED448 = "ed448"
    P256 = "p256"


class Strictness(StrEnum):
    """How a point is treated on which the readings of the standard differ."""

    REQUIRE = "require"
    TOLERATE = "tolerate"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Policy:
    """The settings of a check. None in a setting means: as the edition and the role have it.

    `crl_sign` is cRLSign in the keyUsage of CAs; `critical_identifiers` the criticality of SKI, AKI and AIA;
    `extra_names` subject attributes beyond CN, O and DC; `ed448` is the switch of [V2G20-2320].
    """

    edition: Edition = Edition.ISO_20
    ed448: bool = True
    crl_sign: Strictness | None = None
    critical_identifiers: Strictness | None = None
    extra_names: Strictness = Strictness.TOLERATE

    @property
    def families(self) -> frozenset[Family]:
        if self.edition is Edition.LENIENT:
            return frozenset(Family)
        if self.edition is Edition.ISO_2:
            return frozenset({Family.P256})
        return frozenset({Family.P521, Family.ED448}) if self.ed448 else frozenset({Family.P521})

    @property
    def max_size(self) -> int:
        """Octets of DER the message schema allows for one certificate."""
        return 800 if self.edition is Edition.ISO_2 else 1600

    def crl_sign_for(self, role: Role) -> Strictness:
        if self.crl_sign is not None:
            return self.crl_sign
        wanted = self.edition is Edition.ISO_20 and role is Role.CONTRACT
        return Strictness.REQUIRE if wanted else Strictness.TOLERATE

    def critical_identifiers_now(self) -> Strictness:
        if self.critical_identifiers is not None:
            return self.critical_identifiers
        loose = self.edition in (Edition.ISO_20, Edition.LENIENT)
        return Strictness.TOLERATE if loose else Strictness.REFUSE


@dataclass(frozen=True)
class LeafProfile:
    """What a leaf of one role must show; bits are attribute names of `x509.KeyUsage`."""

    usage: frozenset[str] = frozenset({"digital_signature"})
    extended: x509.ObjectIdentifier | None = None
    domain: frozenset[str] = frozenset()
    name: re.Pattern[str] | None = None
    name_kind: str = "name"
    extensions: frozenset[x509.ObjectIdentifier] = frozenset()


TPM_OIDS = frozenset({x509.ObjectIdentifier("1.0.15118.20.0.4"), x509.ObjectIdentifier("1.0.15118.20.0.5")})
ALT_PUBLIC_KEY = x509.ObjectIdentifier("2.5.29.72")  # subjectAltPublicKeyInfo, X.509 (2019)
_WMI = "[A-HJ-NPR-Z0-9]{3}"  # the letters I, O and Q do not occur in vehicle identifiers

PROFILES: dict[Role, LeafProfile] = {
    Role.SECC: LeafProfile(
        extended=ExtendedKeyUsageOID.SERVER_AUTH,
        domain=frozenset({"CPO", "CSO"}),
        name=re.compile("[A-Z]{2}[A-Z0-9]{3}S[A-Za-z0-9]{33,58}"),
        name_kind="SECCID",
    ),
    Role.VEHICLE: LeafProfile(
        extended=ExtendedKeyUsageOID.CLIENT_AUTH,
        name=re.compile(f"{_WMI}V[A-HJ-NPR-Z0-9]{{16,60}}"),
        name_kind="EVCCID",
    ),
    Role.OEM_PROVISIONING: LeafProfile(
        domain=frozenset({"OEM"}),
        name=re.compile(f"{_WMI}P[A-Z0-9]{{14}}"),
        name_kind="PCID",
        extensions=frozenset({ALT_PUBLIC_KEY}),
    ),
    Role.CONTRACT: LeafProfile(
        domain=frozenset({"MO", "MSP"}),
        name=re.compile("[A-Za-z]{2}[A-Za-z0-9]{3}[A-Za-z0-9]{9,10}"),
        name_kind="EMAID",
        extensions=TPM_OIDS | {ExtensionOID.SUBJECT_INFORMATION_ACCESS},
    ),
    Role.CPS: LeafProfile(domain=frozenset({"CPS"})),
    Role.OCSP_SIGNER: LeafProfile(
        extended=ExtendedKeyUsageOID.OCSP_SIGNING,
        extensions=frozenset({ExtensionOID.OCSP_NO_CHECK}),
    ),
}

_COMMON_EXTENSIONS = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
_FORBIDDEN_LEAF_USAGE = frozenset(
    {"key_cert_sign", "crl_sign", "data_encipherment", "encipher_only", "decipher_only"}
)
_USAGE_BITS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
_CN_TAG = re.compile(rb"\x06\x03\x55\x04\x03(.)", re.DOTALL)
_SIGNATURE_OF = {
    Family.P521: SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    Family.P256: SignatureAlgorithmOID.ECDSA_WITH_SHA256,
    Family.ED448: SignatureAlgorithmOID.ED448,
}
KNOWN_SIGNATURES = frozenset(_SIGNATURE_OF.values())


@dataclass(frozen=True)
class Parsed:
    """A certificate as bytes and as an object; construction raises ValueError with the reason it is odd."""

    der: bytes
    certificate: x509.Certificate = field(init=False)
    extensions: dict[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]] = field(init=False)
    starts: datetime = field(init=False)
    ends: datetime = field(init=False)

    def __post_init__(self) -> None:
        try:
            certificate = x509.load_der_x509_certificate(self.der)
            extensions = {extension.oid: extension for extension in certificate.extensions}
            _ = certificate.subject, certificate.issuer
            starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        except (x509.InvalidVersion, x509.DuplicateExtension) as error:
            raise ValueError(str(error)) from None
        for name, value in (
            ("certificate", certificate),
            ("extensions", extensions),
            ("starts", starts),
            ("ends", ends),
        ):
            object.__setattr__(self, name, value)

    @cached_property
    def family(self) -> Family | None:
        """None for a key that no profile knows, or that cannot be read."""
        try:
            key = self.certificate.public_key()
        except (ValueError, UnsupportedAlgorithm):
            return None
        if isinstance(key, ed448.Ed448PublicKey):
            return Family.ED448
        if isinstance(key, ec.EllipticCurvePublicKey):
            return {"secp521r1": Family.P521, "secp256r1": Family.P256}.get(key.curve.name)
        return None

    @property
    def self_issued(self) -> bool:
        return self.certificate.subject == self.certificate.issuer

    @property
    def is_cross(self) -> bool:
        """Cross certificates, and only they among CA certificates, carry subjectInfoAccess."""
        return ExtensionOID.SUBJECT_INFORMATION_ACCESS in self.extensions

    def names(self, oid: x509.ObjectIdentifier) -> list[str]:
        return [str(attribute.value) for attribute in self.certificate.subject.get_attributes_for_oid(oid)]


def encoding_faults(parsed: Parsed, index: int, policy: Policy) -> Iterator[Fault]:
    """Size, serial number, key encoding and DER rules: what a lax parser lets through."""
    if len(parsed.der) > policy.max_size:
        detail = f"{len(parsed.der)} octets, more than {policy.max_size}"
        yield Fault(Rule.TOO_LARGE, index, detail)
    serial = parsed.certificate.serial_number
    if not 0 < serial < 1 << 159:
        yield Fault(Rule.SERIAL_NUMBER, index, "not a positive number of at most 20 octets")
    tbs = parsed.certificate.tbs_certificate_bytes
    if any(tag not in (b"\x0c", b"\x13") for tag in _CN_TAG.findall(tbs)):
        yield Fault(Rule.NAME_STRING, index, "common name is neither UTF8String nor PrintableString")
    try:
        key = parsed.certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        yield Fault(Rule.KEY_ENCODING, index, f"the public key cannot be read: {error}")
        return
    # Named curve and uncompressed point, or nothing: any other form re-encodes to other bytes.
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_bytes(serialization.Encoding.DER, form) not in tbs:
        yield Fault(Rule.KEY_ENCODING, index, "not a named curve with an uncompressed point")
    for oid, extension in parsed.extensions.items():
        if oid == ExtensionOID.CERTIFICATE_POLICIES:
            continue  # its qualifiers may legally be spelt in several string types
        if _extension_der(extension) not in tbs:
            yield Fault(Rule.NOT_DER, index, f"extension {_label(oid)} is not in DER")


def _extension_der(extension: x509.Extension[x509.ExtensionType]) -> bytes:
    oid = _tlv(0x06, _oid_body(extension.oid))
    critical = b"\x01\x01\xff" if extension.critical else b""
    return _tlv(0x30, oid + critical + _tlv(0x04, extension.value.public_bytes()))


def _tlv(tag: int, body: bytes) -> bytes:
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def _oid_body(oid: x509.ObjectIdentifier) -> bytes:
    first, second, *rest = (int(arc) for arc in oid.dotted_string.split("."))
    body = b""
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        body += bytes(reversed(groups))
    return body


def _label(oid: x509.ObjectIdentifier) -> str:
    return oid.dotted_string if oid._name == "Unknown OID" else oid._name


def profile_faults(
    parsed: Parsed, index: int, issuer: Parsed, *, role: Role, policy: Policy, now: datetime
) -> Iterator[Fault]:
    """Every profile rule about one certificate, given the certificate of its issuer."""
    yield from _time_faults(parsed, index, issuer, now)
    yield from _key_faults(parsed, index, issuer, policy)
    yield from _extension_faults(parsed, index, issuer, role, policy)
    if index == 0:
        yield from _leaf_faults(parsed, role, policy)
        yield from _subject_faults(parsed, role, policy)
    else:
        yield from _ca_faults(parsed, index, role, policy)


def _time_faults(parsed: Parsed, index: int, issuer: Parsed, now: datetime) -> Iterator[Fault]:
    if now > parsed.ends:
        yield Fault(Rule.EXPIRED, index, f"since {parsed.ends:%Y-%m-%d %H:%M} UTC")
    if now < parsed.starts:
        yield Fault(Rule.NOT_YET_VALID, index, f"before {parsed.starts:%Y-%m-%d %H:%M} UTC")
    if parsed.ends > issuer.ends or parsed.starts < issuer.starts or parsed.ends < parsed.starts:
        yield Fault(Rule.VALIDITY_NESTING, index, "validity is not inside that of its issuer")


def _key_faults(parsed: Parsed, index: int, issuer: Parsed, policy: Policy) -> Iterator[Fault]:
    if parsed.family not in policy.families:
        allowed = ", ".join(sorted(policy.families))
        yield Fault(Rule.KEY_FAMILY, index, f"key is {parsed.family or 'of another kind'}, not {allowed}")
    elif issuer.family is not None and parsed.family is not issuer.family:
        yield Fault(Rule.MIXED_FAMILIES, index, f"{parsed.family} key under a {issuer.family} issuer")
    wanted = _SIGNATURE_OF.get(issuer.family) if issuer.family else None
    found = parsed.certificate.signature_algorithm_oid
    if wanted is not None and found != wanted:
        yield Fault(Rule.SIGNATURE_ALGORITHM, index, f"signed with {_label(found)}, not {_label(wanted)}")


def _extension_faults(
    parsed: Parsed, index: int, issuer: Parsed, role: Role, policy: Policy
) -> Iterator[Fault]:
    allowed = _COMMON_EXTENSIONS
    if index == 0:
        allowed = allowed | PROFILES[role].extensions
    else:
        allowed = allowed | {ExtensionOID.SUBJECT_INFORMATION_ACCESS}
    identifiers = {
        ExtensionOID.SUBJECT_KEY_IDENTIFIER: Rule.CRITICALITY,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER: Rule.CRITICALITY,
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS: Rule.CRITICAL_AIA,
    }
    for oid, extension in parsed.extensions.items():
        if oid not in allowed:
            if extension.critical:
                yield Fault(Rule.CRITICAL_EXTENSION, index, f"{_label(oid)} is critical and not known")
            else:
                remark = policy.edition is not Edition.ISO_20
                yield Fault(Rule.EXTENSION, index, f"{_label(oid)} is not in the profile", remark)
        elif oid in identifiers:
            wish = policy.critical_identifiers_now()
            if wish is Strictness.REFUSE and extension.critical:
                yield Fault(identifiers[oid], index, f"{_label(oid)} is critical")
            elif wish is Strictness.REQUIRE and not extension.critical:
                yield Fault(identifiers[oid], index, f"{_label(oid)} is not critical")
    yield from _identifier_faults(parsed, index, issuer)
    pointers = {ExtensionOID.AUTHORITY_INFORMATION_ACCESS, ExtensionOID.CRL_DISTRIBUTION_POINTS}
    if role is not Role.OCSP_SIGNER and not pointers & parsed.extensions.keys():
        remark = policy.edition in (Edition.LENIENT, Edition.ISO_2)
        yield Fault(Rule.REVOCATION_POINTER, index, "names neither OCSP responder nor CRL", remark)


def _identifier_faults(parsed: Parsed, index: int, issuer: Parsed) -> Iterator[Fault]:
    own = parsed.extensions.get(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    if own is None:
        yield Fault(Rule.SUBJECT_KEY_ID, index, "subjectKeyIdentifier is absent")
    else:
        assert isinstance(own.value, x509.SubjectKeyIdentifier)
        if len(own.value.digest) not in (8, 20):
            detail = f"{len(own.value.digest)} octets, neither 20 (method 1) nor 8 (method 2)"
            yield Fault(Rule.SUBJECT_KEY_ID, index, detail, remark=True)
    authority = parsed.extensions.get(ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    parent = issuer.extensions.get(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    if authority is None:
        yield Fault(Rule.AUTHORITY_KEY_ID, index, "authorityKeyIdentifier is absent")
    elif parent is not None:
        assert isinstance(authority.value, x509.AuthorityKeyIdentifier)
        assert isinstance(parent.value, x509.SubjectKeyIdentifier)
        if authority.value.key_identifier != parent.value.digest:
            yield Fault(Rule.AUTHORITY_KEY_ID, index, "is not the key identifier of the issuer")


def usage_bits(parsed: Parsed) -> frozenset[str]:
    """The names of the set keyUsage bits; empty if the extension is absent."""
    extension = parsed.extensions.get(ExtensionOID.KEY_USAGE)
    if extension is None:
        return frozenset()
    assert isinstance(extension.value, x509.KeyUsage)
    usage = extension.value
    bits = {bit for bit in _USAGE_BITS if getattr(usage, bit)}
    if usage.key_agreement:
        bits |= {bit for bit in ("encipher_only", "decipher_only") if getattr(usage, bit)}
    return frozenset(bits)


def _ca_faults(parsed: Parsed, index: int, role: Role, policy: Policy) -> Iterator[Fault]:
    basic = parsed.extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    if basic is None or not isinstance(basic.value, x509.BasicConstraints) or not basic.value.ca:
        yield Fault(Rule.CA_BASIC_CONSTRAINTS, index, "signs certificates but is not marked as a CA")
    else:
        if not basic.critical:
            yield Fault(Rule.CA_BASIC_CONSTRAINTS, index, "basicConstraints is not critical")
        yield from _path_length_faults(basic.value.path_length, parsed, index, policy)
    usage = parsed.extensions.get(ExtensionOID.KEY_USAGE)
    bits = usage_bits(parsed)
    if "key_cert_sign" not in bits:
        yield Fault(Rule.CA_KEY_USAGE, index, "keyUsage lacks keyCertSign")
    elif usage is not None and not usage.critical:
        yield Fault(Rule.CA_KEY_USAGE, index, "keyUsage is not critical")
    wish = policy.crl_sign_for(role)
    if (wish is Strictness.REQUIRE and "crl_sign" not in bits) or (
        wish is Strictness.REFUSE and "crl_sign" in bits
    ):
        state = "lacks" if wish is Strictness.REQUIRE else "has"
        yield Fault(Rule.CA_KEY_USAGE, index, f"keyUsage {state} cRLSign")
    if others := bits - {"key_cert_sign", "crl_sign"}:
        detail = f"keyUsage of a CA has {', '.join(sorted(others))}"
        yield Fault(Rule.CA_KEY_USAGE, index, detail, remark=True)
    if ExtensionOID.EXTENDED_KEY_USAGE in parsed.extensions:
        yield Fault(Rule.EXTENDED_KEY_USAGE, index, "a CA has no extended key usage")


def _path_length_faults(length: int | None, parsed: Parsed, index: int, policy: Policy) -> Iterator[Fault]:
    below = index - 1  # CA certificates between this one and the leaf
    if parsed.is_cross or policy.edition is Edition.LENIENT:
        if length is not None and length < below:
            yield Fault(Rule.PATH_LENGTH, index, f"pathLenConstraint {length}, but {below} CAs follow")
    elif length != below:
        yield Fault(Rule.PATH_LENGTH, index, f"pathLenConstraint is {length}, the profile has {below}")


def _leaf_faults(parsed: Parsed, role: Role, policy: Policy) -> Iterator[Fault]:
    profile, lenient = PROFILES[role], policy.edition is Edition.LENIENT
    basic = parsed.extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    if basic is not None and isinstance(basic.value, x509.BasicConstraints) and basic.value.ca:
        yield Fault(Rule.LEAF_BASIC_CONSTRAINTS, 0, "a leaf that is marked as a CA")
    elif basic is None or not basic.critical:
        yield Fault(Rule.LEAF_BASIC_CONSTRAINTS, 0, "basicConstraints is absent or not critical", lenient)
    usage = parsed.extensions.get(ExtensionOID.KEY_USAGE)
    bits = usage_bits(parsed)
    wanted = profile.usage
    if role in (Role.SECC, Role.OEM_PROVISIONING) and parsed.family is not Family.ED448:
        wanted = wanted | {"key_agreement"}
    if usage is None or not usage.critical:
        yield Fault(Rule.KEY_USAGE, 0, "keyUsage is absent or not critical", lenient and usage is not None)
    if missing := wanted - bits:
        yield Fault(Rule.KEY_USAGE, 0, f"keyUsage lacks {', '.join(sorted(missing))}", lenient)
    if extra := bits & _FORBIDDEN_LEAF_USAGE:
        yield Fault(Rule.KEY_USAGE, 0, f"keyUsage has {', '.join(sorted(extra))}")
    yield from _extended_usage_faults(parsed, role, policy)


def _extended_usage_faults(parsed: Parsed, role: Role, policy: Policy) -> Iterator[Fault]:
    wanted = PROFILES[role].extended
    extension = parsed.extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
    rule, lenient = Rule.EXTENDED_KEY_USAGE, policy.edition in (Edition.LENIENT, Edition.ISO_2)
    if extension is None:
        optional = lenient or (role is Role.VEHICLE and policy.edition is Edition.ISO_20)
        if wanted is not None and (role is Role.OCSP_SIGNER or not optional):
            yield Fault(rule, 0, f"extKeyUsage is absent, {_label(wanted)} expected")
        return
    assert isinstance(extension.value, x509.ExtendedKeyUsage)
    found = set(extension.value)
    if wanted is None:
        yield Fault(rule, 0, "extKeyUsage is present, the profile has none", lenient)
        return
    if wanted not in found:
        yield Fault(rule, 0, f"extKeyUsage lacks {_label(wanted)}")
    if others := found - {wanted}:
        # Both TLS purposes together are seen in the field; any other companion is refused.
        pair = others <= {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
        detail = f"extKeyUsage also has {', '.join(sorted(_label(oid) for oid in others))}"
        yield Fault(rule, 0, detail, remark=pair and wanted in found)
    if not extension.critical:
        yield Fault(rule, 0, "extKeyUsage is not critical", lenient)


def _subject_faults(parsed: Parsed, role: Role, policy: Policy) -> Iterator[Fault]:
    profile, lenient = PROFILES[role], policy.edition is Edition.LENIENT
    names = parsed.names(NameOID.COMMON_NAME)
    if len(names) != 1:
        yield Fault(Rule.SUBJECT, 0, f"{len(names)} common names, not one")
    elif "\0" in names[0]:
        yield Fault(Rule.COMMON_NAME, 0, "common name contains a NUL character")
    elif profile.name is not None and not profile.name.fullmatch(names[0]):
        free = lenient or policy.edition is Edition.ISO_2
        yield Fault(Rule.COMMON_NAME, 0, f"{names[0]!r} is not of the form of a {profile.name_kind}", free)
    if not parsed.names(NameOID.ORGANIZATION_NAME):
        yield Fault(Rule.SUBJECT, 0, "organization name is absent", lenient or role is Role.OCSP_SIGNER)
    domain = profile.domain
    if role is Role.VEHICLE and policy.edition is Edition.AMD1:
        domain = frozenset({"EV"})
    found = parsed.names(NameOID.DOMAIN_COMPONENT)
    if domain and not domain & set(found):
        detail = f"DC is {', '.join(found) or 'absent'}, not {' or '.join(sorted(domain))}"
        yield Fault(Rule.DOMAIN_COMPONENT, 0, detail, lenient and role is not Role.CPS)
    allowed = {NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME}
    if domain or role is not Role.VEHICLE:
        allowed.add(NameOID.DOMAIN_COMPONENT)
    extra = {attribute.oid for attribute in parsed.certificate.subject} - allowed
    if extra and policy.extra_names is not Strictness.REQUIRE:
        detail = f"subject also has {', '.join(sorted(_label(oid) for oid in extra))}"
        yield Fault(Rule.SUBJECT, 0, detail, policy.extra_names is Strictness.TOLERATE)
