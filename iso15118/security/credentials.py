"""What Plug & Charge reads from certificates, and the chains of messages as lists of DER certificates."""

from __future__ import annotations

from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import NameOID

from iso15118.messages import common
from iso15118.security.signature_primitives import VerifyingKey

Chain: TypeAlias = common.CertificateChain | common.ContractCertificateChain | common.SignedCertificateChain


def certificates_of(chain: Chain) -> list[bytes]:
    """The DER certificates of a chain, leaf first."""
    return [chain.certificate, *(chain.sub_certificates.certificate if chain.sub_certificates else ())]


def contract_chain(certificates: tuple[bytes, ...]) -> common.ContractCertificateChain:
    """The chain as a message has it; ValueError without a sub-CA, which the schema demands."""
    if len(certificates) < 2:
        raise ValueError("a contract certificate chain needs a leaf and at least one sub-CA")
    subs = common.SubCertificates(certificate=list(certificates[1:]))
    return common.ContractCertificateChain(certificate=certificates[0], sub_certificates=subs)


def load(der: bytes) -> x509.Certificate:
    """The certificate; ValueError if it is none."""
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError) as error:
        raise ValueError(f"not a certificate: {error}") from None


def common_name(der: bytes) -> str:
    """CN of the subject: EMAID, PCID or EVCCID, by role. ValueError unless there is exactly one."""
    try:
        names = load(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if len(names) == 1 and isinstance(names[0].value, str):
            return names[0].value
    except ValueError as error:
        raise ValueError(f"subject cannot be read: {error}") from None
    raise ValueError(f"{len(names)} common names in the subject, one is needed")


def verifying_key(der: bytes) -> VerifyingKey:
    """The key that checks signatures of this certificate's owner; ValueError for keys no V2G message uses."""
    try:
        key = load(der).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"public key cannot be read: {error}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey | ed448.Ed448PublicKey):
        raise ValueError(f"{type(key).__name__} cannot check a signature of a V2G message")
    return key


def subject_key_id(der: bytes) -> bytes:
    """The subject key identifier as the certificate states it."""
    try:
        found = load(der).extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        raise ValueError("the certificate has no subject key identifier") from None
    return found.value.digest
