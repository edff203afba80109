"""What a page says of a certificate."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True)
class Summary:
    subject: str
    issuer: str
    serial: str
    valid: str
    key: str


def summarise(der_hex: str) -> Summary:
    """Of a DER certificate in hex; one that cannot be read says why."""
    try:
        certificate = x509.load_der_x509_certificate(bytes.fromhex(der_hex))
        key = certificate.public_key()
        name = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__.strip("_")
        return Summary(
            certificate.subject.rfc4514_string(),
            certificate.issuer.rfc4514_string(),
            f"{certificate.serial_number:X}",
            f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}",
            name.removesuffix("PublicKey"),
        )
    except (ValueError, x509.UnsupportedGeneralNameType) as error:
        return Summary(f"not readable: {error}", "", "", "", "")
