"""Checking a stapled OCSP response against the certificate it should speak about (RFC 6960, V2G rules)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from iso15118.security.certificate_rules import Fault, Rule

MAX_VALIDITY = timedelta(days=7)
"""Longest time from thisUpdate to nextUpdate, and oldest thisUpdate [V2G20-1021]."""


def staple_faults(
    response: bytes, subject: x509.Certificate, issuer: x509.Certificate, *, now: datetime, index: int
) -> Iterator[Fault]:
    """What is wrong with one OCSP response (DER) about `subject`, which `issuer` issued."""
    try:
        parsed = ocsp.load_der_ocsp_response(response)
        if parsed.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            detail = f"the responder answered {parsed.response_status.name.lower()}"
            yield Fault(Rule.STAPLE, index, detail)
            return
        singles = list(parsed.responses)
        critical = [e for e in parsed.extensions if e.critical]
        matching = [s for s in singles if _is_about(s, subject, issuer)]
        signers = [c for c in parsed.certificates if _signed_by(parsed, c)]
    except (ValueError, UnsupportedAlgorithm) as error:
        yield Fault(Rule.STAPLE, index, f"not an OCSP response: {error}")
        return
    if critical:
        yield Fault(Rule.STAPLE, index, f"unknown critical extension {critical[0].oid.dotted_string}")
    if len(singles) > 1:
        # cryptography reads extensions of a lone single response only: refuse what cannot be looked at.
        yield Fault(Rule.STAPLE, index, f"{len(singles)} single responses in one staple")
    elif any(e.critical for e in parsed.single_extensions):
        yield Fault(Rule.STAPLE, index, "unknown critical extension in the single response")
    if _signed_by(parsed, issuer):
        pass
    elif not signers:
        yield Fault(Rule.STAPLE, index, "signed neither by the issuing CA nor by an enclosed certificate")
    else:
        yield from _signer_faults(signers[0], issuer, now, index)
    if not matching:
        yield Fault(Rule.STAPLE, index, "speaks about another certificate")
        return
    yield from _single_faults(matching[0], now, index)


def _is_about(single: ocsp.OCSPSingleResponse, subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    asked = ocsp.OCSPRequestBuilder().add_certificate(subject, issuer, single.hash_algorithm).build()
    return (single.serial_number, single.issuer_name_hash, single.issuer_key_hash) == (
        asked.serial_number,
        asked.issuer_name_hash,
        asked.issuer_key_hash,
    )


def _signed_by(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    try:
        key = signer.public_key()
        if isinstance(key, ed448.Ed448PublicKey):
            key.verify(response.signature, response.tbs_response_bytes)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            digest = response.signature_hash_algorithm
            if not isinstance(digest, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
                return False
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(digest))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _signer_faults(
    signer: x509.Certificate, issuer: x509.Certificate, now: datetime, index: int
) -> Iterator[Fault]:
    try:
        signer.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        yield Fault(Rule.STAPLE, index, "its signer was not appointed by the issuing CA")
    if not signer.not_valid_before_utc <= now <= signer.not_valid_after_utc:
        yield Fault(Rule.STAPLE, index, "its signer certificate is not valid now")
    try:
        usage = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        yield Fault(Rule.STAPLE, index, "its signer has no extended key usage OCSPSigning")
        return
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usage.value:
        yield Fault(Rule.STAPLE, index, "its signer has no extended key usage OCSPSigning")
    elif not usage.critical:
        yield Fault(Rule.STAPLE, index, "extKeyUsage of its signer is not critical")


def _single_faults(single: ocsp.OCSPSingleResponse, now: datetime, index: int) -> Iterator[Fault]:
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        yield Fault(Rule.REVOKED, index, f"revoked since {single.revocation_time_utc:%Y-%m-%d %H:%M} UTC")
    elif single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        yield Fault(Rule.STAPLE, index, "the responder does not know the certificate")
    this_update, next_update = single.this_update_utc, single.next_update_utc
    if this_update > now:
        yield Fault(Rule.STAPLE_VALIDITY, index, "thisUpdate lies in the future")
    if next_update is None:
        yield Fault(Rule.STAPLE_VALIDITY, index, "nextUpdate is absent")
        return
    if next_update < now:
        yield Fault(Rule.STAPLE_VALIDITY, index, "nextUpdate has passed")
    if next_update - this_update > MAX_VALIDITY:
        yield Fault(Rule.STAPLE_VALIDITY, index, "valid for more than one week")
