"""The TLS profiles as data: what may be offered, in which order, and the alerts that refuse the rest.

Nothing here talks to a TLS library. Sources: tables 6, 7 and 8 of ISO 15118-20 (suites [V2G20-1856]
[V2G20-1858] [V2G20-2458] [V2G20-2459], groups [V2G20-1634] [V2G20-1637], signature schemes [V2G20-1667]
[V2G20-1668]); ISO 15118-2 for TLS 1.2; RFC 8446 for code points and alerts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class TLSVersion(IntEnum):
    """Protocol versions by their code on the wire."""

    TLS_1_2 = 0x0303
    TLS_1_3 = 0x0304


class Alert(IntEnum):
    """TLS alert descriptions (RFC 8446 section 6, RFC 6066 for 113)."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    RECORD_OVERFLOW = 22
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    NO_RENEGOTIATION = 100
    MISSING_EXTENSION = 109
    UNSUPPORTED_EXTENSION = 110
    BAD_CERTIFICATE_STATUS_RESPONSE = 113
    CERTIFICATE_REQUIRED = 116


class CipherSuite(IntEnum):
    """Suites the profiles name; the member name is the IANA name."""

    TLS_AES_128_GCM_SHA256 = 0x1301
    TLS_AES_256_GCM_SHA384 = 0x1302
    TLS_CHACHA20_POLY1305_SHA256 = 0x1303
    TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 = 0xC023
    TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA256 = 0xC025
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 = 0xC02B
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 = 0xC02C


class Group(IntEnum):
    """Key exchange groups."""

    SECP256R1 = 0x0017
    SECP384R1 = 0x0018
    SECP521R1 = 0x0019
    X25519 = 0x001D
    X448 = 0x001E


class SignatureScheme(IntEnum):
    """Signature schemes of TLS 1.3; TLS 1.2 reads the same codes as hash and algorithm."""

    ECDSA_SECP256R1_SHA256 = 0x0403
    ECDSA_SECP384R1_SHA384 = 0x0503
    ECDSA_SECP521R1_SHA512 = 0x0603
    ED25519 = 0x0807
    ED448 = 0x0808


@dataclass(frozen=True)
class TLSProfile:
    """What one side offers and accepts; every sequence is in order of preference."""

    name: str
    versions: tuple[TLSVersion, ...]
    suites: tuple[CipherSuite, ...]
    groups: tuple[Group, ...]
    schemes: tuple[SignatureScheme, ...]
    request_client_certificate: bool = True
    """The SECC asks the EVCC for its certificate: always in -20 [V2G20-2400], never in -2."""
    request_staple: bool = True
    """The EVCC sends status_request [V2G20-2372]."""


ISO_20 = TLSProfile(
    "iso15118-20",
    (TLSVersion.TLS_1_3,),
    (CipherSuite.TLS_AES_256_GCM_SHA384, CipherSuite.TLS_CHACHA20_POLY1305_SHA256),
    (Group.SECP521R1, Group.X448),
    (SignatureScheme.ECDSA_SECP521R1_SHA512, SignatureScheme.ED448),
)
"""Mutual TLS 1.3 exactly as -20 wants it [V2G20-1264]."""

ISO_2 = TLSProfile(
    "iso15118-2",
    (TLSVersion.TLS_1_2,),
    (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,),
    (Group.SECP256R1,),
    (SignatureScheme.ECDSA_SECP256R1_SHA256,),
    request_client_certificate=False,
)
"""TLS 1.2, server authentication only. The static ECDH suite 0xC025 of -2 exists in no current library."""

LENIENT = TLSProfile(
    "lenient",
    (TLSVersion.TLS_1_3, TLSVersion.TLS_1_2),
    (
        CipherSuite.TLS_AES_256_GCM_SHA384,
        CipherSuite.TLS_CHACHA20_POLY1305_SHA256,
        CipherSuite.TLS_AES_128_GCM_SHA256,
        CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
    ),
    (Group.SECP521R1, Group.X448, Group.SECP256R1, Group.SECP384R1, Group.X25519),
    (
        SignatureScheme.ECDSA_SECP521R1_SHA512,
        SignatureScheme.ED448,
        SignatureScheme.ECDSA_SECP256R1_SHA256,
        SignatureScheme.ECDSA_SECP384R1_SHA384,
        SignatureScheme.ED25519,
    ),
)
"""For peers that cannot do P-521 (Josev: secp256r1 only) or still speak TLS 1.2."""

PROFILES = {profile.name: profile for profile in (ISO_20, ISO_2, LENIENT)}
