"""Variants made by issuing a certificate of a good hierarchy again, with a change to its draft."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID

from pki.broken import Broken, Change, Variant, Workshop, present_as
from pki.certificate import Draft, key_usage, subject_key_id, usage_bits
from pki.keys import AnyPrivateKey
from pki.profiles import Edition, Family


def reissued(role: str, position: int, change: Change) -> Callable[[Workshop], Broken]:
    """A chain whose certificate at `position` (0 is the leaf) was issued again with a change."""

    def build(shop: Workshop) -> Broken:
        path = shop.hierarchy[role].path
        changed = shop.again(path[position].name, change)
        chain = [link.der for link in path]
        chain[position] = changed.der
        return Broken(chain, changed.key if position == 0 else path[0].key)

    return build


# Changes to a draft, named after what they do.


def between(start_days: float, end_days: float) -> Change:
    def change(draft: Draft, shop: Workshop) -> None:
        draft.not_before = shop.now + timedelta(days=start_days)
        draft.not_after = shop.now + timedelta(days=end_days)

    return change


def outlives_issuer(draft: Draft, shop: Workshop) -> None:
    assert draft.issuer is not None
    draft.not_after = draft.issuer.certificate.not_valid_after_utc + timedelta(days=1)


def precedes_issuer(draft: Draft, shop: Workshop) -> None:
    assert draft.issuer is not None
    draft.not_before = draft.issuer.certificate.not_valid_before_utc - timedelta(days=1)


def without(*kinds: type[x509.ExtensionType]) -> Change:
    def change(draft: Draft, shop: Workshop) -> None:
        for kind in kinds:
            draft.extensions.pop(kind.oid)

    return change


def usage(add: Iterable[str] = (), drop: Iterable[str] = (), critical: bool = True) -> Change:
    def change(draft: Draft, shop: Workshop) -> None:
        value, _ = draft.extensions[x509.KeyUsage.oid]
        assert isinstance(value, x509.KeyUsage)
        draft.set_extension(key_usage(usage_bits(value) - set(drop) | set(add)), critical)

    return change


def purposes(*oids: x509.ObjectIdentifier, critical: bool = True) -> Change:
    return lambda draft, shop: draft.set_extension(x509.ExtendedKeyUsage(oids), critical)


def basic(ca: bool, path_length: int | None = None, critical: bool = True) -> Change:
    return lambda draft, shop: draft.set_extension(x509.BasicConstraints(ca, path_length), critical)


def critical(*kinds: type[x509.ExtensionType]) -> Change:
    def change(draft: Draft, shop: Workshop) -> None:
        for kind in kinds:
            draft.set_extension(draft.extensions[kind.oid][0], True)

    return change


def extra_extension(is_critical: bool, size: int = 4) -> Change:
    value = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(size))
    return lambda draft, shop: draft.set_extension(value, is_critical)


def sized(octets: int) -> Change:
    """Pads certificatePolicies with policy identifiers and a long CPS URI to `octets` of DER."""

    def change(draft: Draft, shop: Workshop) -> None:
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.41525.1.2.1.0")
        serial, spare = draft.serial, octets - len(draft.finish().der)
        # The size of an ECDSA signature varies by an octet or two, so several serial numbers are tried.
        for attempt in range(400):
            text = "https://localhost/" + "p" * (spare - 60 - attempt % 20)
            draft.serial = serial ^ attempt // 20
            draft.set_extension(x509.CertificatePolicies([x509.PolicyInformation(oid, [text])]), False)
            if len(draft.finish().der) == octets:
                return
        raise ValueError(f"no certificate of exactly {octets} octets could be made")

    return change


def subject(**changes: str | None) -> Change:
    """Replaces (or with None removes) CN, O, DC; adds C or OU."""
    oids = {
        "cn": NameOID.COMMON_NAME,
        "o": NameOID.ORGANIZATION_NAME,
        "dc": NameOID.DOMAIN_COMPONENT,
        "c": NameOID.COUNTRY_NAME,
        "ou": NameOID.ORGANIZATIONAL_UNIT_NAME,
    }

    def change(draft: Draft, shop: Workshop) -> None:
        for short, value in changes.items():
            draft.subject = [pair for pair in draft.subject if pair[0] != oids[short]]
            if value is not None:
                draft.subject.append((oids[short], value))

    return change


def second_cn(draft: Draft, shop: Workshop) -> None:
    draft.subject.append((NameOID.COMMON_NAME, "SECOND"))


def no_subject(draft: Draft, shop: Workshop) -> None:
    draft.subject = []


def signed_with(digest: hashes.HashAlgorithm) -> Change:
    def change(draft: Draft, shop: Workshop) -> None:
        draft.digest = digest

    return change


def with_key(make: Callable[[Workshop], AnyPrivateKey]) -> Change:
    def change(draft: Draft, shop: Workshop) -> None:
        draft.key = make(shop)
        draft.set_extension(subject_key_id(draft.key), False)

    return change


def other_family(shop: Workshop) -> AnyPrivateKey:
    return shop.key(Family.P521 if shop.hierarchy.family is Family.ED448 else Family.ED448)


def wrong_authority(draft: Draft, shop: Workshop) -> None:
    draft.set_extension(x509.AuthorityKeyIdentifier(bytes(20), None, None), False)


def signed_by_stranger(draft: Draft, shop: Workshop) -> None:
    draft.signing_key = shop.key(shop.hierarchy.family, "stranger")


IDENTIFIERS = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier, x509.AuthorityInformationAccess)
_POINTERS = (x509.AuthorityInformationAccess, x509.CRLDistributionPoints)

# name, what is wrong, rule, position, change: presented once as a SECC chain and once as a vehicle chain
_BOTH: tuple[tuple[str, str, str, int, Change], ...] = (
    ("expired", "leaf expired yesterday", "expired", 0, between(-2, -1)),
    ("not-yet-valid", "leaf valid from tomorrow", "not-yet-valid", 0, between(1, 30)),
    ("sub2-expired", "sub-CA 2 expired yesterday", "expired", 1, between(-2, -1)),
    ("sub1-not-yet-valid", "sub-CA 1 valid from tomorrow", "not-yet-valid", 2, between(1, 30)),
    ("outlives-ca", "leaf valid longer than its sub-CA", "validity-nesting", 0, outlives_issuer),
    ("precedes-ca", "leaf valid before its sub-CA", "validity-nesting", 0, precedes_issuer),
    ("sub1-outlives-root", "sub-CA 1 valid longer than the root", "validity-nesting", 2, outlives_issuer),
    ("no-key-usage", "keyUsage absent", "key-usage", 0, without(x509.KeyUsage)),
    ("key-usage-not-critical", "keyUsage not critical", "key-usage", 0, usage(critical=False)),
    ("no-digital-signature", "keyUsage without digitalSignature", "key-usage", 0,
     usage(add=["key_agreement"], drop=["digital_signature"])),
    ("key-cert-sign", "leaf may sign certificates", "key-usage", 0, usage(add=["key_cert_sign"])),
    ("data-encipherment", "keyUsage with dataEncipherment", "key-usage", 0, usage(add=["data_encipherment"])),
    ("eku-any", "extKeyUsage anyExtendedKeyUsage only", "extended-key-usage", 0,
     purposes(Purpose.ANY_EXTENDED_KEY_USAGE)),
    ("eku-code-signing", "extKeyUsage codeSigning only", "extended-key-usage", 0,
     purposes(Purpose.CODE_SIGNING)),
    ("leaf-is-ca", "leaf marked as a CA", "leaf-basic-constraints", 0, basic(True)),
    ("no-basic-constraints", "basicConstraints absent in the leaf", "leaf-basic-constraints", 0,
     without(x509.BasicConstraints)),
    ("basic-constraints-not-critical", "basicConstraints of the leaf not critical",
     "leaf-basic-constraints", 0, basic(False, critical=False)),
    ("sub2-not-ca", "sub-CA 2 with cA false", "ca-basic-constraints", 1, basic(False)),
    ("sub2-no-basic-constraints", "sub-CA 2 without basicConstraints", "ca-basic-constraints", 1,
     without(x509.BasicConstraints)),
    ("sub2-no-key-cert-sign", "sub-CA 2 may not sign certificates", "ca-key-usage", 1,
     usage(add=["digital_signature"], drop=["key_cert_sign"])),
    ("sub2-no-path-length", "sub-CA 2 without pathLenConstraint", "path-length", 1, basic(True)),
    ("sub2-path-length-2", "sub-CA 2 with pathLenConstraint 2", "path-length", 1, basic(True, 2)),
    ("sub1-path-length-0", "sub-CA 1 with pathLenConstraint 0 above another CA", "path-length", 2,
     basic(True, 0)),
    ("sub2-eku", "sub-CA 2 with extKeyUsage", "extended-key-usage", 1,
     purposes(Purpose.SERVER_AUTH, Purpose.CLIENT_AUTH)),
    ("no-ski", "subjectKeyIdentifier absent", "subject-key-id", 0, without(x509.SubjectKeyIdentifier)),
    ("no-aki", "authorityKeyIdentifier absent", "authority-key-id", 0, without(x509.AuthorityKeyIdentifier)),
    ("wrong-aki", "authorityKeyIdentifier names another key", "authority-key-id", 0, wrong_authority),
    ("no-revocation-pointer", "neither OCSP nor CRL named", "revocation-pointer", 0, without(*_POINTERS)),
    ("critical-extension", "unknown critical extension", "critical-extension", 0, extra_extension(True)),
    ("p256-key", "P-256 key in the leaf", "key-family", 0, with_key(lambda shop: shop.key(Family.P256))),
    ("rsa-key", "RSA key in the leaf", "key-family", 0,
     with_key(lambda shop: rsa.generate_private_key(65537, 2048))),
    ("other-family", "leaf of the other key family than its CAs", "mixed-families", 0,
     with_key(other_family)),
    ("two-cn", "two common names", "subject", 0, second_cn),
    ("no-cn", "no common name", "subject", 0, subject(cn=None)),
    ("no-organisation", "no organization name", "subject", 0, subject(o=None)),
    ("empty-subject", "empty subject", "subject", 0, no_subject),
    ("cn-form", "common name is no identifier of its role", "common-name", 0, subject(cn="CHARGER 1")),
    ("cn-nul", "common name with a NUL character", "common-name", 0, subject(cn="ABC\0DEF")),
    ("1601-octets", "certificate of 1601 octets", "too-large", 0, sized(1601)),
    ("wrong-signer", "leaf signed with a key that is not its issuer's", "signature", 0, signed_by_stranger),
    ("sub2-wrong-signer", "sub-CA 2 signed with a stranger's key", "signature", 1, signed_by_stranger),
)  # fmt: skip


def _from_both() -> Iterable[Variant]:
    for name, wrong, rule, position, change in _BOTH:
        for role in ("secc", "vehicle"):
            yield Variant(f"{role}-{name}", role, wrong, rule, reissued(role, position, change))
    for role, purpose in (("secc", Purpose.CLIENT_AUTH), ("vehicle", Purpose.SERVER_AUTH)):
        wrong, rule = f"extKeyUsage {purpose._name} only", "extended-key-usage"
        yield Variant(f"{role}-eku-wrong", role, wrong, rule, reissued(role, 0, purposes(purpose)))
        own = Purpose.SERVER_AUTH if role == "secc" else Purpose.CLIENT_AUTH
        change = purposes(own, critical=False)
        yield Variant(f"{role}-eku-not-critical", role, "extKeyUsage not critical", rule,
                      reissued(role, 0, change))  # fmt: skip
        change = purposes(own, purpose)
        yield Variant(f"{role}-eku-both", role, "extKeyUsage serverAuth and clientAuth", rule,
                      reissued(role, 0, change), verdict="remark")  # fmt: skip
        sha256 = signed_with(hashes.SHA256())
        yield Variant(f"{role}-sha256", role, "leaf signed with ecdsa-with-SHA256", "signature-algorithm",
                      reissued(role, 0, sha256), families=(Family.P521,))  # fmt: skip
        yield Variant(f"{role}-sub1-sha256", role, "sub-CA 1 signed with ecdsa-with-SHA256",
                      "signature-algorithm", reissued(role, 2, sha256), families=(Family.P521,))  # fmt: skip
        exact = reissued(role, 0, sized(1600))
        yield Variant(f"{role}-1600-octets", role, "certificate of exactly 1600 octets", None, exact,
                      verdict="accept")  # fmt: skip
        far = reissued(
            role, 0, lambda draft, shop: setattr(draft, "not_after", datetime(9999, 12, 31, tzinfo=UTC))
        )
        yield Variant(f"{role}-year-9999", role, "valid until 9999-12-31", "validity-nesting", far)
        plain = reissued(role, 0, extra_extension(False))
        yield Variant(f"{role}-extension", role, "unknown extension, not critical", "extension", plain,
                      editions=(Edition.ISO_20,))  # fmt: skip
        yield Variant(f"{role}-extension-amd1", role, "unknown extension, not critical", "extension", plain,
                      verdict="remark", editions=(Edition.AMD1,))  # fmt: skip
        marked = reissued(role, 0, critical(*IDENTIFIERS))
        yield Variant(f"{role}-critical-identifiers", role, "SKI, AKI and AIA critical", None, marked,
                      verdict="accept", editions=(Edition.ISO_20,))  # fmt: skip
        marked = reissued(role, 0, critical(*IDENTIFIERS[:2]))
        yield Variant(f"{role}-critical-identifiers-amd1", role, "SKI and AKI critical", "criticality",
                      marked, editions=(Edition.AMD1,))  # fmt: skip
        marked = reissued(role, 0, critical(IDENTIFIERS[2]))
        yield Variant(f"{role}-critical-aia-amd1", role, "AIA critical", "critical-aia", marked,
                      editions=(Edition.AMD1,))  # fmt: skip
        named = reissued(role, 0, subject(c="DE", ou="Lab"))
        yield Variant(f"{role}-extra-names", role, "subject with C and OU", "subject", named,
                      verdict="remark")  # fmt: skip


def _single() -> Iterable[Variant]:
    def leaf(name: str, role: str, wrong: str, rule: str | None, change: Change, position: int = 0,
             **more: object) -> Variant:  # fmt: skip
        return Variant(name, role, wrong, rule, reissued(role, position, change), **more)  # type: ignore[arg-type]

    no_eku = without(x509.ExtendedKeyUsage)
    yield leaf("secc-no-eku", "secc", "extKeyUsage absent", "extended-key-usage", no_eku)
    yield leaf("vehicle-no-eku", "vehicle", "extKeyUsage absent", None, no_eku, verdict="accept",
               editions=(Edition.ISO_20,))  # fmt: skip
    yield leaf("vehicle-no-eku-amd1", "vehicle", "extKeyUsage absent", "extended-key-usage", no_eku,
               editions=(Edition.AMD1,))  # fmt: skip
    yield leaf("secc-dc-mo", "secc", "DC is MO, not CPO", "domain-component", subject(dc="MO"))
    yield leaf("secc-no-dc", "secc", "DC absent", "domain-component", subject(dc=None))
    yield leaf("secc-no-key-agreement", "secc", "keyUsage without keyAgreement", "key-usage",
               usage(drop=["key_agreement"]), families=(Family.P521,))  # fmt: skip
    yield leaf("vehicle-cn-letter-i", "vehicle", "EVCCID with the letter I", "common-name",
               subject(cn="WMIV123456789ABCDEFX"))  # fmt: skip
    yield leaf("vehicle-cn-19", "vehicle", "EVCCID of 19 characters", "common-name",
               subject(cn="WMZV123456789ABCDEF"))  # fmt: skip
    yield leaf("vehicle-no-dc-amd1", "vehicle", "DC=EV absent", "domain-component", subject(dc=None),
               editions=(Edition.AMD1,))  # fmt: skip
    # Chains that travel in messages.
    yield leaf("contract-expired", "contract", "contract expired", "expired", between(-2, -1),
               response="WARNING_CertificateExpired")  # fmt: skip
    yield leaf("contract-not-yet-valid", "contract", "contract valid from tomorrow", "not-yet-valid",
               between(1, 30), response="WARNING_CertificateNotYetValid")  # fmt: skip
    yield leaf("contract-sub2-expired", "contract", "eMSP sub-CA 2 expired", "expired", between(-2, -1), 1,
               response="WARNING_CertificateExpired")  # fmt: skip
    yield leaf("contract-expires-soon", "contract", "13 days left", None, between(-1, 13),
               verdict="accept", response="OK_CertificateExpiresSoon")  # fmt: skip
    yield leaf("contract-15-days", "contract", "15 days left", None, between(-1, 15), verdict="accept",
               response="OK")  # fmt: skip
    invalid = "WARNING_CertificateValidationError"
    yield leaf("contract-eku", "contract", "extKeyUsage clientAuth in a contract", "extended-key-usage",
               purposes(Purpose.CLIENT_AUTH), response=invalid)  # fmt: skip
    yield leaf("contract-key-usage-not-critical", "contract", "keyUsage not critical", "key-usage",
               usage(critical=False), response=invalid)  # fmt: skip
    yield leaf("contract-sub2-path-length", "contract", "sub-CA 2 without pathLenConstraint", "path-length",
               basic(True), 1, response=invalid)  # fmt: skip
    yield leaf("contract-no-crl-sign", "contract", "eMSP sub-CA 1 without cRLSign", "ca-key-usage",
               usage(drop=["crl_sign"]), 2, editions=(Edition.ISO_20,), response=invalid)  # fmt: skip
    yield leaf("contract-1601-octets", "contract", "contract of 1601 octets", "too-large", sized(1601),
               response=invalid)  # fmt: skip
    yield leaf("contract-cn-form", "contract", "common name is no EMAID", "common-name",
               subject(cn="DE-HLC"), response=invalid)  # fmt: skip
    unknown = present_as("contract")
    yield Variant("contract-unknown-root", "contract", "eMSP root unknown to the charger", "unknown-issuer",
                  unknown, trust=("v2g_root",), response="WARNING_eMSPUnknown")  # fmt: skip
    yield leaf("cps-dc", "cps", "DC is CPO, not CPS", "domain-component", subject(dc="CPO"))
    yield leaf("cps-expired", "cps", "provisioning service certificate expired", "expired", between(-2, -1))
    yield Variant("cps-unknown-root", "cps", "provisioning service of a foreign root", "unknown-issuer",
                  present_as("cps"), trust=("v2g_root_b",))  # fmt: skip
    yield leaf("oem-provisioning-p256", "oem_provisioning", "P-256 key in -20", "key-family",
               with_key(lambda shop: shop.key(Family.P256)))  # fmt: skip
    yield leaf("oem-provisioning-cn-form", "oem_provisioning", "common name is no PCID", "common-name",
               subject(cn="WMZP123"))  # fmt: skip
    yield leaf("oem-provisioning-expired", "oem_provisioning", "provisioning certificate expired", "expired",
               between(-2, -1))  # fmt: skip


ISSUED_VARIANTS = (*_from_both(), *_single())
