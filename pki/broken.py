"""Certificates broken on purpose: each variant with what is wrong and the verdict a device should give.

    broken = break_chain(hierarchy, "vehicle-expired", now)
    broken.chain, broken.key, broken.staples        what to present
    broken.variant.verdict, broken.variant.alerts   what should happen

The variants are in four tables: `broken_issued` has certificates issued again with a change, `broken_chains`
good certificates arranged wrongly, `broken_octets` what is made below the level of X.509 libraries,
`broken_status` chains with odd OCSP staples and CRLs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives import serialization

from pki.certificate import Credential, Draft, create_file, pem
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


def present_as(name: str) -> Callable[[Workshop], Broken]:
    """The good chain of the named credential, in a place where it should not be."""
    return lambda shop: present(shop.hierarchy[name])


@cache
def variants() -> dict[str, Variant]:
    """Every variant by name."""
    from pki.broken_chains import CHAIN_VARIANTS
    from pki.broken_issued import ISSUED_VARIANTS
    from pki.broken_octets import OCTET_VARIANTS
    from pki.broken_status import STATUS_VARIANTS

    everything = [*ISSUED_VARIANTS, *CHAIN_VARIANTS, *OCTET_VARIANTS, *STATUS_VARIANTS]
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
