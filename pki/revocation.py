"""Revocation of a minted hierarchy: CRLs, OCSP responses to staple, and a responder on loopback."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from pki.certificate import Credential
from pki.hierarchy import Hierarchy
from pki.keys import signing_hash

WEEK = timedelta(days=7)
"""Longest validity of a status: [V2G20-1021] for OCSP; the CRLs follow it."""


def revoke(hierarchy: Hierarchy, name: str, reason: str = "unspecified", at: datetime | None = None) -> None:
    """Marks a certificate revoked; `reason` is a name of `x509.ReasonFlags` in its RFC 5280 spelling."""
    x509.ReasonFlags(reason)  # ValueError for a reason that does not exist
    credential = hierarchy[name]
    if credential.issuer is None:
        raise ValueError(f"{name} is a root: nobody can revoke it")
    serial = credential.certificate.serial_number
    hierarchy.revoked.setdefault(serial, (at or datetime.now(UTC).replace(microsecond=0), reason))


def crl(hierarchy: Hierarchy, ca_name: str, now: datetime | None = None) -> bytes:
    """The DER certificate revocation list of one CA, valid for a week."""
    ca = hierarchy[ca_name]
    start = (now or datetime.now(UTC)).replace(microsecond=0)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(start)
        .next_update(start + WEEK)
        .add_extension(x509.CRLNumber(int(start.timestamp())), False)
    )
    identifier = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    builder = builder.add_extension(authority, False)
    for credential in hierarchy.credentials.values():
        serial = credential.certificate.serial_number
        if credential.issuer is None or credential.issuer.name != ca_name or serial not in hierarchy.revoked:
            continue
        at, reason = hierarchy.revoked[serial]
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
        if reason != "unspecified":
            entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags(reason)), False)
        builder = builder.add_revoked_certificate(entry.build())
    signed = builder.sign(ca.key, signing_hash(ca.key))
    return signed.public_bytes(serialization.Encoding.DER)


def status_response(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    signer: Credential,
    *,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    this_update: datetime,
    next_update: datetime | None,
    revoked: tuple[datetime, str] | None = None,
    include_signer: bool = True,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """One signed OCSP response (DER) about one certificate, with nothing checked: good ones and bad ones."""
    at, reason = revoked or (None, None)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=certificate,
        issuer=issuer,
        algorithm=hashes.SHA1(),
        cert_status=status,
        this_update=this_update,
        next_update=next_update,
        revocation_time=at,
        revocation_reason=None if reason in (None, "unspecified") else x509.ReasonFlags(reason),
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
    if include_signer:
        builder = builder.certificates([signer.certificate])
    chosen = digest or signing_hash(signer.key)
    return builder.sign(signer.key, chosen).public_bytes(serialization.Encoding.DER)


def staple(hierarchy: Hierarchy, name: str, now: datetime | None = None) -> bytes:
    """The OCSP response a SECC staples for one certificate, signed by the delegated signer of its issuer."""
    credential = hierarchy[name]
    if credential.issuer is None:
        raise ValueError(f"{name} is a root: its issuer cannot state its status")
    start = (now or datetime.now(UTC)).replace(microsecond=0)
    return _status_of(hierarchy, credential, credential.issuer, start)


def staples(hierarchy: Hierarchy, name: str, now: datetime | None = None) -> list[bytes]:
    """One response for every certificate of the chain of `name`, in wire order [V2G20-2388]."""
    return [staple(hierarchy, link.name, now) for link in hierarchy[name].path]


def _status_of(hierarchy: Hierarchy, credential: Credential, issuer: Credential, start: datetime) -> bytes:
    revoked = hierarchy.revoked.get(credential.certificate.serial_number)
    status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
    return status_response(
        credential.certificate,
        issuer.certificate,
        hierarchy[f"ocsp_{issuer.name}"],
        status=status,
        this_update=start,
        next_update=start + WEEK,
        revoked=revoked,
    )


def answer(hierarchy: Hierarchy, request: bytes, now: datetime | None = None) -> bytes:
    """The DER response to a DER OCSP request. A certificate we did not issue is answered `unauthorized`."""
    try:
        asked = ocsp.load_der_ocsp_request(request)
        wanted = (asked.serial_number, asked.issuer_key_hash, asked.issuer_name_hash)
        algorithm = asked.hash_algorithm
    except ValueError:
        return _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    for credential in hierarchy.credentials.values():
        issuer = credential.issuer
        if issuer is None or credential.certificate.serial_number != wanted[0]:
            continue
        question = ocsp.OCSPRequestBuilder().add_certificate(
            credential.certificate, issuer.certificate, algorithm
        )
        ours = question.build()
        if (ours.issuer_key_hash, ours.issuer_name_hash) == wanted[1:]:
            start = (now or datetime.now(UTC)).replace(microsecond=0)
            return _status_of(hierarchy, credential, issuer, start)
    return _unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)


def _unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    response = ocsp.OCSPResponseBuilder.build_unsuccessful(status)
    return response.public_bytes(serialization.Encoding.DER)


def make_responder(reload: Callable[[], Hierarchy], port: int = 8888) -> ThreadingHTTPServer:
    """An HTTP server on 127.0.0.1 that answers OCSP (RFC 6960 appendix A: POST, and GET with base64 in the
    path) and serves `/CA.crl`. `reload` is called for each request, so that a revocation shows at once.

    The caller runs `serve_forever()` and closes it; port 0 takes a free one.
    """

    class Handler(BaseHTTPRequestHandler):
        def reply(self, data: bytes, kind: str, code: int = 200) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            size = self.headers.get("Content-Length", "")
            if not size.isdigit() or int(size) > 65536:
                return self.reply(b"", "text/plain", 400)
            data = self.rfile.read(int(size))
            return self.reply(answer(reload(), data), "application/ocsp-response")

        def do_GET(self) -> None:
            name = unquote(self.path.lstrip("/"))
            if name.endswith(".crl"):
                hierarchy = reload()
                if name[:-4] not in hierarchy.credentials:
                    return self.reply(b"", "text/plain", 404)
                return self.reply(crl(hierarchy, name[:-4]), "application/pkix-crl")
            try:
                data = b64decode(name)
            except ValueError:
                return self.reply(b"", "text/plain", 400)
            return self.reply(answer(reload(), data), "application/ocsp-response")

        def log_message(self, format: str, *args: object) -> None:
            pass  # the caller decides what is printed

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)
