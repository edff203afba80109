"""The TLS handshake messages a tester looks at: ClientHello, Certificate, CertificateRequest (RFC 8446).

Only reading, only what the V2G profiles speak about; the handshake itself is the TLS library's. Bad input
raises HandshakeDecodeError with the offset, never anything else.
"""

from __future__ import annotations

from dataclasses import dataclass

from iso15118.security.tls_profile import TLSVersion

HANDSHAKE_RECORD = 22
MAX_HELLO = 1 << 16
"""A ClientHello larger than this many octets is refused: real ones take a few hundred."""

MAX_RECORD = 1 << 14
"""Octets of plaintext in one record; an empty handshake record is illegal (RFC 8446 section 5.1)."""

_GREASE = frozenset(0x0A0A + 0x1010 * i for i in range(16))


class HandshakeDecodeError(ValueError):
    """A handshake message that cannot be read, with the octet offset inside the message."""

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(f"{what} at octet {offset}")
        self.offset = offset


class NotTLSError(ValueError):
    """The first octets are no TLS handshake record."""


class _Reader:
    def __init__(self, data: bytes, offset: int = 0, end: int | None = None) -> None:
        self.data, self.offset, self.end = data, offset, len(data) if end is None else end

    def take(self, size: int, what: str) -> bytes:
        if self.offset + size > self.end:
            raise HandshakeDecodeError(f"{what} ends early", self.offset)
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "big")

    def vector(self, size: int, what: str) -> _Reader:
        length = self.number(size, f"length of {what}")
        start = self.offset
        self.take(length, what)
        return _Reader(self.data, start, self.offset)

    def rest(self) -> bytes:
        return self.take(self.end - self.offset, "rest")

    @property
    def more(self) -> bool:
        return self.offset < self.end


@dataclass(frozen=True)
class ClientHello:
    """What an EVCC offers; code points as sent, in order, those of GREASE (RFC 8701) left out."""

    random: bytes
    suites: tuple[int, ...]
    extensions: tuple[int, ...]
    versions: tuple[int, ...] = ()
    """The supported_versions extension; empty if it is missing."""
    groups: tuple[int, ...] = ()
    schemes: tuple[int, ...] = ()
    key_shares: tuple[int, ...] = ()
    authorities: tuple[bytes, ...] | None = None
    """certificate_authorities as DER names; None if the extension is missing."""
    server_name: bool = False
    status_request: bool = False
    trusted_ca_keys: tuple[tuple[int, bytes], ...] | None = None
    """(identifier type, identifier) of RFC 6066; None if the extension is missing."""

    @property
    def offers_tls_1_3(self) -> bool:
        return TLSVersion.TLS_1_3 in self.versions


def _numbers(reader: _Reader, size: int, what: str) -> tuple[int, ...]:
    values = []
    while reader.more:
        value = reader.number(size, what)
        if value not in _GREASE:
            values.append(value)
    return tuple(values)


def _names(reader: _Reader) -> tuple[bytes, ...]:
    names = []
    while reader.more:
        names.append(reader.vector(2, "distinguished name").rest())
    return tuple(names)


def _trusted_ca_keys(reader: _Reader) -> tuple[tuple[int, bytes], ...]:
    entries = []
    while reader.more:
        kind = reader.number(1, "identifier type")
        if kind in (1, 3):
            entries.append((kind, reader.take(20, "SHA-1 identifier")))
        elif kind == 2:
            entries.append((kind, reader.vector(2, "distinguished name").rest()))
        elif kind == 0:
            entries.append((kind, b""))
        else:
            raise HandshakeDecodeError(f"trusted authority of unknown type {kind}", reader.offset - 1)
    return tuple(entries)


def parse_client_hello(message: bytes) -> ClientHello:
    """A ClientHello from one complete handshake message (with its four octets of header)."""
    reader = _Reader(message)
    if reader.number(1, "handshake type") != 1:
        raise HandshakeDecodeError("not a ClientHello", 0)
    body = reader.vector(3, "ClientHello")
    body.take(2, "legacy version")
    random = body.take(32, "random")
    body.vector(1, "session id")
    suites = _numbers(body.vector(2, "cipher suites"), 2, "cipher suite")
    body.vector(1, "compression methods")
    found: dict[str, object] = {}
    kinds = []
    extensions = body.vector(2, "extensions") if body.more else _Reader(b"")
    while extensions.more:
        kind = extensions.number(2, "extension type")
        content = extensions.vector(2, "extension")
        if kind in _GREASE:
            continue
        kinds.append(kind)
        if kind == 0:
            found["server_name"] = True
        elif kind == 3:
            found["trusted_ca_keys"] = _trusted_ca_keys(content.vector(2, "trusted_ca_keys"))
        elif kind == 5:
            found["status_request"] = True
        elif kind == 10:
            found["groups"] = _numbers(content.vector(2, "supported_groups"), 2, "group")
        elif kind == 13:
            found["schemes"] = _numbers(content.vector(2, "signature_algorithms"), 2, "scheme")
        elif kind == 43:
            found["versions"] = _numbers(content.vector(1, "supported_versions"), 2, "version")
        elif kind == 47:
            found["authorities"] = _names(content.vector(2, "certificate_authorities"))
        elif kind == 51:
            shares, listed = content.vector(2, "key_share"), []
            while shares.more:
                listed.append(shares.number(2, "group"))
                shares.vector(2, "key exchange")
            found["key_shares"] = tuple(group for group in listed if group not in _GREASE)
    return ClientHello(random, suites, tuple(kinds), **found)  # type: ignore[arg-type]


def client_hello_message(records: bytes) -> bytes | None:
    """The ClientHello message out of the records received so far; None while it is incomplete.

    Raises NotTLSError as soon as the octets cannot become one. A hello may be spread over many records.
    """
    if records and records[0] != HANDSHAKE_RECORD:
        hint = " (it looks like V2GTP without TLS)" if records[0] == 0x01 else ""
        raise NotTLSError(f"first octet 0x{records[0]:02x} starts no TLS handshake{hint}")
    if len(records) > 1 and records[1] != 3:
        raise NotTLSError(f"second octet 0x{records[1]:02x} is no TLS version")
    message, position = b"", 0
    while position + 5 <= len(records):
        if records[position] != HANDSHAKE_RECORD:
            raise NotTLSError(f"a record of type {records[position]} inside the ClientHello")
        size = int.from_bytes(records[position + 3 : position + 5], "big")
        if not 0 < size <= MAX_RECORD:
            raise NotTLSError(f"a handshake record of {size} octets")
        message += records[position + 5 : position + 5 + size]
        position += 5 + size
    if len(message) < 4:
        return None
    if message[0] != 1:
        raise NotTLSError(f"the first handshake message is of type {message[0]}, not a ClientHello")
    length = 4 + int.from_bytes(message[1:4], "big")
    if length > MAX_HELLO:
        raise NotTLSError(f"a ClientHello of {length} octets")
    return message[:length] if len(message) >= length else None


def parse_certificate(message: bytes, *, tls_1_3: bool) -> tuple[list[bytes], list[bytes | None]]:
    """The certificates of a Certificate message in the order sent, and the OCSP response of each."""
    reader = _Reader(message)
    if reader.number(1, "handshake type") != 11:
        raise HandshakeDecodeError("not a Certificate message", 0)
    body = reader.vector(3, "Certificate")
    if tls_1_3:
        body.vector(1, "certificate_request_context")
    entries = body.vector(3, "certificate list")
    chain: list[bytes] = []
    staples: list[bytes | None] = []
    while entries.more:
        chain.append(entries.vector(3, "certificate").rest())
        staples.append(_entry_staple(entries.vector(2, "entry extensions")) if tls_1_3 else None)
    return chain, staples


def _entry_staple(extensions: _Reader) -> bytes | None:
    staple = None
    while extensions.more:
        kind = extensions.number(2, "extension type")
        content = extensions.vector(2, "extension")
        if kind == 5 and content.number(1, "status type") == 1:
            staple = content.vector(3, "OCSP response").rest()
    return staple


def parse_certificate_status(message: bytes) -> bytes | None:
    """The OCSP response of a TLS 1.2 CertificateStatus message; None for another status type."""
    reader = _Reader(message)
    if reader.number(1, "handshake type") != 22:
        raise HandshakeDecodeError("not a CertificateStatus", 0)
    body = reader.vector(3, "CertificateStatus")
    return body.vector(3, "OCSP response").rest() if body.number(1, "status type") == 1 else None


def parse_requested_authorities(message: bytes) -> tuple[bytes, ...] | None:
    """certificate_authorities of a TLS 1.3 CertificateRequest as DER names; None if it is missing."""
    reader = _Reader(message)
    if reader.number(1, "handshake type") != 13:
        raise HandshakeDecodeError("not a CertificateRequest", 0)
    body = reader.vector(3, "CertificateRequest")
    body.vector(1, "certificate_request_context")
    extensions = body.vector(2, "extensions")
    while extensions.more:
        kind = extensions.number(2, "extension type")
        content = extensions.vector(2, "extension")
        if kind == 47:
            return _names(content.vector(2, "certificate_authorities"))
    return None
