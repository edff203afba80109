"""TLS by OpenSSL over memory buffers: the one file that uses private names of pyOpenSSL.

What the public interface lacks and -20 needs is reached through `SSL._lib`: the list of groups, the list of
signature schemes, a verify callback that chooses the alert, and a message callback that shows the
certificates in wire order. `self_test` proves on first use that all of them work in the installed versions.

One context per connection: the callbacks belong to that connection and die with it, and so do the keys of
session tickets, so that no connection is ever resumed past the chain checker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Protocol

import cryptography
import OpenSSL
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from OpenSSL import SSL, crypto

from iso15118.security.handshake_messages import (
    HandshakeDecodeError,
    client_hello_message,
    parse_certificate,
    parse_certificate_status,
    parse_client_hello,
    parse_requested_authorities,
)
from iso15118.security.tls_profile import (
    ISO_20,
    Alert,
    CipherSuite,
    Group,
    SignatureScheme,
    TLSProfile,
    TLSVersion,
)

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]

_VERSIONS = {TLSVersion.TLS_1_2: SSL.TLS1_2_VERSION, TLSVersion.TLS_1_3: SSL.TLS1_3_VERSION}
_GROUPS = {
    Group.SECP256R1: "P-256",
    Group.SECP384R1: "P-384",
    Group.SECP521R1: "P-521",
    Group.X25519: "X25519",
    Group.X448: "X448",
}
_OPENSSL_SUITES = {
    CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: "ECDHE-ECDSA-AES128-SHA256",
    CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
    CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
}
# OpenSSL derives the alert for a refused certificate from the verify error; one error for each alert.
_VERIFY_ERROR = {
    Alert.HANDSHAKE_FAILURE: 50,
    Alert.BAD_CERTIFICATE: 4,
    Alert.UNSUPPORTED_CERTIFICATE: 26,
    Alert.CERTIFICATE_REVOKED: 23,
    Alert.CERTIFICATE_EXPIRED: 10,
    Alert.CERTIFICATE_UNKNOWN: 34,
    Alert.UNKNOWN_CA: 20,
    Alert.DECRYPT_ERROR: 7,
}
_OTHER_VERIFY_ERROR = 1  # internal_error
_NO_AUTO_CHAIN = 0x8  # SSL_MODE_NO_AUTO_CHAIN: what is sent is the chain given, nothing from the trust store
_RECORD_ALERT, _RECORD_HANDSHAKE = 21, 22
_CERTIFICATE, _CERTIFICATE_REQUEST, _CERTIFICATE_STATUS = 11, 13, 22


PEER_CLOSED = "the peer closed the connection"


class EngineError(Exception):
    """The TLS connection failed; the engine's `alert_sent` and `alert_received` say who refused."""


class Engine(Protocol):
    """TLS without I/O: ciphertext through `feed` and `drain`, plaintext through `read` and `write`."""

    def step(self) -> bool:
        """Advance the handshake; True when it is done. Raises EngineError."""

    def feed(self, data: bytes) -> None:
        """Ciphertext from the peer; empty for the end of the stream."""

    def drain(self) -> bytes:
        """Ciphertext for the peer; empty if there is none."""

    def read(self, size: int) -> bytes | None:
        """Plaintext, empty at the end, or None if more ciphertext is needed."""

    def write(self, data: bytes) -> None:
        """Plaintext to encrypt."""

    def close(self) -> None:
        """Queue close_notify."""


@dataclass
class Plan:
    """How one connection is to be made.

    `judge` gets the peer's chain (DER, wire order) with the OCSP response of each certificate and returns the
    alert that refuses it, or None; without a judge every peer is accepted. `roots` are named in a server's
    CertificateRequest; OpenSSL's own path check uses them too. `ceiling` is the highest version this side
    serves at all: a server that does 1.3 elsewhere must mark a 1.2 handshake with the downgrade
    sentinel of RFC 8446, and OpenSSL does so only if 1.3 is enabled in the context.
    """

    profile: TLSProfile
    chain: Sequence[bytes] = ()
    key: PrivateKey | None = None
    roots: Sequence[x509.Certificate] = ()
    staple: bytes | None = None
    judge: Callable[[list[bytes], list[bytes | None]], Alert | None] | None = None
    keylog: Callable[[str], None] | None = None
    ceiling: TLSVersion | None = None


@dataclass
class Seen:
    """What went over the wire during the handshake."""

    chain: list[bytes] = field(default_factory=list)
    staples: list[bytes | None] = field(default_factory=list)
    authorities: tuple[bytes, ...] | None = None
    openssl_error: int | None = None
    """The first error of OpenSSL's own path check, for the log: it decides nothing."""


class OpenSSLEngine:
    """An `Engine` on pyOpenSSL."""

    def __init__(self, plan: Plan, *, server_side: bool) -> None:
        self.plan, self.server_side, self.seen = plan, server_side, Seen()
        self.alert_sent: int | None = None
        self.alert_received: int | None = None
        self.close_notify_received = False
        self._judged = False
        self._verdict: Alert | None = None
        self._callback_error: BaseException | None = None
        self._handles: list[Any] = []  # cffi callbacks live as long as somebody holds them
        self._connection = SSL.Connection(self._context(), None)
        if server_side:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if plan.profile.request_staple:
                self._connection.request_ocsp()

    # Setting up.

    def _context(self) -> SSL.Context:
        plan = self.plan
        context = SSL.Context(SSL.TLS_SERVER_METHOD if self.server_side else SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(_VERSIONS[min(plan.profile.versions)])
        highest = max(*plan.profile.versions, plan.ceiling or TLSVersion.TLS_1_2)
        context.set_max_proto_version(_VERSIONS[highest])
        context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_RENEGOTIATION)
        self._set_suites(context)
        _set_lists(context, plan.profile.groups, plan.profile.schemes)
        context.set_mode(_NO_AUTO_CHAIN)
        # A resumed session shows no certificate. Either switch alone still lets OpenSSL resume; with both it
        # goes on sending tickets (the function that stops it is not exported) and accepts none.
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        if plan.chain and plan.key is not None:
            _load_credential(context, plan.chain, plan.key)
        store = context.get_cert_store()
        if store is not None:
            for root in plan.roots:
                store.add_cert(crypto.X509.from_cryptography(root))
        if self.server_side:
            for root in plan.roots:
                context.add_client_ca(root)
            if plan.staple is not None:
                context.set_ocsp_server_callback(lambda connection, data: plan.staple or b"")
        else:
            context.set_ocsp_client_callback(self._on_status)
        if (keylog := plan.keylog) is not None:
            context.set_keylog_callback(lambda connection, line: keylog(line.decode("ascii")))
        self._set_callbacks(context)
        return context

    def _set_suites(self, context: SSL.Context) -> None:
        modern = [suite.name for suite in self.plan.profile.suites if suite not in _OPENSSL_SUITES]
        older = [_OPENSSL_SUITES[suite] for suite in self.plan.profile.suites if suite in _OPENSSL_SUITES]
        if modern:
            context.set_tls13_ciphersuites(":".join(modern).encode())
        # Level 0: the profile says what may be used and the chain checker judges certificates, not OpenSSL.
        context.set_cipher_list((":".join(older or ["ALL"]) + ":@SECLEVEL=0").encode())

    def _set_callbacks(self, context: SSL.Context) -> None:
        on_message = _ffi.callback(
            "void(int, int, int, const void *, size_t, SSL *, void *)", self._on_message, onerror=self._failed
        )
        _lib.SSL_CTX_set_msg_callback(context._context, on_message)
        on_verify = _ffi.callback(
            "int(int, X509_STORE_CTX *)", self._on_verify, error=0, onerror=self._failed
        )
        mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        if self.server_side and not self.plan.profile.request_client_certificate:
            mode = SSL.VERIFY_NONE
        _lib.SSL_CTX_set_verify(context._context, mode, on_verify)
        self._handles += [on_message, on_verify]

    # Callbacks from OpenSSL.

    def _failed(self, kind: Any, error: BaseException, trace: Any) -> None:
        self._callback_error = error

    def _on_message(
        self, sent: int, version: int, kind: int, buffer: Any, size: int, ssl: Any, extra: Any
    ) -> None:
        if kind not in (_RECORD_ALERT, _RECORD_HANDSHAKE):
            return
        data = bytes(_ffi.buffer(buffer, size))
        if kind == _RECORD_ALERT and size == 2:
            if data[1] == Alert.CLOSE_NOTIFY:
                self.close_notify_received |= not sent
            elif sent:
                self.alert_sent = data[1]
            else:
                self.alert_received = data[1]
        elif kind == _RECORD_HANDSHAKE and not sent and size:
            self._on_handshake(data, tls_1_3=version == TLSVersion.TLS_1_3)

    def _on_handshake(self, data: bytes, *, tls_1_3: bool) -> None:
        try:
            if data[0] == _CERTIFICATE:
                self.seen.chain, self.seen.staples = parse_certificate(data, tls_1_3=tls_1_3)
            elif data[0] == _CERTIFICATE_REQUEST and tls_1_3:
                self.seen.authorities = parse_requested_authorities(data)
            elif data[0] == _CERTIFICATE_STATUS and self.seen.staples:
                self.seen.staples[0] = parse_certificate_status(data)
        except HandshakeDecodeError:
            pass  # OpenSSL reads the same octets next and answers decode_error itself

    def _on_verify(self, ok: int, store: Any) -> int:
        if not ok and self.seen.openssl_error is None:
            self.seen.openssl_error = _lib.X509_STORE_CTX_get_error(store)
        if not self._judged:
            self._judge()
        # No verify error leads to alert 113; the status callback refuses a little later in the same flight.
        if self._verdict in (None, Alert.BAD_CERTIFICATE_STATUS_RESPONSE):
            _lib.X509_STORE_CTX_set_error(store, 0)
            return 1
        error = _VERIFY_ERROR.get(self._verdict, _OTHER_VERIFY_ERROR)
        _lib.X509_STORE_CTX_set_error(store, error)
        return 0

    def _judge(self) -> None:
        judge = self.plan.judge
        self._verdict = judge(self.seen.chain, self.seen.staples) if judge is not None else None
        self._judged = True

    def _on_status(self, connection: SSL.Connection, response: bytes, data: None) -> bool:
        """The last word on the server's certificates: in TLS 1.2 the staple comes after the first verdict."""
        try:
            if response and connection.get_protocol_version() < TLSVersion.TLS_1_3:
                self._judge()
            return self._verdict is None
        except BaseException as error:
            self._callback_error = error
            return False

    # The engine protocol.

    def step(self) -> bool:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            self._raise_callback_error()
            return False
        except SSL.Error as error:
            self._raise_callback_error()
            raise EngineError(_reason(error)) from None
        self._raise_callback_error()
        peer_must_show = not self.server_side or self.plan.profile.request_client_certificate
        if peer_must_show and not self._judged:
            raise EngineError("the handshake ended without a verdict on the peer's certificates")
        if self._verdict is not None:
            raise EngineError("the peer's certificates are refused, but the handshake went on")
        return True

    def _raise_callback_error(self) -> None:
        if self._callback_error is not None:
            error, self._callback_error = self._callback_error, None
            raise error

    def feed(self, data: bytes) -> None:
        if data:
            self._connection.bio_write(data)
        else:
            self._connection.bio_shutdown()

    def drain(self) -> bytes:
        pieces = []
        while True:
            try:
                pieces.append(self._connection.bio_read(65536))
            except SSL.WantReadError:
                return b"".join(pieces)

    def read(self, size: int) -> bytes | None:
        try:
            return self._connection.recv(size)
        except SSL.WantReadError:
            return None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise EngineError(_reason(error)) from None

    def write(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except SSL.Error as error:
            raise EngineError(_reason(error)) from None

    def close(self) -> None:
        with suppress(SSL.Error):  # if nothing was negotiated there is nothing to close
            self._connection.shutdown()

    # Facts about the finished handshake.

    @property
    def version(self) -> TLSVersion:
        return TLSVersion(self._connection.get_protocol_version())

    @property
    def suite(self) -> str:
        return self._connection.get_cipher_name() or ""

    @property
    def group(self) -> str:
        return self._connection.get_group_name() or ""


def _load_credential(context: SSL.Context, chain: Sequence[bytes], key: PrivateKey) -> None:
    """ValueError if OpenSSL cannot parse a certificate, would send other octets, or the key does not fit."""
    try:
        leaf, *others = (_load_certificate(der) for der in chain)
        context.use_certificate(leaf)
        for certificate in others:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(key)
    except (crypto.Error, SSL.Error) as error:
        raise ValueError(f"OpenSSL refuses the certificate chain or its key: {error}") from None


def _load_certificate(der: bytes) -> x509.Certificate | crypto.X509:
    """A certificate broken on purpose may be one that only OpenSSL's laxer parser takes."""
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion):
        loaded = crypto.load_certificate(crypto.FILETYPE_ASN1, der)
        if crypto.dump_certificate(crypto.FILETYPE_ASN1, loaded) != der:
            raise ValueError("OpenSSL would not send this certificate as it is") from None
        return loaded


def _reason(error: SSL.Error) -> str:
    if isinstance(error, SSL.SysCallError):
        return PEER_CLOSED
    reasons = [str(entry[2]) for entry in (error.args[0] if error.args else [])]
    return ", ".join(reasons) or type(error).__name__


def _set_lists(context: SSL.Context, groups: Sequence[Group], schemes: Sequence[SignatureScheme]) -> None:
    names = ":".join(_GROUPS[group] for group in groups)
    if _lib.SSL_CTX_set1_curves_list(context._context, names.encode()) != 1:
        raise RuntimeError(f"this OpenSSL does not know all of the groups {names}")
    listed = ":".join(scheme.name.lower() for scheme in schemes)
    if _lib.SSL_CTX_set1_sigalgs_list(context._context, listed.encode()) != 1:
        raise RuntimeError(f"this OpenSSL does not know all of the signature schemes {listed}")


@cache
def self_test() -> None:
    """One -20 handshake in memory; RuntimeError with the versions if a private name fails its duty."""
    try:
        trouble = _try_handshake()
    except Exception as error:
        trouble = f"{type(error).__name__}: {error}"
    if trouble:
        raise RuntimeError(
            f"TLS of ISO 15118-20 does not work with pyOpenSSL {OpenSSL.__version__} and cryptography "
            f"{cryptography.__version__}: {trouble}"
        )


def _try_handshake() -> str:
    key = ec.derive_private_key(0x15118, ec.SECP521R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "self-test")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=36500))
    certificate = builder.sign(key, hashes.SHA512())
    der = certificate.public_bytes(serialization.Encoding.DER)
    shown: list[list[bytes]] = []

    def judge(chain: list[bytes], staples: list[bytes | None]) -> Alert | None:
        shown.append(chain)
        return None

    plan = Plan(ISO_20, [der], key, [certificate], judge=judge)
    client, server = OpenSSLEngine(plan, server_side=False), OpenSSLEngine(plan, server_side=True)
    client.step()
    first = client.drain()
    hello = parse_client_hello(client_hello_message(first) or b"")
    for got, wanted, what in (
        (hello.suites, ISO_20.suites, "cipher suites"),
        (hello.groups, ISO_20.groups, "groups"),
        (hello.schemes, ISO_20.schemes, "signature schemes"),
        (hello.versions, ISO_20.versions, "versions"),
    ):
        if tuple(got) != tuple(wanted):
            return f"the ClientHello offers other {what} than the profile"
    server.feed(first)
    done = {False: False, True: False}
    for _ in range(4):
        for engine, other in ((server, client), (client, server)):
            done[engine.server_side] = done[engine.server_side] or engine.step()
            other.feed(engine.drain())
    if not all(done.values()):
        return "the handshake does not end"
    if shown != [[der], [der]] or client.seen.authorities != (name.public_bytes(),):
        return "the peer's certificates or the CA names were not seen"
    return ""
