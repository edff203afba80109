"""The chain checker: a certificate chain as it came over the wire, walked from the leaf to a trusted root.

Deliberately not a path builder: the standard fixes the order (leaf first, each certificate followed by its
issuer, the root not sent), so anything else is a fault. Pure: the time is passed in, nothing is fetched.

    verdict = check_chain(der_certificates, Role.VEHICLE, roots=roots, now=now)
    verdict.ok, verdict.alert, [str(fault) for fault in verdict.faults]
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from iso15118.security.certificate_rules import (
    KNOWN_SIGNATURES,
    Edition,
    Family,
    Fault,
    Parsed,
    Policy,
    Role,
    Rule,
    Strictness,
    encoding_faults,
    profile_faults,
)
from iso15118.security.ocsp import staple_faults
from iso15118.security.tls_profile import Alert

__all__ = [
    "Edition",
    "Family",
    "Fault",
    "Policy",
    "Role",
    "Rule",
    "Staples",
    "Strictness",
    "Verdict",
    "check_chain",
    "contract_response_code",
]

MAX_CHAIN = 3
"""Certificates on the wire, the root not counted; one more if a cross certificate is among them."""

EXPIRES_SOON = {Edition.ISO_2: timedelta(days=21)}
"""A contract this close to its end is reported: 21 days in -2 [V2G2-690], else 14 days [V2G20-2218]."""


class Staples(StrEnum):
    """Which OCSP responses the EVCC insists on; those that are present are always checked."""

    IF_PRESENT = "if-present"
    LEAF = "leaf"
    ALL = "all"


@dataclass(frozen=True)
class Verdict:
    """The outcome: `faults` in the order they were found, `anchor` the root that vouches for the chain."""

    role: Role
    faults: tuple[Fault, ...]
    anchor: x509.Certificate | None
    leaf: x509.Certificate | None
    expires: datetime | None = None
    """The earliest notAfter in the chain."""

    @property
    def errors(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if not fault.remark)

    @property
    def remarks(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.remark)

    @property
    def ok(self) -> bool:
        return not self.errors and self.anchor is not None

    @property
    def alert(self) -> Alert | None:
        """The TLS alert that answers this chain: that of the first error; None if there is none."""
        return self.errors[0].alert if self.errors else None


def check_chain(
    chain: Sequence[bytes],
    role: Role,
    *,
    roots: Sequence[x509.Certificate],
    now: float,
    policy: Policy | None = None,
    staples: Sequence[bytes | None] = (),
    require_staples: Staples = Staples.IF_PRESENT,
    crls: Sequence[x509.CertificateRevocationList] = (),
    first_fault: bool = False,
) -> Verdict:
    """Check a chain of DER certificates, leaf first.

    `now` is in seconds since the epoch, UTC. `staples` has the OCSP response (DER) for each certificate, or
    None where an SECC stapled none, which is at least remarked; empty, if none were asked for. With
    `first_fault` the walk stops at the first error, which decides the alert either way.
    """
    walk = _Walk(list(chain), role, roots, datetime.fromtimestamp(now, UTC), policy or Policy())
    walk.staples, walk.require_staples, walk.crls = list(staples), require_staples, crls
    faults: list[Fault] = []
    for fault in walk.faults():
        faults.append(fault)
        if first_fault and not fault.remark:
            break
    leaf = walk.parsed[0] if walk.parsed else None
    expires = min((parsed.ends for parsed in walk.parsed), default=None)
    anchor = walk.anchor.certificate if walk.anchor else None
    return Verdict(role, tuple(faults), anchor, leaf.certificate if leaf else None, expires)


class _Walk:
    """One check under way. Faults come in the order in which a device meets them."""

    staples: list[bytes | None]
    require_staples: Staples
    crls: Sequence[x509.CertificateRevocationList]

    def __init__(
        self,
        chain: list[bytes],
        role: Role,
        roots: Sequence[x509.Certificate],
        now: datetime,
        policy: Policy,
    ) -> None:
        self.chain, self.role, self.roots, self.now, self.policy = chain, role, roots, now, policy
        self.parsed: list[Parsed] = []
        self.anchor: Parsed | None = None

    def faults(self) -> Iterator[Fault]:
        if not self.chain:
            yield Fault(Rule.CHAIN_EMPTY, 0, "no certificate was presented")
            return
        malformed = False
        for index, der in enumerate(self.chain):
            try:
                self.parsed.append(Parsed(der))
            except (ValueError, TypeError) as error:
                malformed = True
                yield Fault(Rule.MALFORMED, index, str(error) or type(error).__name__)
        if malformed:
            self.parsed = []
            return
        yield from self._shape()
        for index, parsed in enumerate(self.parsed):
            yield from encoding_faults(parsed, index, self.policy)
        broken = yield from self._links()
        if broken:
            return
        issuers = [*self.parsed[1:], *([self.anchor] if self.anchor else [])]
        for index in range(len(issuers) - 1, -1, -1):
            yield from profile_faults(
                self.parsed[index], index, issuers[index], role=self.role, policy=self.policy, now=self.now
            )
        if self.anchor is not None:
            if self.now > self.anchor.ends:
                yield Fault(Rule.EXPIRED, len(self.parsed), "the root has expired")
            yield from self._revocation(issuers)

    def _shape(self) -> Iterator[Fault]:
        last = self.parsed[-1]
        if len(self.parsed) > 1 and last.self_issued:
            lenient = self.policy.edition is Edition.LENIENT
            yield Fault(Rule.ROOT_ON_WIRE, len(self.parsed) - 1, "the root is not sent", lenient)
            self.parsed.pop()
        allowed = MAX_CHAIN + any(parsed.is_cross for parsed in self.parsed[1:])
        if len(self.parsed) > allowed:
            yield Fault(Rule.CHAIN_LENGTH, 0, f"{len(self.parsed)} certificates, at most {allowed}")

    def _links(self) -> Generator[Fault, None, bool]:
        """Names and signatures up to a trusted root. The generator's value says whether names do not link."""
        for index, (child, parent) in enumerate(zip(self.parsed, self.parsed[1:], strict=False)):
            if child.certificate.issuer != parent.certificate.subject:
                yield Fault(Rule.CHAIN_ORDER, index, "the next certificate is not its issuer")
                return True
            if fault := _signature_fault(child, parent, index):
                yield fault
        last, index = self.parsed[-1], len(self.parsed) - 1
        namesakes = [root for root in self.roots if root.subject == last.certificate.issuer]
        for root in namesakes:
            try:
                candidate = Parsed(root.public_bytes(Encoding.DER))
            except ValueError:
                continue
            fault = _signature_fault(last, candidate, index)
            if fault is not None and fault.rule is Rule.SIGNATURE_ALGORITHM:
                yield fault  # the root of that name is trusted, but what it signed cannot be verified
            elif fault is not None:
                continue
            self.anchor = candidate
            return False
        issuer = last.certificate.issuer.rfc4514_string() or "(empty name)"
        detail = "not signed by the root of that name" if namesakes else "no such root is trusted"
        yield Fault(Rule.UNKNOWN_ISSUER, index, f"issuer {issuer}: {detail}")
        return False

    def _revocation(self, issuers: list[Parsed]) -> Iterator[Fault]:
        for index, (parsed, issuer) in enumerate(zip(self.parsed, issuers, strict=True)):
            staple = self.staples[index] if index < len(self.staples) else None
            if staple:
                yield from staple_faults(
                    staple, parsed.certificate, issuer.certificate, now=self.now, index=index
                )
            elif self.require_staples is Staples.ALL or (self.require_staples is Staples.LEAF and index == 0):
                yield Fault(Rule.STAPLE_MISSING, index, "no OCSP response was stapled")
            elif index < len(self.staples) and self.role is Role.SECC:
                yield Fault(Rule.STAPLE_MISSING, index, "no OCSP response was stapled", remark=True)
            for crl in self.crls:
                if crl.issuer == issuer.certificate.subject:
                    yield from self._crl_faults(crl, parsed, issuer, index)

    def _crl_faults(
        self, crl: x509.CertificateRevocationList, parsed: Parsed, issuer: Parsed, index: int
    ) -> Iterator[Fault]:
        try:
            genuine = crl.is_signature_valid(issuer.certificate.public_key())  # type: ignore[arg-type]
        except (ValueError, TypeError, UnsupportedAlgorithm):
            genuine = False
        if not genuine:
            yield Fault(Rule.REVOCATION_LIST, index, "the revocation list is not signed by its issuer")
            return
        if crl.next_update_utc is None or crl.next_update_utc < self.now:
            yield Fault(Rule.REVOCATION_LIST, index, "the revocation list is out of date")
        entry = crl.get_revoked_certificate_by_serial_number(parsed.certificate.serial_number)
        if entry is not None:
            yield Fault(Rule.REVOKED, index, f"revoked since {entry.revocation_date_utc:%Y-%m-%d %H:%M} UTC")


def _signature_fault(child: Parsed, parent: Parsed, index: int) -> Fault | None:
    algorithm = child.certificate.signature_algorithm_oid
    if algorithm not in KNOWN_SIGNATURES:
        return Fault(Rule.SIGNATURE_ALGORITHM, index, f"{algorithm.dotted_string} is in no profile")
    try:
        child.certificate.verify_directly_issued_by(parent.certificate)
    except InvalidSignature:
        return Fault(Rule.SIGNATURE, index, "does not verify with the key of its issuer")
    except UnsupportedAlgorithm as error:
        return Fault(Rule.SIGNATURE_ALGORITHM, index, f"cannot be verified: {error}")
    except (ValueError, TypeError) as error:
        return Fault(Rule.SIGNATURE, index, f"cannot be verified: {error}")
    return None


def contract_response_code(verdict: Verdict, *, now: float, edition: Edition = Edition.ISO_20) -> str:
    """The ResponseCode of AuthorizationRes that a contract chain earns.

    An expired certificate outweighs one that is not yet valid; an unknown root is no fault of the chain,
    which may still be forwarded; whatever else breaks the profile is a validation error.
    """
    rules = {fault.rule for fault in verdict.errors}
    if not rules:
        left = timedelta(0) if verdict.expires is None else verdict.expires - datetime.fromtimestamp(now, UTC)
        soon = left < EXPIRES_SOON.get(edition, timedelta(days=14))
        return "OK_CertificateExpiresSoon" if soon else "OK"
    for rule, code in (
        (Rule.EXPIRED, "WARNING_CertificateExpired"),
        (Rule.NOT_YET_VALID, "WARNING_CertificateNotYetValid"),
        (Rule.REVOKED, "WARNING_CertificateRevoked"),
    ):
        if rule in rules:
            return code
    return "WARNING_eMSPUnknown" if rules == {Rule.UNKNOWN_ISSUER} else "WARNING_CertificateValidationError"
