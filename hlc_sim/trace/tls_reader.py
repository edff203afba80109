"""Decrypts a captured TLS connection with the secrets of a key log: TLS 1.3 (RFC 8446) and 1.2 (RFC 5246).

Only what V2G connections use: the three AEADs of TLS 1.3; in TLS 1.2 those and AES-CBC with HMAC, with a
named ClientRandom. Compression, renegotiation, 0-RTT and resumption by ticket key alone are not read.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .keylog import KeyLog

_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION = 20, 21, 22, 23
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE, _FINISHED, _KEY_UPDATE = 1, 2, 11, 20, 24
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_MAX_RECORD = 16384 + 2048
_MAX_HANDSHAKE = 1024 * 1024
_GROUPS = {23: "secp256r1", 24: "secp384r1", 25: "secp521r1", 29: "x25519", 30: "x448"}
_VERSIONS = {0x0301: "TLSv1.0", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}


class _Suite(NamedTuple):
    name: str
    hash: hashes.HashAlgorithm
    cipher: str
    key: int
    """Octets of the key."""
    mac: hashes.HashAlgorithm | None = None


_SUITES = {
    0x1301: _Suite("TLS_AES_128_GCM_SHA256", hashes.SHA256(), "gcm", 16),
    0x1302: _Suite("TLS_AES_256_GCM_SHA384", hashes.SHA384(), "gcm", 32),
    0x1303: _Suite("TLS_CHACHA20_POLY1305_SHA256", hashes.SHA256(), "chacha", 32),
    0x1304: _Suite("TLS_AES_128_CCM_SHA256", hashes.SHA256(), "ccm", 16),
    0xC02B: _Suite("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", hashes.SHA256(), "gcm", 16),
    0xC02C: _Suite("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", hashes.SHA384(), "gcm", 32),
    0xC02F: _Suite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", hashes.SHA256(), "gcm", 16),
    0xC030: _Suite("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", hashes.SHA384(), "gcm", 32),
    0xCCA8: _Suite("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", hashes.SHA256(), "chacha", 32),
    0xCCA9: _Suite("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", hashes.SHA256(), "chacha", 32),
    0xC023: _Suite("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", hashes.SHA256(), "cbc", 16, hashes.SHA256()),
    0xC025: _Suite("TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA256", hashes.SHA256(), "cbc", 16, hashes.SHA256()),
    0xC024: _Suite("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", hashes.SHA384(), "cbc", 32, hashes.SHA384()),
}


_AEADS: dict[str, Callable[[bytes], AESGCM | ChaCha20Poly1305 | AESCCM]] = {
    "gcm": AESGCM,
    "chacha": ChaCha20Poly1305,
    "ccm": AESCCM,
}


@dataclass
class Facts:
    """What the handshake shows, as far as it could be read."""

    version: str = ""
    suite: str = ""
    group: str = ""
    client_certificates: list[bytes] = field(default_factory=list)
    server_certificates: list[bytes] = field(default_factory=list)
    alert: str = ""
    problem: str = ""
    """Why the connection cannot be decrypted, or not further."""


def expand_label(algorithm: hashes.HashAlgorithm, secret: bytes, label: str, length: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446, 7.1)."""
    name = b"tls13 " + label.encode()
    info = struct.pack("!HB", length, len(name)) + name + b"\0"
    return HKDFExpand(algorithm, length, info).derive(secret)


def prf(algorithm: hashes.HashAlgorithm, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """The pseudorandom function of TLS 1.2 (RFC 5246, 5)."""
    name = algorithm.name
    out, chained = b"", label + seed
    while len(out) < length:
        chained = hmac.digest(secret, chained, name)
        out += hmac.digest(secret, chained + label + seed, name)
    return out[:length]


class _Keys:
    """Opens the records of one direction under one key."""

    def __init__(self, suite: _Suite, key: bytes, iv: bytes, mac: bytes = b"", etm: bool = False) -> None:
        self._suite, self._key, self._iv, self._mac, self._etm = suite, key, iv, mac, etm
        self._sequence = 0
        self._aead = _AEADS[suite.cipher](key) if suite.cipher in _AEADS else None

    def _nonce(self) -> bytes:
        number = int.from_bytes(self._iv, "big") ^ self._sequence
        return number.to_bytes(len(self._iv), "big")

    def open_13(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        """Type and content of a TLS 1.3 record. InvalidTag if the key is not the one."""
        assert self._aead is not None
        inner = self._aead.decrypt(self._nonce(), body, header).rstrip(b"\0")
        self._sequence += 1
        if not inner:
            raise InvalidTag
        return inner[-1], inner[:-1]

    def open_12(self, header: bytes, body: bytes) -> bytes:
        prefix = struct.pack("!Q", self._sequence) + header[:3]
        if self._aead is None:
            content = self._open_cbc(prefix, body)
        else:
            explicit = b"" if self._suite.cipher == "chacha" else body[:8]
            sealed = body[len(explicit) :]
            nonce = self._nonce() if not explicit else self._iv + explicit
            content = self._aead.decrypt(nonce, sealed, prefix + struct.pack("!H", len(sealed) - 16))
        self._sequence += 1
        return content

    def _open_cbc(self, prefix: bytes, body: bytes) -> bytes:
        assert self._suite.mac is not None
        size = self._suite.mac.digest_size
        iv, sealed, tag = body[:16], body[16:], b""
        if self._etm:
            sealed, tag = sealed[:-size], sealed[-size:]
            expected = prefix + struct.pack("!H", len(body) - size) + body[:-size]
            if not hmac.compare_digest(tag, hmac.digest(self._mac, expected, self._suite.mac.name)):
                raise InvalidTag
        if not sealed or len(sealed) % 16:
            raise InvalidTag
        decryptor = Cipher(AES(self._key), CBC(iv)).decryptor()
        plain = decryptor.update(sealed) + decryptor.finalize()
        plain = plain[: -plain[-1] - 1]
        if self._etm:
            return plain
        content, tag = plain[:-size], plain[-size:]
        expected = prefix + struct.pack("!H", len(content)) + content
        if not hmac.compare_digest(tag, hmac.digest(self._mac, expected, self._suite.mac.name)):
            raise InvalidTag
        return content


class _Direction:
    def __init__(self) -> None:
        self.buffer = bytearray()
        self.handshake = bytearray()
        self.keys: _Keys | None = None
        self.secret = b""
        self.changed = False
        """ChangeCipherSpec was seen."""


class TLSReader:
    """One connection. `feed` takes the bytes of either side in the order of the capture and returns the
    application data they complete; `facts` has what the handshake tells.
    """

    def __init__(self, keylog: KeyLog) -> None:
        self.facts = Facts()
        self._keylog = keylog
        self._sides = {True: _Direction(), False: _Direction()}
        self._random = b""
        self._server_random = b""
        self._suite: _Suite | None = None
        self._tls13 = False
        self._etm = False

    def feed(self, from_client: bool, data: bytes) -> bytes:
        if self.facts.problem:
            return b""
        side = self._sides[from_client]
        side.buffer += data
        plain = b""
        try:
            for header, body in self._records(side):
                plain += self._record(from_client, side, header, body)
                if self.facts.problem:
                    break
        except InvalidTag:
            self._give_up("a record does not open with the keys of the key log")
        except (struct.error, IndexError, ValueError) as error:
            self._give_up(f"malformed handshake: {error}")
        return plain

    def _give_up(self, problem: str) -> None:
        self.facts.problem = problem
        for side in self._sides.values():
            side.buffer.clear()
            side.handshake.clear()

    def _records(self, side: _Direction) -> Iterator[tuple[bytes, bytes]]:
        buffer = side.buffer
        while len(buffer) >= 5:
            length = int.from_bytes(buffer[3:5], "big")
            if not 20 <= buffer[0] <= 24 or length > _MAX_RECORD:
                self._give_up(f"{bytes(buffer[:5]).hex(' ')} is no TLS record header")
                return
            if len(buffer) < 5 + length:
                return
            record = bytes(buffer[: 5 + length])
            del buffer[: 5 + length]
            yield record[:5], record[5:]

    def _record(self, from_client: bool, side: _Direction, header: bytes, body: bytes) -> bytes:
        kind = header[0]
        if kind == _CHANGE_CIPHER_SPEC:
            if not self._tls13 and self._suite is not None:
                side.changed = True
                self._derive_12(from_client)
            return b""
        if side.keys is not None and (self._tls13 or side.changed):
            if self._tls13 and kind == _APPLICATION:
                kind, body = side.keys.open_13(header, body)
            elif not self._tls13:
                body = side.keys.open_12(header, body)
        elif (self._tls13 and kind == _APPLICATION) or side.changed:
            self._missing()
            return b""
        if kind == _ALERT and len(body) >= 2:
            if body[1] != 0:  # close_notify is no fault
                self.facts.alert = f"{'client' if from_client else 'server'}: alert {body[1]}"
        elif kind == _HANDSHAKE:
            side.handshake += body
            if len(side.handshake) > _MAX_HANDSHAKE:
                raise ValueError("a handshake message of more than 1 MiB")
            self._handshake(from_client, side)
        elif kind == _APPLICATION:
            return body
        return b""

    def _missing(self) -> None:
        have = "has no secret of this connection" if len(self._keylog) else "is missing"
        self._give_up(f"the key log {have} (ClientRandom {self._random.hex()})")

    def _handshake(self, from_client: bool, side: _Direction) -> None:
        buffer = side.handshake
        while len(buffer) >= 4:
            length = int.from_bytes(buffer[1:4], "big")
            if len(buffer) < 4 + length:
                return
            kind, body = buffer[0], bytes(buffer[4 : 4 + length])
            del buffer[: 4 + length]
            self._message(from_client, side, kind, body)

    def _message(self, from_client: bool, side: _Direction, kind: int, body: bytes) -> None:
        if kind == _CLIENT_HELLO and from_client:
            self._random = body[2:34]
        elif kind == _SERVER_HELLO and not from_client:
            self._server_hello(body)
        elif kind == _CERTIFICATE:
            chain = self.facts.client_certificates if from_client else self.facts.server_certificates
            chain[:] = _certificates(body, self._tls13)
        elif kind == _FINISHED and self._tls13:
            label = "CLIENT_TRAFFIC_SECRET_0" if from_client else "SERVER_TRAFFIC_SECRET_0"
            self._use(side, self._keylog.get(label, self._random))
        elif kind == _KEY_UPDATE and self._tls13 and self._suite is not None:
            algorithm = self._suite.hash
            self._use(side, expand_label(algorithm, side.secret, "traffic upd", algorithm.digest_size))

    def _server_hello(self, body: bytes) -> None:
        version = int.from_bytes(body[0:2], "big")
        self._server_random = body[2:34]
        if self._server_random == _RETRY:
            return
        at = 35 + body[34]
        number = int.from_bytes(body[at : at + 2], "big")
        for extension, content in _extensions(body[at + 3 :]):
            if extension == 43:
                version = int.from_bytes(content, "big")
            elif extension == 51:
                group = int.from_bytes(content[:2], "big")
                self.facts.group = _GROUPS.get(group, f"0x{group:04X}")
            elif extension == 22:
                self._etm = True
        self._tls13 = version == 0x0304
        self.facts.version = _VERSIONS.get(version, f"0x{version:04X}")
        self._suite = _SUITES.get(number)
        self.facts.suite = self._suite.name if self._suite is not None else f"0x{number:04X}"
        if self._suite is None:
            self._give_up(f"cipher suite 0x{number:04X} is not read here")
        elif self._tls13:
            for from_client, label in ((True, "CLIENT"), (False, "SERVER")):
                secret = self._keylog.get(f"{label}_HANDSHAKE_TRAFFIC_SECRET", self._random)
                if secret is not None:
                    self._use(self._sides[from_client], secret)

    def _use(self, side: _Direction, secret: bytes | None) -> None:
        assert self._suite is not None
        side.keys = None
        if secret is None:
            return
        algorithm = self._suite.hash
        side.secret = secret
        side.keys = _Keys(
            self._suite,
            expand_label(algorithm, secret, "key", self._suite.key),
            expand_label(algorithm, secret, "iv", 12),
        )

    def _derive_12(self, from_client: bool) -> None:
        assert self._suite is not None
        suite = self._suite
        master = self._keylog.get("CLIENT_RANDOM", self._random)
        if master is None:
            return
        mac = 0 if suite.mac is None else suite.mac.digest_size
        iv = {"gcm": 4, "ccm": 4, "chacha": 12, "cbc": 0}[suite.cipher]
        block = prf(
            suite.hash,
            master,
            b"key expansion",
            self._server_random + self._random,
            2 * (mac + suite.key + iv),
        )
        parts = []
        for size in (mac, mac, suite.key, suite.key, iv, iv):
            parts.append(block[:size])
            block = block[size:]
        own = parts[0 if from_client else 1 :: 2]
        self._sides[from_client].keys = _Keys(suite, own[1], own[2], own[0], self._etm)


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    end = 2 + int.from_bytes(data[:2], "big")
    at = 2
    while at + 4 <= end:
        kind, length = struct.unpack_from("!HH", data, at)
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def _certificates(body: bytes, tls13: bool) -> list[bytes]:
    """The DER certificates of a Certificate message, leaf first."""
    at = 1 + body[0] if tls13 else 0
    end = at + 3 + int.from_bytes(body[at : at + 3], "big")
    at += 3
    found = []
    while at + 3 <= end:
        length = int.from_bytes(body[at : at + 3], "big")
        found.append(body[at + 3 : at + 3 + length])
        at += 3 + length
        if tls13:
            at += 2 + int.from_bytes(body[at : at + 2], "big")
    return found
