"""TLS for V2G streams: configuration, the trio stream, and `secure`, which makes the one from the other.

    config = TLSConfig.load(chain, key, roots=[root])
    stream = await secure(tcp_stream, config, server_side=True)
    stream.facts.version, stream.facts.group, stream.facts.peer_leaf

The verdict on the peer's certificates is that of `iso15118.security.chain`, and so is the alert that refuses
them. Not possible with this library: sending certificate_authorities as EVCC, stapling below the leaf as
SECC, and keeping quiet about session tickets: they are sent, but none is ever accepted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa

from hlc_sim.transport.tls_openssl import (
    PEER_CLOSED,
    EngineError,
    OpenSSLEngine,
    Plan,
    PrivateKey,
    self_test,
)
from iso15118.security.chain import Policy, Role, Staples, Verdict, check_chain
from iso15118.security.handshake_messages import (
    ClientHello,
    HandshakeDecodeError,
    NotTLSError,
    client_hello_message,
    parse_client_hello,
)
from iso15118.security.tls_profile import ISO_20, Alert, SignatureScheme, TLSProfile, TLSVersion

_CHUNK = 16384
_CLOSE_SECONDS = 1.0  # how long close_notify may take to leave before the connection is dropped without it


class TLSError(trio.BrokenResourceError):
    """TLS failed. `alert` is the alert sent (`by_peer` False) or received (True), None if there was none."""

    def __init__(self, text: str, alert: int | None, by_peer: bool, facts: TLSFacts) -> None:
        super().__init__(text)
        self.alert, self.by_peer, self.facts = alert, by_peer, facts


@dataclass(frozen=True)
class TLSCredential:
    """An own certificate chain (DER, leaf first, root left out), its key and the OCSP staple of the leaf."""

    chain: tuple[bytes, ...]
    key: PrivateKey = field(repr=False)
    staple: bytes | None = None

    @classmethod
    def load(
        cls, chain: Path, key: Path, *, password: bytes | None = None, staple: Path | None = None
    ) -> TLSCredential:
        """From PEM files; `staple` is a DER OCSP response."""
        certificates = load_certificates(chain)
        try:
            loaded = serialization.load_pem_private_key(key.read_bytes(), password or None)
        except TypeError:
            raise ValueError(f"{key}: a password is needed, or is none") from None
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError(f"{key}: no private key in PEM") from None
        if not isinstance(loaded, ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey):
            raise ValueError(f"{key}: a {type(loaded).__name__} cannot sign in TLS")
        form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        if certificates[0].public_key().public_bytes(*form) != loaded.public_key().public_bytes(*form):
            raise ValueError(f"{key} is not the key of the first certificate in {chain}")
        ders = tuple(c.public_bytes(serialization.Encoding.DER) for c in certificates)
        return cls(ders, loaded, staple.read_bytes() if staple else None)

    @property
    def scheme(self) -> SignatureScheme | None:
        """The signature scheme its key can make in the V2G profiles."""
        if isinstance(self.key, ed448.Ed448PrivateKey):
            return SignatureScheme.ED448
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return {
                "secp521r1": SignatureScheme.ECDSA_SECP521R1_SHA512,
                "secp384r1": SignatureScheme.ECDSA_SECP384R1_SHA384,
                "secp256r1": SignatureScheme.ECDSA_SECP256R1_SHA256,
            }.get(self.key.curve.name)
        return None

    @property
    def root_name(self) -> bytes:
        """The DER name of the root, which issued the last certificate of the chain."""
        return x509.load_der_x509_certificate(self.chain[-1]).issuer.public_bytes()


def load_certificates(path: Path) -> list[x509.Certificate]:
    """All certificates of a PEM file; ValueError naming the file if there are none."""
    data = path.read_bytes()
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        found = data.count(b"-----BEGIN CERTIFICATE-----")
        what = "no certificate in PEM" if not found else f"one of its {found} certificates cannot be read"
        raise ValueError(f"{path}: {what}") from None


@dataclass(frozen=True)
class TLSConfig:
    """How a side speaks TLS.

    `profile` is what it offers; an SECC with a `fallback` serves clients that do not offer TLS 1.3 with that
    one. Of several `credentials` the SECC takes the one whose root and key the ClientHello asks for. `roots`
    are trusted for the peer and, by an SECC, named in its CertificateRequest. `check_peer` False accepts any
    chain and only reports the verdict. `keylog` gets the secrets in NSS format.
    """

    credentials: tuple[TLSCredential, ...] = ()
    roots: tuple[x509.Certificate, ...] = ()
    profile: TLSProfile = ISO_20
    fallback: TLSProfile | None = None
    policy: Policy = field(default_factory=Policy)
    peer_role: Role | None = None
    """Role of the peer's leaf; by default the vehicle for an SECC and the SECC for an EVCC."""
    require_staples: Staples = Staples.IF_PRESENT
    crls: tuple[x509.CertificateRevocationList, ...] = ()
    check_peer: bool = True
    keylog: Path | Callable[[str], None] | None = None
    now: Callable[[], float] = time.time

    @classmethod
    def load(
        cls,
        chain: Path | None = None,
        key: Path | None = None,
        *,
        roots: Sequence[Path] = (),
        staple: Path | None = None,
        password: bytes | None = None,
        profile: TLSProfile = ISO_20,
        policy: Policy | None = None,
        keylog: Path | None = None,
    ) -> TLSConfig:
        """From files: a PEM chain with its key, PEM bundles of trusted roots."""
        if (chain is None) is not (key is None):
            raise ValueError("a certificate chain and its key come together")
        credentials: tuple[TLSCredential, ...] = ()
        if chain is not None and key is not None:
            credentials = (TLSCredential.load(chain, key, password=password, staple=staple),)
        trusted = tuple(root for path in roots for root in load_certificates(path))
        return cls(credentials, trusted, profile, policy=policy or Policy(), keylog=keylog)


@dataclass
class TLSFacts:
    """What is known of a handshake, also of one that failed."""

    server_side: bool
    version: TLSVersion | None = None
    suite: str = ""
    group: str = ""
    client_hello: ClientHello | None = None
    peer_chain: tuple[bytes, ...] = ()
    """The peer's certificates (DER) as sent, leaf first; its staples beside them."""
    peer_staples: tuple[bytes | None, ...] = ()
    verdict: Verdict | None = None
    authorities: tuple[bytes, ...] | None = None
    """CA names (DER) of the CertificateRequest an EVCC received."""
    alert_sent: int | None = None
    alert_received: int | None = None
    openssl_error: int | None = None
    """First error of OpenSSL's own path check; kept for comparison, it decides nothing."""
    truncated: bool = False
    """The peer closed TCP without close_notify."""

    @property
    def peer_leaf(self) -> bytes | None:
        """The peer's own certificate (DER): on an SECC the one that binds a paused session to the vehicle."""
        return self.peer_chain[0] if self.peer_chain else None


class TLSStream(trio.abc.Stream):
    """A TLS connection over another trio stream, after its handshake. Made by `secure`."""

    def __init__(self, transport: trio.abc.Stream, engine: OpenSSLEngine, facts: TLSFacts) -> None:
        self.transport_stream, self.facts = transport, facts
        self._engine = engine
        self._sending = trio.Lock()
        self._broken = False
        self._closed = False
        self._receive_guard = trio.Lock()

    async def _flush(self) -> None:
        """Sends what the engine has queued. A transport that fails half-way leaves half a record behind."""
        while data := self._engine.drain():
            try:
                await self.transport_stream.send_all(data)
            except BaseException:
                self._broken = True
                raise

    def _note(self) -> None:
        facts, engine = self.facts, self._engine
        facts.peer_chain, facts.peer_staples = tuple(engine.seen.chain), tuple(engine.seen.staples)
        facts.authorities, facts.openssl_error = engine.seen.authorities, engine.seen.openssl_error
        facts.alert_sent, facts.alert_received = engine.alert_sent, engine.alert_received

    def _error(self, reason: str) -> TLSError:
        self._note()
        facts = self.facts
        if facts.alert_received is not None:
            return TLSError(f"refused by the peer: {_alert_name(facts.alert_received)}", facts.alert_received,
                            True, facts)  # fmt: skip
        detail = str(facts.verdict.errors[0]) if facts.verdict and facts.verdict.errors else reason
        if detail == PEER_CLOSED:  # the library then makes an alert that nobody reads
            return TLSError(f"{detail} without an alert", None, False, facts)
        if facts.alert_sent is not None:
            text = f"we refused the peer: {_alert_name(facts.alert_sent)}: {detail}"
            return TLSError(text, facts.alert_sent, False, facts)
        return TLSError(detail, None, False, facts)

    async def do_handshake(self) -> None:
        """Runs the handshake; TLSError if either side refuses, after the own alert has been sent."""
        while True:
            try:
                done = self._engine.step()
            except Exception as error:
                with suppress(trio.BrokenResourceError):  # the peer may be gone before our alert
                    await self._flush()
                if isinstance(error, EngineError):
                    raise self._error(str(error)) from None
                raise
            await self._flush()
            if done:
                break
            self._engine.feed(bytes(await self.transport_stream.receive_some(65536)))
        engine = self._engine
        self.facts.version, self.facts.suite, self.facts.group = engine.version, engine.suite, engine.group
        self._note()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._check_open()
        async with self._sending:
            self._check_open()
            view = memoryview(data)
            try:
                for start in range(0, len(view), _CHUNK):
                    self._engine.write(bytes(view[start : start + _CHUNK]))
                    await self._flush()
            except EngineError as error:
                self._broken = True
                raise self._error(str(error)) from None

    async def wait_send_all_might_not_block(self) -> None:
        async with self._sending:
            await self.transport_stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self._check_open()
        try:
            self._receive_guard.acquire_nowait()
        except trio.WouldBlock:
            raise trio.BusyResourceError("another task is receiving from this TLS stream") from None
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            return await self._receive(max_bytes or 65536)
        finally:
            self._receive_guard.release()

    async def _receive(self, size: int) -> bytes:
        while True:
            try:
                data = self._engine.read(size)
            except EngineError as error:
                if self.facts.truncated:
                    return b""
                await self._send_pending()
                raise self._error(str(error)) from None
            await self._send_pending()
            if data is not None:
                self._note()
                return data
            received = await self.transport_stream.receive_some(65536)
            if not received:
                self.facts.truncated = not self._engine.close_notify_received
            self._engine.feed(bytes(received))

    async def _send_pending(self) -> None:
        """Sends answers the engine made while reading, unless a sender is at it: it will take them along.

        Waiting for the sender here could deadlock two peers that both write and both wait to be read.
        """
        try:
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            return
        try:
            await self._flush()
        except trio.BrokenResourceError:
            pass  # the peer is gone; what it sent before can still be read
        finally:
            self._sending.release()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this TLS stream is closed")
        if self._broken:
            raise trio.BrokenResourceError("an earlier send was cut off in the middle of a record")

    async def aclose(self) -> None:
        """Sends close_notify, if that goes at once, and closes the transport."""
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._closed = True
        try:
            if not self._broken:
                self._engine.close()
                with trio.move_on_after(_CLOSE_SECONDS):
                    async with self._sending:
                        await self._flush()
        except trio.BrokenResourceError:
            pass  # the peer closed first
        finally:
            self._note()
            await self.transport_stream.aclose()


def _alert_name(alert: int) -> str:
    try:
        return f"alert {alert} {Alert(alert).name.lower()}"
    except ValueError:
        return f"alert {alert}"


async def secure(stream: trio.abc.Stream, config: TLSConfig, *, server_side: bool) -> TLSStream:
    """TLS over `stream`: reads the ClientHello if serving, chooses profile and credential, shakes hands.

    Raises TLSError if the handshake fails or the peer does not speak TLS; `stream` is then closed.
    """
    self_test()
    facts = TLSFacts(server_side)
    try:
        received = b""
        if server_side:
            received = await _read_hello(stream, facts)
        engine = OpenSSLEngine(_plan(config, facts, server_side), server_side=server_side)
        if received:
            engine.feed(received)
        secured = TLSStream(stream, engine, facts)
        await secured.do_handshake()
    except BaseException:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)
        raise
    return secured


async def _read_hello(stream: trio.abc.Stream, facts: TLSFacts) -> bytes:
    received = b""
    while True:
        data = await stream.receive_some(65536)
        if not data:
            raise TLSError("the peer closed before its ClientHello was complete", None, True, facts)
        received += data
        try:
            message = client_hello_message(received)
            if message is not None:
                facts.client_hello = parse_client_hello(message)
                return received
        except NotTLSError as error:
            if received[0] != 22:
                raise TLSError(str(error), None, False, facts) from None
            return received  # TLS gone wrong: the library answers with the right alert
        except HandshakeDecodeError:
            return received


def _plan(config: TLSConfig, facts: TLSFacts, server_side: bool) -> Plan:
    profile, hello = config.profile, facts.client_hello
    if hello is not None and config.fallback is not None and not hello.offers_tls_1_3:
        profile = config.fallback
    credential = choose_credential(config.credentials, profile, hello)
    role = config.peer_role or (Role.VEHICLE if server_side else Role.SECC)

    def judge(chain: list[bytes], staples: list[bytes | None]) -> Alert | None:
        facts.verdict = check_chain(
            chain,
            role,
            roots=config.roots,
            now=config.now(),
            policy=config.policy,
            staples=staples,
            require_staples=config.require_staples,
            crls=config.crls,
        )
        if facts.verdict.ok or not config.check_peer:
            return None
        return facts.verdict.alert or Alert.CERTIFICATE_UNKNOWN

    versions = (*config.profile.versions, *(config.fallback.versions if config.fallback else ()))
    return Plan(
        profile,
        credential.chain if credential else (),
        credential.key if credential else None,
        config.roots,
        credential.staple if credential else None,
        judge,
        keylog_writer(config.keylog),
        ceiling=max(versions),
    )


def choose_credential(
    credentials: Sequence[TLSCredential], profile: TLSProfile, hello: ClientHello | None
) -> TLSCredential | None:
    """The credential for a hello: one whose key it can check, and of those one under a root it names.

    Without a match by root the first usable one is taken [V2G20-2378]; without a usable one the first of all,
    so that the refusal comes from the handshake itself.
    """
    schemes = set(profile.schemes) & set(hello.schemes if hello and hello.schemes else profile.schemes)
    usable = [credential for credential in credentials if credential.scheme in schemes]
    if hello is not None and hello.authorities:
        for credential in usable:
            if credential.root_name in hello.authorities:
                return credential
    return next(iter(usable or credentials), None)


def keylog_writer(target: Path | Callable[[str], None] | None) -> Callable[[str], None] | None:
    """Appends lines to a key log that only its owner can read; what is called already is as it is."""
    if not isinstance(target, Path):
        return target
    path = target

    def append(line: str) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a") as file:
            file.write(line + "\n")

    return append
