"""Certificates broken on purpose: each variant with what is wrong and the verdict a device should give.

    broken = break_chain(hierarchy, "vehicle-expired", now)
    broken.chain, broken.key, broken.staples        what to present
    broken.variant.verdict, broken.variant.alerts   what should happen

The variants are in three tables: here those made by issuing a certificate again with a change, in
`broken_octets` those made below the level of X.509 libraries, in `broken_status` chains with odd OCSP
staples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID

from pki.certificate import Credential, Draft, create_file, key_usage, pem, subject_key_id, usage_bits
from pki.hierarchy import Hierarchy
from pki.keys import AnyPrivateKey, make_key, seeded_entropy
from pki.profiles import Edition, Family

RULE_ALERTS: dict[str, frozenset[int]] = {
    # TLS alerts (RFC 8446 section 6) a device may send for each rule: RFC text, and what real devices send.
    "malformed": frozenset({42, 46, 50, 51, 43}),
    "too-large": frozenset({42}),
    "serial-number": frozenset({42}),
    "not-der": frozenset({42}),
    "name-string": frozenset({42, 46}),
    "chain-length": frozenset({42, 48}),
    "chain-order": frozenset({42, 48}),
    "root-on-wire": frozenset({42}),
    "unknown-issuer": frozenset({48}),
    "signature": frozenset({51, 48}),
    "signature-algorithm": frozenset({46, 43}),
    "key-family": frozenset({43, 40}),
    "mixed-families": frozenset({43, 40}),
    "key-encoding": frozenset({42, 43}),
    "expired": frozenset({45}),
    "not-yet-valid": frozenset({46, 42}),
    "validity-nesting": frozenset({46}),
    "critical-extension": frozenset({42, 46}),
    "extension": frozenset({46}),
    "criticality": frozenset({46}),
    "critical-aia": frozenset({42, 46}),
    "ca-basic-constraints": frozenset({48}),
    "path-length": frozenset({48}),
    "ca-key-usage": frozenset({48}),
    "leaf-basic-constraints": frozenset({46}),
    "key-usage": frozenset({43}),
    "extended-key-usage": frozenset({43}),
    "subject-key-id": frozenset({46, 48}),
    "authority-key-id": frozenset({46, 48}),
    "revocation-pointer": frozenset({46}),
    "subject": frozenset({46}),
    "common-name": frozenset({46, 42}),
    "domain-component": frozenset({46, 43}),
    "revoked": frozenset({44}),
    "staple-missing": frozenset({113, 46}),
    "staple": frozenset({113}),
    "staple-validity": frozenset({113}),
}

TRUST = {
    # The roots the verifying side holds for each presented role.
    "secc": ("v2g_root",),
    "vehicle": ("oem_root", "v2g_root"),
    "contract": ("mo_root", "v2g_root"),
    "oem_provisioning": ("oem_root", "v2g_root"),
    "cps": ("v2g_root",),
}

EDITIONS_20 = (Edition.ISO_20, Edition.AMD1)


@dataclass
class Workshop:
    """What a variant is made from: a good hierarchy and the time of the test."""

    hierarchy: Hierarchy
    now: datetime

    def again(self, name: str, change: Change) -> Credential:
        """The named certificate issued again with a change, by its own issuer, with its own key."""
        draft = Draft.of(self.hierarchy[name], self.hierarchy.edition, self.hierarchy.family)
        change(draft, self)
        return draft.finish()

    def key(self, family: Family, label: str = "other") -> AnyPrivateKey:
        return make_key(family, seeded_entropy("broken"), label)


Change: TypeAlias = Callable[[Draft, Workshop], object]


@dataclass
class Broken:
    """A chain to present: DER leaf first, the leaf's key, an OCSP staple or None for each certificate."""

    chain: list[bytes]
    key: AnyPrivateKey
    staples: list[bytes | None] = field(default_factory=list)
    crls: list[bytes] = field(default_factory=list)
    variant: Variant = field(init=False)

    def write(self, directory: Path, *, overwrite: bool = False) -> None:
        """Writes `NAME.pem` (the chain), `NAME.key` and `NAME.N.ocsp` (staples, leaf 0)."""
        name = self.variant.name
        encode = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        create_file(directory / f"{name}.pem", b"".join(map(pem, self.chain)), overwrite=overwrite)
        create_file(
            directory / f"{name}.key", self.key.private_bytes(*encode), secret=True, overwrite=overwrite
        )
        for index, staple in enumerate(self.staples):
            if staple is not None:
                create_file(directory / f"{name}.{index}.ocsp", staple, overwrite=overwrite)


@dataclass(frozen=True)
class Variant:
    """One deliberate fault.

    `role` is the role it is presented in, `rule` the rule that is broken, `verdict` what a device owes
    (`reject`, `accept`, or `remark`: accept and report) under the `editions` named; `alerts` the TLS alerts
    that may answer it; `response` the ResponseCode for chains that travel in messages.
    """

    name: str
    role: str
    wrong: str
    rule: str | None
    build: Callable[[Workshop], Broken]
    verdict: str = "reject"
    editions: tuple[Edition, ...] = EDITIONS_20
    families: tuple[Family, ...] = (Family.P521, Family.ED448)
    trust: tuple[str, ...] = ()
    response: str | None = None
    needs_staples: bool = False
    more_alerts: frozenset[int] = frozenset()

    @property
    def alerts(self) -> frozenset[int]:
        on_wire = self.verdict == "reject" and self.rule is not None and self.role in ("secc", "vehicle")
        return RULE_ALERTS[self.rule] | self.more_alerts if on_wire and self.rule else frozenset()

    @property
    def trusted(self) -> tuple[str, ...]:
        return self.trust or TRUST[self.role]


def present(credential: Credential, chain: list[bytes] | None = None) -> Broken:
    return Broken(credential.chain_der if chain is None else chain, credential.key)


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


def present_as(name: str) -> Callable[[Workshop], Broken]:
    """The good chain of the named credential, in a place where it should not be."""
    return lambda shop: present(shop.hierarchy[name])


def _chains() -> Iterable[Variant]:
    def chain(name: str, wrong: str, rule: str,
              arrange: Callable[[Workshop, Credential], list[bytes]]) -> Iterable[Variant]:  # fmt: skip
        for role in ("secc", "vehicle"):

            def build(shop: Workshop, role: str = role) -> Broken:
                leaf = shop.hierarchy[role]
                return present(leaf, arrange(shop, leaf))

            yield Variant(f"{role}-{name}", role, wrong, rule, build)

    yield from chain("leaf-only", "both sub-CAs missing", "unknown-issuer", lambda s, c: c.chain_der[:1])
    yield from chain("no-sub2", "sub-CA 2 missing", "chain-order",
                     lambda s, c: [c.chain_der[0], c.chain_der[2]])  # fmt: skip
    yield from chain("no-sub1", "sub-CA 1 missing", "unknown-issuer", lambda s, c: c.chain_der[:2])
    yield from chain("disorder", "leaf, sub-CA 1, sub-CA 2", "chain-order",
                     lambda s, c: [c.chain_der[i] for i in (0, 2, 1)])  # fmt: skip
    yield from chain("with-root", "root sent too", "root-on-wire", lambda s, c: [*c.chain_der, c.root.der])
    yield from chain("extra", "a certificate of another chain at the end", "chain-length",
                     lambda s, c: [*c.chain_der, s.hierarchy["mo_sub1"].der])  # fmt: skip
    yield from chain("leaf-twice", "leaf sent twice", "chain-order",
                     lambda s, c: [c.chain_der[0], *c.chain_der[:2]])  # fmt: skip
    for role, root in (("secc", "v2g_root"), ("vehicle", "oem_root")):
        yield Variant(f"{role}-forged", role, "same names all the way up, other keys", "unknown-issuer",
                      _forged(role))  # fmt: skip
        yield Variant(f"{role}-self-signed", role, "self-signed leaf", "unknown-issuer", _self_signed(role))
        yield Variant(f"{role}-too-long", role, "three sub-CAs", "chain-length", _too_long(role, root))
    yield Variant("secc-unknown-root", "secc", "chain of a root the EV does not hold", "unknown-issuer",
                  present_as("secc_b"))  # fmt: skip
    yield Variant("vehicle-unknown-root", "vehicle", "OEM root unknown to the charger", "unknown-issuer",
                  present_as("vehicle"), trust=("v2g_root",))  # fmt: skip
    for role, other in (
        ("secc", "vehicle"), ("secc", "contract"), ("secc", "cps"),
        ("vehicle", "contract"), ("vehicle", "oem_provisioning"), ("vehicle", "secc"),
    ):  # fmt: skip
        rule = "extended-key-usage"
        if role == "vehicle" and other in ("contract", "oem_provisioning"):
            rule = (
                "common-name"  # the first edition asks for clientAuth only if extKeyUsage is present at all
            )
        yield Variant(f"{role}-is-{other.replace('_', '-')}", role, f"presents its {other} certificate",
                      rule, present_as(other), trust=("v2g_root", "oem_root", "mo_root"),
                      more_alerts=frozenset({43, 46}))  # fmt: skip
    yield Variant("secc-cross", "secc", "chain of root B with its cross certificate, EV holds root A", None,
                  lambda shop: present(shop.hierarchy["secc_b"], shop.hierarchy.cross_chain()),
                  verdict="accept")  # fmt: skip
    yield Variant("secc-cross-outlives-root", "secc", "cross certificate valid longer than the root that "
                  "issued it", "validity-nesting", _long_cross)  # fmt: skip


def _forged(role: str) -> Callable[[Workshop], Broken]:
    def build(shop: Workshop) -> Broken:
        good = shop.hierarchy
        twin = Hierarchy.mint(good.edition, good.family, seed="forged", now=good.created)
        return present(twin[role])

    return build


def _self_signed(role: str) -> Callable[[Workshop], Broken]:
    def build(shop: Workshop) -> Broken:
        draft = Draft.of(shop.hierarchy[role], shop.hierarchy.edition, shop.hierarchy.family)
        draft.issuer = None
        made = draft.finish()
        return Broken([made.der], made.key)

    return build


def _too_long(role: str, root: str) -> Callable[[Workshop], Broken]:
    def build(shop: Workshop) -> Broken:
        def deeper(draft: Draft, shop: Workshop) -> None:
            draft.subject = [(NameOID.COMMON_NAME, "HLC Sub-CA 0")]
            draft.key = shop.key(shop.hierarchy.family, "deeper")
            draft.set_extension(subject_key_id(draft.key), False)
            draft.set_extension(x509.BasicConstraints(True, 2), True)

        leaf, sub2, sub1 = shop.hierarchy[role].path
        top = shop.again(sub1.name, deeper)

        def under_top(draft: Draft, shop: Workshop) -> None:
            draft.issuer = top
            identifier = x509.SubjectKeyIdentifier.from_public_key(top.key.public_key())
            authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
            draft.set_extension(authority, False)

        lower = shop.again(sub1.name, under_top)
        return Broken([leaf.der, sub2.der, lower.der, top.der], leaf.key)

    return build


def _long_cross(shop: Workshop) -> Broken:
    chain = shop.hierarchy.cross_chain()
    chain[-1] = shop.again("cross_b", outlives_issuer).der
    return present(shop.hierarchy["secc_b"], chain)


@cache
def variants() -> dict[str, Variant]:
    """Every variant by name."""
    from pki.broken_octets import OCTET_VARIANTS
    from pki.broken_status import STATUS_VARIANTS

    everything = [*_from_both(), *_single(), *_chains(), *OCTET_VARIANTS, *STATUS_VARIANTS]
    table = {variant.name: variant for variant in everything}
    assert len(table) == len(everything), "two variants have the same name"
    return table


def break_chain(hierarchy: Hierarchy, name: str, now: datetime | None = None) -> Broken:
    """Makes one variant from a good hierarchy of the right edition and key family."""
    table = variants()
    if name not in table:
        raise KeyError(f"no variant {name!r}; `v2g-pki break --list` names them")
    variant = table[name]
    if hierarchy.edition not in variant.editions or hierarchy.family not in variant.families:
        wanted = f"{'/'.join(variant.editions)} with {'/'.join(variant.families)} keys"
        raise ValueError(f"{name} is for {wanted}, not {hierarchy.edition} with {hierarchy.family}")
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    broken = variant.build(Workshop(hierarchy, moment))
    broken.variant = variant
    return broken
