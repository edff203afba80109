"""Variants whose certificates are good and whose revocation status is not: OCSP staples and CRLs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.broken import Broken, Change, Variant, Workshop, present
from pki.broken_issued import between, purposes, without
from pki.certificate import Credential
from pki.hierarchy import Hierarchy
from pki.revocation import crl, revoke, status_response

Staples: TypeAlias = Callable[[Workshop, list[Credential]], list[bytes | None]]


def _good(shop: Workshop, path: list[Credential], **changes: Any) -> list[bytes | None]:
    """A good staple for every certificate, the leaf's with the changes given."""
    result: list[bytes | None] = []
    for index, link in enumerate(path):
        assert link.issuer is not None
        settings: dict[str, Any] = {
            "certificate": link.certificate,
            "issuer": link.issuer.certificate,
            "signer": shop.hierarchy[f"ocsp_{link.issuer.name}"],
            "this_update": shop.now - timedelta(hours=1),
            "next_update": shop.now + timedelta(days=6),
        }
        if index == 0:
            settings |= changes
        result.append(status_response(**settings))
    return result


def _times(start_days: float, end_days: float | None) -> Staples:
    def build(shop: Workshop, path: list[Credential]) -> list[bytes | None]:
        end = None if end_days is None else shop.now + timedelta(days=end_days)
        return _good(shop, path, this_update=shop.now + timedelta(days=start_days), next_update=end)

    return build


def _status(status: ocsp.OCSPCertStatus) -> Staples:
    def build(shop: Workshop, path: list[Credential]) -> list[bytes | None]:
        at = (shop.now - timedelta(days=1), "keyCompromise")
        revoked = at if status is ocsp.OCSPCertStatus.REVOKED else None
        return _good(shop, path, status=status, revoked=revoked)

    return build


def _signer(change: Change) -> Staples:
    return lambda shop, path: _good(shop, path, signer=shop.again("ocsp_cpo_sub2", change))


def _foreign_signer(shop: Workshop, path: list[Credential]) -> list[bytes | None]:
    return _good(shop, path, signer=shop.hierarchy["ocsp_cpo_b_sub2"])


def _unappointed(shop: Workshop, path: list[Credential]) -> list[bytes | None]:
    return _good(shop, path, signer=shop.hierarchy["ocsp_cpo_sub1"])


def _leaf_as_signer(shop: Workshop, path: list[Credential]) -> list[bytes | None]:
    return _good(shop, path, signer=path[0])


def _no_signer(shop: Workshop, path: list[Credential]) -> list[bytes | None]:
    return _good(shop, path, include_signer=False)


def _other_serial(shop: Workshop, path: list[Credential]) -> list[bytes | None]:
    def other(draft: Any, shop: Workshop) -> None:
        draft.serial += 1

    return _good(shop, path, certificate=shop.again("secc", other).certificate)


def _other_issuer(shop: Workshop, path: list[Credential]) -> list[bytes | None]:
    return _good(shop, path, issuer=shop.hierarchy["cpo_b_sub2"].certificate)


def _swapped(shop: Workshop, path: list[Credential]) -> list[bytes | None]:
    leaf, sub2, sub1 = _good(shop, path)
    return [sub2, leaf, sub1]


def _octets(change: Callable[[bytes], bytes]) -> Staples:
    def build(shop: Workshop, path: list[Credential]) -> list[bytes | None]:
        leaf, *rest = _good(shop, path)
        assert leaf is not None
        return [change(leaf), *rest]

    return build


def _flip_signature(response: bytes) -> bytes:
    signature = ocsp.load_der_ocsp_response(response).signature
    return response.replace(signature, signature[:-1] + bytes([signature[-1] ^ 1]))


def _try_later(response: bytes) -> bytes:
    built = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    return built.public_bytes(serialization.Encoding.DER)


_NO_EKU = without(x509.ExtendedKeyUsage)
_LOOSE_EKU = purposes(ExtendedKeyUsageOID.OCSP_SIGNING, critical=False)

# name, what is wrong, rule (None: accept), staples
_TABLE: tuple[tuple[str, str, str | None, Staples], ...] = (
    ("good", "good staples for every certificate", None, _good),
    ("none", "no staple at all", "staple-missing", lambda shop, path: [None] * len(path)),
    ("revoked", "leaf revoked", "revoked", _status(ocsp.OCSPCertStatus.REVOKED)),
    ("unknown", "leaf unknown to the responder", "staple", _status(ocsp.OCSPCertStatus.UNKNOWN)),
    ("stale", "nextUpdate was yesterday", "staple-validity", _times(-6, -1)),
    ("future", "thisUpdate is tomorrow", "staple-validity", _times(1, 7)),
    ("eight-days", "valid for eight days", "staple-validity", _times(-1, 7)),
    ("seven-days", "valid for seven days exactly", None, _times(-1, 6)),
    ("no-next-update", "nextUpdate absent", "staple-validity", _times(-1, None)),
    ("other-serial", "about another serial number", "staple", _other_serial),
    ("other-issuer", "about a certificate of another CA", "staple", _other_issuer),
    ("swapped", "staples of leaf and sub-CA 2 swapped", "staple", _swapped),
    ("foreign-signer", "signed by the OCSP signer of another hierarchy", "staple", _foreign_signer),
    ("unappointed-signer", "signed by the OCSP signer of sub-CA 1", "staple", _unappointed),
    ("leaf-as-signer", "signed by the leaf itself", "staple", _leaf_as_signer),
    ("signer-missing", "signer certificate not enclosed", "staple", _no_signer),
    ("signer-expired", "signer certificate expired", "staple", _signer(between(-3, -2))),
    ("signer-no-eku", "signer without OCSPSigning", "staple", _signer(_NO_EKU)),
    ("signer-eku-not-critical", "OCSPSigning not critical", "staple", _signer(_LOOSE_EKU)),
    ("signature-bit", "signature bit flipped", "staple", _octets(_flip_signature)),
    ("try-later", "the responder said tryLater", "staple", _octets(_try_later)),
    ("garbage", "no OCSP response at all", "staple", _octets(lambda response: b"\x30\x03staple")),
)


def _staple_variants() -> Iterable[Variant]:
    for name, wrong, rule, staples in _TABLE:

        def build(shop: Workshop, staples: Staples = staples) -> Broken:
            broken = present(shop.hierarchy["secc"])
            broken.staples = staples(shop, list(shop.hierarchy["secc"].path))
            return broken

        verdict = "accept" if rule is None else "reject"
        yield Variant(f"staple-{name}", "secc", wrong, rule, build, verdict, needs_staples=True)


def _crl_variants() -> Iterable[Variant]:
    for role, ca, response in (
        ("vehicle", "oem_sub2", None),
        ("contract", "mo_sub2", "WARNING_CertificateRevoked"),
    ):

        def build(shop: Workshop, role: str = role, ca: str = ca) -> Broken:
            good = shop.hierarchy
            marked = Hierarchy(good.edition, good.family, good.created, good.urls, good.credentials)
            revoke(marked, role, "keyCompromise", shop.now - timedelta(days=1))
            broken = present(good[role])
            broken.crls = [crl(marked, ca, shop.now - timedelta(hours=1))]
            return broken

        wrong = f"{role} certificate on the revocation list of its CA"
        yield Variant(f"{role}-revoked-crl", role, wrong, "revoked",
                      build, response=response)  # fmt: skip


STATUS_VARIANTS = (*_staple_variants(), *_crl_variants())
