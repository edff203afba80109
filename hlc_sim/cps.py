"""A simulated certificate provisioning service: gives out contracts through CertificateInstallation.

service = ProvisioningService.of_hierarchy(Hierarchy.load(path))
trust = Trust(install_certificate=service)
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, x448
from cryptography.hazmat.primitives.serialization import load_der_public_key

from iso15118.messages import common
from iso15118.messages.common_types import ListOfRootCertificateIDs, ResponseCode
from iso15118.security.certificate_rules import ALT_PUBLIC_KEY
from iso15118.security.chain import Edition, Policy, Role, check_chain, contract_response_code
from iso15118.security.contract_keys import (
    DEFAULT,
    AgreementPublicKey,
    ContractKeyError,
    Curve,
    Ed448Seed,
    Wrapping,
    check_tpm_blob,
    wrap,
)
from iso15118.security.credentials import (
    certificates_of,
    common_name,
    contract_chain,
    load,
    subject_key_id,
    verifying_key,
)
from iso15118.security.signature_primitives import ALGORITHMS, SignatureError, SigningKey, algorithm_of
from iso15118.security.xmlsig import ISO_20_ALGORITHMS, SignedElement, make_signature, verify_message
from iso15118.session.secc_config import Installation
from pki.hierarchy import Hierarchy
from pki.profiles import Role as PKIRole

_ORDERS = 1000
"""Sessions whose remaining contracts are remembered; the oldest is forgotten first."""


@dataclass(frozen=True)
class Offer:
    """A contract to give out: chain (DER, leaf first) and key, or in place of the key a blob that only the
    vehicle's TPM can open.
    """

    chain: tuple[bytes, ...]
    key: SigningKey | None = field(default=None, repr=False)
    tpm_blob: bytes | None = field(default=None, repr=False)

    @property
    def emaid(self) -> str:
        return common_name(self.chain[0])


@dataclass
class _Order:
    """What a session has still to get, and since when it waits."""

    since: float
    left: list[Offer]


class _Refused(Exception):
    def __init__(self, code: ResponseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass
class ProvisioningService:
    """Answers CertificateInstallationReq; an instance is the hook `Trust.install_certificate`.

    `chain` and `key` are the CPS certificate's; `contracts` lists offers by PCID; `roots` are those of OEMs
    and V2G that provisioning certificates are checked against, `root` the V2G root of `chain`. `seconds` is
    how long a contract takes to come, while the answer is Ongoing.
    """

    chain: tuple[bytes, ...]
    key: SigningKey = field(repr=False)
    root: x509.Certificate
    contracts: Mapping[str, Sequence[Offer]]
    roots: Sequence[x509.Certificate]
    policy: Policy = field(default_factory=Policy)
    settings: Wrapping = DEFAULT
    seconds: float = 0.0
    entropy: Callable[[int], bytes] = field(default=secrets.token_bytes, repr=False)
    _orders: dict[bytes, _Order] = field(default_factory=dict, init=False)

    @classmethod
    def of_hierarchy(cls, hierarchy: Hierarchy, *, seconds: float = 0.0) -> ProvisioningService:
        """All contracts of a minted hierarchy, for its provisioning certificate."""
        cps, oem = hierarchy["cps"], hierarchy["oem_provisioning"]
        offers = [
            Offer(tuple(item.chain_der), item.signing_key)
            for item in hierarchy.credentials.values()
            if item.role is PKIRole.CONTRACT
        ]
        settings = DEFAULT
        if oem.agreement_key is not None:  # the only way an Ed448 contract key fits
            settings = replace(DEFAULT, ed448_seed=Ed448Seed.LONG_FIELD)
        return cls(
            tuple(cps.chain_der),
            cps.signing_key,
            cps.root.certificate,
            {common_name(oem.der): offers},
            [hierarchy[name].certificate for name in ("oem_root", "v2g_root")],
            Policy(Edition(hierarchy.edition)),
            settings,
            seconds,
        )

    def __call__(self, request: common.CertificateInstallationReq, now: float) -> Installation:
        """The answer at `now` (Unix s). A wrong signature is FAILED_SignatureError, the rest a WARNING."""
        try:
            remarks = self._check(request, now)
            order = self._order(request, now)
            if now - order.since < self.seconds:
                return Installation(pending=True)
            offer = order.left[0]
            data = self._wrap(offer, certificates_of(request.oem_provisioning_certificate_chain)[0])
        except _Refused as refused:
            self._orders.pop(request.header.session_id, None)
            return Installation(refused.code, reason=str(refused))
        order.left.pop(0)
        order.since = now
        if not order.left:
            del self._orders[request.header.session_id]
        element = SignedElement(data, "SignedInstallationData", data.id)
        subs = common.SubCertificates(certificate=list(self.chain[1:])) if self.chain[1:] else None
        return Installation(
            chain=common.CertificateChain(certificate=self.chain[0], sub_certificates=subs),
            data=data,
            remaining=len(order.left),
            signature=make_signature([element], self.key),
            remarks=remarks,
        )

    def _check(self, request: common.CertificateInstallationReq, now: float) -> tuple[str, ...]:
        """Signature and chain of the provisioning certificate; what was tolerated."""
        chain = certificates_of(request.oem_provisioning_certificate_chain)
        verdict = check_chain(chain, Role.OEM_PROVISIONING, roots=self.roots, now=now, policy=self.policy)
        what = "OEMProvisioningCertificateChain"
        remarks = tuple(f"{what}: {fault}" for fault in verdict.remarks)
        algorithms = ALGORITHMS if self.policy.edition is Edition.LENIENT else ISO_20_ALGORITHMS
        try:
            key = verifying_key(chain[0])
            usable = algorithm_of(key) in algorithms
        except ValueError:
            usable = False
        if usable:
            try:
                remarks += verify_message(request, key, algorithms=algorithms).deviations
            except SignatureError as error:
                raise _Refused(ResponseCode.FAILED_SignatureError, str(error)) from None
        if not verdict.ok or not usable:
            code = ResponseCode(contract_response_code(verdict, now=now, edition=self.policy.edition))
            if code.is_ok or code is ResponseCode.WARNING_eMSPUnknown:
                code = ResponseCode.WARNING_CertificateValidationError
            reason = str(verdict.errors[0]) if verdict.errors else "a key that signs no message"
            raise _Refused(code, f"{what}: {reason}")
        return remarks

    def _order(self, request: common.CertificateInstallationReq, now: float) -> _Order:
        """What this session gets: prioritized EMAIDs first, no more than the EV can store."""
        session = request.header.session_id
        if session in self._orders:
            return self._orders[session]
        pcid = common_name(request.oem_provisioning_certificate_chain.certificate)
        offers = list(self.contracts.get(pcid, ()))
        if not offers:
            raise _Refused(
                ResponseCode.WARNING_NoContractMatchingPCIDFound, f"no contract is known for PCID {pcid}"
            )
        unavailable = ResponseCode.WARNING_NoCertificateAvailable
        if not names_root(request.list_of_root_certificate_ids, self.root):
            raise _Refused(unavailable, "ListOfRootCertificateIDs has not the root of the CPS certificate")
        if request.maximum_contract_certificate_chains == 0:
            raise _Refused(unavailable, "MaximumContractCertificateChains is 0")
        wanted = request.prioritized_emaids.emaid if request.prioritized_emaids else []
        ranks = {_plain(emaid): rank for rank, emaid in enumerate(wanted)}
        offers.sort(key=lambda offer: ranks.get(_plain(offer.emaid), len(ranks)))
        while len(self._orders) >= _ORDERS:
            del self._orders[next(iter(self._orders))]
        order = _Order(now, offers[: request.maximum_contract_certificate_chains])
        self._orders[session] = order
        return order

    def _wrap(self, offer: Offer, oem_leaf: bytes) -> common.SignedInstallationData:
        try:
            recipient = provisioning_key(oem_leaf)
            if offer.tpm_blob is not None:
                check_tpm_blob(offer.tpm_blob, self.settings)
                x448_key = isinstance(recipient, x448.X448PublicKey)
                return common.SignedInstallationData(
                    id="ID1",
                    contract_certificate_chain=contract_chain(offer.chain),
                    ecdh_curve=common.ECDHCurve.X448 if x448_key else common.ECDHCurve.SECP521,
                    dh_public_key=bytes(133),  # the blob brings what its key needs
                    tpm_encrypted_private_key=offer.tpm_blob,
                )
            if offer.key is None:
                raise ContractKeyError("neither a key nor a TPM blob to give out")
            wrapped = wrap(
                offer.key,
                recipient,
                pcid=common_name(oem_leaf),
                ski=subject_key_id(offer.chain[0]),
                entropy=self.entropy,
                settings=self.settings,
            )
        except ValueError as error:
            reason = f"contract {offer.emaid} cannot be wrapped: {error}"
            raise _Refused(ResponseCode.WARNING_NoCertificateAvailable, reason) from None
        sealed, p521 = wrapped.encrypted_private_key, wrapped.curve is Curve.SECP521
        return common.SignedInstallationData(
            id="ID1",
            contract_certificate_chain=contract_chain(offer.chain),
            ecdh_curve=common.ECDHCurve(wrapped.curve.value),
            dh_public_key=wrapped.dh_public_key,
            secp521_encrypted_private_key=sealed if p521 else None,
            x448_encrypted_private_key=None if p521 else sealed,
        )


def provisioning_key(oem_leaf: bytes) -> AgreementPublicKey:
    """The key that contract keys are encrypted for: of the certificate itself, or with Ed448 its alternative
    public key [V2G20-2534].
    """
    certificate = load(oem_leaf)
    try:
        extension = certificate.extensions.get_extension_for_oid(ALT_PUBLIC_KEY).value
        assert isinstance(extension, x509.UnrecognizedExtension)
        key = load_der_public_key(extension.value)
    except x509.ExtensionNotFound:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ContractKeyError(f"alternative public key of the provisioning certificate: {error}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey | x448.X448PublicKey):
        raise ContractKeyError(f"a {type(key).__name__} in the provisioning certificate cannot receive a key")
    return key


def names_root(listed: ListOfRootCertificateIDs, root: x509.Certificate) -> bool:
    """Whether a root is in the list. Stacks write names in either order, so they are compared as sets; a name
    that cannot be read is passed over where the serial number fits.
    """
    own = {(item.oid, item.value) for item in root.issuer}
    for entry in listed.root_certificate_id:
        if entry.x509_serial_number != root.serial_number:
            continue
        try:
            name = x509.Name.from_rfc4514_string(entry.x509_issuer_name)
        except ValueError:
            return True
        if {(item.oid, item.value) for item in name} == own:
            return True
    return False


def _plain(emaid: str) -> str:
    return emaid.replace("-", "").upper()
