"""What a chain of certificates is, and where it departs from the profile table, in words.

This looks at files and explains them. It is not the checker a device under test meets: it builds no trust.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from pki.certificate import usage_bits
from pki.profiles import ALLOWED_FAMILIES, MAX_DER_SIZE, ROOT_ROLES, Edition, Family, Role, profile

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_ROLE_OF_DC = {"CPO": Role.SECC, "CSO": Role.SECC, "CPS": Role.CPS, "MO": Role.CONTRACT, "MSP": Role.CONTRACT}
_SIGNATURES = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: Family.P521,
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: Family.P256,
    SignatureAlgorithmOID.ED448: Family.ED448,
}


@dataclass(frozen=True)
class Report:
    """One certificate explained: `facts` is what it says, `findings` what departs from its profile."""

    title: str
    role: Role | None
    facts: tuple[str, ...]
    findings: tuple[str, ...]


def read_certificates(path: Path) -> list[bytes]:
    """The DER certificates in a file: PEM (several, other PEM blocks ignored) or one DER certificate."""
    data = path.read_bytes()
    if not data:
        raise ValueError(f"{path}: the file is empty")
    blocks = _PEM.findall(data)
    if not blocks:
        if data[:1] != b"\x30":
            raise ValueError(f"{path}: neither PEM certificates nor DER (first byte 0x{data[0]:02x})")
        return [data]
    result = []
    for number, block in enumerate(blocks, 1):
        try:
            result.append(base64.b64decode(b"".join(block.split()), validate=True))
        except binascii.Error as error:
            raise ValueError(f"{path}: certificate {number} is not base64: {error}") from None
    return result


def family_of(certificate: x509.Certificate) -> Family | None:
    """The key family of the subject key; None for a key no V2G profile knows."""
    try:
        key = certificate.public_key()
    except ValueError:
        return None
    if isinstance(key, ed448.Ed448PublicKey):
        return Family.ED448
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"secp521r1": Family.P521, "secp256r1": Family.P256}.get(key.curve.name)
    return None


def _values(name: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in name.get_attributes_for_oid(oid)]


def _extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.Extension[Any] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def guess_role(certificate: x509.Certificate) -> Role | None:
    """The most likely role, from basicConstraints, extended key usage, domain component and common name."""
    basic = _extension(certificate, x509.BasicConstraints)
    names = _values(certificate.subject, NameOID.DOMAIN_COMPONENT)
    if basic is not None and basic.value.ca:
        if certificate.subject == certificate.issuer:
            guesses = {"OEM": Role.OEM_ROOT, "MO": Role.MO_ROOT, "PE": Role.PE_ROOT}
            return guesses.get(names[0] if names else "", Role.V2G_ROOT)
        if _extension(certificate, x509.SubjectInformationAccess):
            return Role.CROSS
        return Role.SUB_CA1 if basic.value.path_length else Role.SUB_CA2
    extended = _extension(certificate, x509.ExtendedKeyUsage)
    if extended is not None:
        for usage, role in (
            (ExtendedKeyUsageOID.CLIENT_AUTH, Role.VEHICLE),
            (ExtendedKeyUsageOID.SERVER_AUTH, Role.SECC),
            (ExtendedKeyUsageOID.OCSP_SIGNING, Role.OCSP_SIGNER),
        ):
            if usage in extended.value:
                return role
    if "OEM" in names:
        return Role.OEM_PROVISIONING
    return next((_ROLE_OF_DC[dc] for dc in names if dc in _ROLE_OF_DC), None)


def inspect_chain(
    chain: list[bytes], edition: Edition = Edition.ISO_20, now: datetime | None = None
) -> list[Report]:
    """One report for each certificate; links between neighbours (issuer, signature, validity) are checked."""
    now = now or datetime.now(UTC)
    parsed: list[x509.Certificate | None] = []
    reports: list[Report] = []
    for der in chain:
        try:
            certificate = x509.load_der_x509_certificate(der)
            _ = certificate.subject, certificate.extensions
            parsed.append(certificate)
        except (ValueError, x509.InvalidVersion, x509.DuplicateExtension):
            parsed.append(None)
    for index, (der, found) in enumerate(zip(chain, parsed, strict=True)):
        if found is None:
            reports.append(
                Report(f"certificate {index + 1}", None, (f"{len(der)} octets",), ("not DER X.509",))
            )
            continue
        issuer = parsed[index + 1] if index + 1 < len(chain) else None
        reports.append(_report(found, issuer, der, edition, now))
    return reports


def _report(
    certificate: x509.Certificate,
    issuer: x509.Certificate | None,
    der: bytes,
    edition: Edition,
    now: datetime,
) -> Report:
    role = guess_role(certificate)
    family = family_of(certificate)
    identifier = _extension(certificate, x509.SubjectKeyIdentifier)
    facts = [
        f"issuer    {certificate.issuer.rfc4514_string()}",
        f"role      {role or 'not recognised'}",
        f"serial    {certificate.serial_number:x}",
        f"key       {family or 'outside every V2G profile'}",
        f"valid     {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} .. "
        f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
        f"key id    {identifier.value.digest.hex() if identifier else 'none'}",
        f"size      {len(der)} octets",
    ]
    findings = _against_profile(certificate, role, family, edition)
    if len(der) > MAX_DER_SIZE[edition]:
        findings.append(f"{len(der)} octets, more than the {MAX_DER_SIZE[edition]} of the message schema")
    if now < certificate.not_valid_before_utc:
        findings.append("not valid yet")
    if now > certificate.not_valid_after_utc:
        findings.append("expired")
    if issuer is not None:
        findings += _link(certificate, issuer)
    return Report(
        certificate.subject.rfc4514_string() or "(empty subject)", role, tuple(facts), tuple(findings)
    )


def _against_profile(
    certificate: x509.Certificate, role: Role | None, family: Family | None, edition: Edition
) -> list[str]:
    findings: list[str] = []
    if family not in ALLOWED_FAMILIES[edition]:
        findings.append(f"key family {family or 'unknown'} is not of edition {edition}")
    if certificate.signature_algorithm_oid not in _SIGNATURES:
        findings.append(
            f"signature algorithm {certificate.signature_algorithm_oid.dotted_string} is in no profile"
        )
    if role is None:
        return [*findings, "the role cannot be told from EKU and DC, so no profile was applied"]
    if role is Role.VEHICLE and edition is Edition.ISO_2:
        return [*findings, "ISO 15118-2 knows no vehicle certificate"]
    cell = profile(role, edition, family)
    basic = _extension(certificate, x509.BasicConstraints)
    if basic is None or not basic.critical:
        findings.append("basicConstraints is absent or not critical")
    elif cell.is_ca and basic.value.path_length != cell.path_length:
        findings.append(f"pathLenConstraint is {basic.value.path_length}, the profile has {cell.path_length}")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.critical:
        findings.append("keyUsage is absent or not critical")
    else:
        bits = usage_bits(usage.value)
        if missing := cell.key_usage - bits:
            findings.append(f"keyUsage lacks {', '.join(sorted(missing))}")
        if extra := bits - cell.key_usage - cell.tolerated_usage:
            findings.append(f"keyUsage has {', '.join(sorted(extra))} beyond the profile")
    extended = _extension(certificate, x509.ExtendedKeyUsage)
    if cell.extended_usage is not None:
        if extended is None or cell.extended_usage not in extended.value:
            findings.append(f"extKeyUsage lacks {cell.extended_usage._name}")
        elif not extended.critical:
            findings.append("extKeyUsage is not critical")
    elif extended is not None:
        findings.append("extKeyUsage is present, the profile has none")
    for kind, text in (
        (x509.SubjectKeyIdentifier, "subjectKeyIdentifier"),
        (x509.AuthorityKeyIdentifier, "authorityKeyIdentifier"),
    ):
        exempt = role in ROOT_ROLES and kind is x509.AuthorityKeyIdentifier
        if _extension(certificate, kind) is None and not exempt:
            findings.append(f"{text} is absent")
    pointers = (x509.AuthorityInformationAccess, x509.CRLDistributionPoints)
    if cell.revocation_pointers and not any(_extension(certificate, kind) for kind in pointers):
        findings.append("neither an OCSP responder nor a CRL distribution point is named")
    if not cell.is_ca and cell.dc is not None:
        names = _values(certificate.subject, NameOID.DOMAIN_COMPONENT)
        if cell.dc not in names:
            findings.append(f"subject lacks DC={cell.dc}")
    if len(_values(certificate.subject, NameOID.COMMON_NAME)) != 1:
        findings.append("subject has not exactly one CN")
    return findings


def _link(certificate: x509.Certificate, issuer: x509.Certificate) -> list[str]:
    if certificate.issuer != issuer.subject:
        return [f"the next certificate ({issuer.subject.rfc4514_string()}) is not its issuer"]
    findings = []
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        findings.append("its signature does not verify with the key of the next certificate")
    except (ValueError, TypeError) as error:
        findings.append(f"its signature cannot be verified: {error}")
    if (
        certificate.not_valid_after_utc > issuer.not_valid_after_utc
        or certificate.not_valid_before_utc < issuer.not_valid_before_utc
    ):
        findings.append("valid outside the validity of its issuer")
    return findings


def dumps(reports: list[Report]) -> str:
    """The reports as text for a terminal."""
    blocks = []
    for number, report in enumerate(reports, 1):
        lines = [f"{number}. {report.title}", *(f"     {fact}" for fact in report.facts)]
        lines += [f"   ! {finding}" for finding in report.findings] or ["   ok: as the profile has it"]
        blocks.append("\n".join(lines))
    return "\n".join(blocks)
