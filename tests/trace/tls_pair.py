"""A real TLS conversation in memory, its ciphertext and secrets kept: OpenSSL on both sides."""

from __future__ import annotations

import contextlib
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL


def certificate(name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey, bytes]:
    """A self-signed certificate, its key, and its DER form."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(day)
        .not_valid_after(day + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return cert, key, cert.public_bytes(Encoding.DER)


class Conversation:
    """`wire` has (from_client, bytes) in order, `keylog` the lines, `server_der`/`client_der` the
    certificates.
    """

    def __init__(self, *, version: int, suite: str, etm: bool = True) -> None:
        self.keylog: list[str] = []
        self.wire: list[tuple[bool, bytes]] = []
        server_cert, server_key, self.server_der = certificate("SECC")
        client_cert, client_key, self.client_der = certificate("EV")
        server, client = SSL.Context(SSL.TLS_METHOD), SSL.Context(SSL.TLS_METHOD)
        server.use_certificate(server_cert)
        server.use_privatekey(server_key)
        server.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        client.use_certificate(client_cert)
        client.use_privatekey(client_key)
        for context in (server, client):
            context.set_min_proto_version(version)
            context.set_max_proto_version(version)
            if version == SSL.TLS1_3_VERSION:
                context.set_tls13_ciphersuites(suite.encode())
            else:
                context.set_cipher_list(suite.encode())
            if not etm:
                context.set_options(0x00080000)  # SSL_OP_NO_ENCRYPT_THEN_MAC
        client.set_keylog_callback(lambda _, line: self.keylog.append(line.decode()))
        self.server, self.client = SSL.Connection(server, None), SSL.Connection(client, None)
        self.server.set_accept_state()
        self.client.set_connect_state()
        for _ in range(10):
            for end in (self.client, self.server):
                with contextlib.suppress(SSL.WantReadError):
                    end.do_handshake()
                self._pump()

    def _pump(self) -> None:
        for end, other in ((self.client, self.server), (self.server, self.client)):
            while True:
                try:
                    data = end.bio_read(65536)
                except SSL.WantReadError:
                    break
                self.wire.append((end is self.client, data))
                other.bio_write(data)

    def say(self, from_client: bool, data: bytes) -> None:
        end, other = (self.client, self.server) if from_client else (self.server, self.client)
        end.sendall(data)
        self._pump()
        heard = b""
        while len(heard) < len(data):
            heard += other.recv(65536)
        assert heard == data
