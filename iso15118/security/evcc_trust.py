"""Plug & Charge at the EVCC: a store of contracts and the way to fetch more, as hooks of `EVCCConfig`.

wallet = Wallet([ContractCredential(chain, key)])
config = EVCCConfig(contracts=wallet.contracts, sign_metering=wallet.sign_metering,
                    verify_prices=wallet.verify_prices,
                    certificate_installation=Installer(oem, v2g_roots, wallet).hooks())
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448

from iso15118.messages import common, xmldsig
from iso15118.messages.common_types import ListOfRootCertificateIDs, MessageHeader
from iso15118.security.chain import Edition, Policy, Role, check_chain
from iso15118.security.contract_keys import (
    DEFAULT,
    AgreementKey,
    ContractKeyError,
    Curve,
    UnwrappedKey,
    WrappedKey,
    Wrapping,
    check_tpm_blob,
    unwrap,
)
from iso15118.security.credentials import (
    certificates_of,
    common_name,
    contract_chain,
    load,
    subject_key_id,
    verifying_key,
)
from iso15118.security.signature_primitives import ALGORITHMS, Algorithm, SigningKey
from iso15118.security.xmlsig import ISO_20_ALGORITHMS, sign_message, verify_message
from iso15118.session.evcc_config import CertificateInstallation, Installed

__all__ = ["ContractCredential", "Installer", "ProvisioningCredential", "Wallet"]

ROOT_IDS = 20
"""Most root certificates that one CertificateInstallationReq can name."""


@dataclass(frozen=True)
class ContractCredential:
    """A contract: DER certificates, leaf first and root left out, and the key of the leaf.

    Called by the EVCC it gives a signed AuthorizationReq, or None where the SECC names eMSPs and not its own.
    """

    chain: tuple[bytes, ...]
    key: SigningKey = field(repr=False)

    @property
    def emaid(self) -> str:
        return common_name(self.chain[0])

    def serves(self, providers: Sequence[str]) -> bool:
        """Whether the SECC knows the eMSP; it names eMSPs by country and id, with or without separators."""
        emaid = _plain(self.emaid)
        return not providers or any(emaid.startswith(_plain(provider)) for provider in providers)

    def __call__(
        self, header: MessageHeader, challenge: bytes, providers: tuple[str, ...]
    ) -> common.AuthorizationReq | None:
        if not self.serves(providers):
            return None
        mode = common.PnC_AReqAuthorizationMode(
            id="ID1", gen_challenge=challenge, contract_certificate_chain=contract_chain(self.chain)
        )
        request = common.AuthorizationReq(
            header=header,
            selected_authorization_service=common.Authorization.PnC,
            authorization_mode=mode,
        )
        return sign_message(request, self.key)


class Wallet:
    """The contracts of one EV, in the order in which they are presented."""

    def __init__(self, contracts: Iterable[ContractCredential] = (), *, lenient: bool = False) -> None:
        self.contracts = list(contracts)
        self._algorithms = ALGORITHMS if lenient else ISO_20_ALGORITHMS

    def add(self, contract: ContractCredential) -> None:
        """Put a contract first, in place of an older one with the same EMAID."""
        emaid = _plain(contract.emaid)
        kept = [item for item in self.contracts if _plain(item.emaid) != emaid]
        self.contracts[:] = [contract, *kept]

    def sign_metering(
        self, request: common.MeteringConfirmationReq, contract: common.ContractCertificateChain | None
    ) -> common.MeteringConfirmationReq | None:
        """The request signed with the key of the authorized contract; None if that is not in this wallet."""
        for item in self.contracts:
            if contract is not None and item.chain[0] == contract.certificate:
                return sign_message(request, item.key)
        return None

    def verify_prices(
        self, response: common.ScheduleExchangeRes, contract: common.ContractCertificateChain | None
    ) -> Sequence[str]:
        """Remarks on the signature over prices, ValueError if it is wrong: the CA that issued the contract
        signs them.
        """
        if contract is None:
            return ("the prices are signed, but without a contract the key of the eMSP is not known",)
        issuer = contract.sub_certificates.certificate[0]
        return verify_message(response, verifying_key(issuer), algorithms=self._algorithms).deviations


@dataclass(frozen=True)
class ProvisioningCredential:
    """The OEM provisioning certificate with its chain and key. With Ed448 the key that contract keys are
    encrypted for is another, `x448_key`.
    """

    chain: tuple[bytes, ...]
    key: SigningKey = field(repr=False)
    x448_key: x448.X448PrivateKey | None = field(default=None, repr=False)

    @property
    def pcid(self) -> str:
        return common_name(self.chain[0])

    @property
    def agreement_key(self) -> AgreementKey:
        if self.x448_key is not None:
            return self.x448_key
        if isinstance(self.key, ed448.Ed448PrivateKey):
            raise ContractKeyError("the Ed448 provisioning certificate has no X448 key")
        return self.key


OpenTPM = Callable[[bytes, common.SignedInstallationData], SigningKey]
"""Opens a TPM_EncryptedPrivateKey; ValueError if it cannot."""


@dataclass
class Installer:
    """Asks for contracts and takes what comes: CPS chain to a V2G root (without revocation [V2G20-1078]),
    signature, key, and that the key belongs to the certificate; then the contract is in the wallet.

    `capacity` is how many contracts the EV can store, `prioritized` EMAIDs that it would like. `strict`
    refuses keys that another reading of the standard wrapped; else that is a remark. Without `open_tpm` a key
    for a TPM is refused.
    """

    credential: ProvisioningCredential
    v2g_roots: Sequence[x509.Certificate]
    wallet: Wallet
    policy: Policy = field(default_factory=Policy)
    settings: Wrapping = DEFAULT
    capacity: int = 8
    prioritized: Sequence[str] = ()
    strict: bool = False
    open_tpm: OpenTPM | None = None

    def hooks(self) -> CertificateInstallation:
        return CertificateInstallation(self.request, self.install)

    def request(self, header: MessageHeader) -> common.CertificateInstallationReq:
        """Signed with the provisioning key."""
        chain = self.credential.chain
        subs = common.SubCertificates(certificate=list(chain[1:])) if chain[1:] else None
        roots = [
            xmldsig.X509IssuerSerial(
                x509_issuer_name=root.issuer.rfc4514_string(), x509_serial_number=root.serial_number
            )
            for root in self.v2g_roots[:ROOT_IDS]
        ]
        emaids = common.EMAIDList(emaid=list(self.prioritized[:8])) if self.prioritized else None
        request = common.CertificateInstallationReq(
            header=header,
            oem_provisioning_certificate_chain=common.SignedCertificateChain(
                id="ID1", certificate=chain[0], sub_certificates=subs
            ),
            list_of_root_certificate_ids=ListOfRootCertificateIDs(root_certificate_id=roots),
            maximum_contract_certificate_chains=self.capacity,
            prioritized_emaids=emaids,
        )
        return sign_message(request, self.credential.key)

    def install(self, response: common.CertificateInstallationRes, now: float) -> Installed:
        """The contract of a response, now in the wallet; ValueError says why there is none."""
        cps = certificates_of(response.cps_certificate_chain)
        verdict = check_chain(cps, Role.CPS, roots=self.v2g_roots, now=now, policy=self.policy)
        if not verdict.ok:
            raise ValueError(f"CPSCertificateChain: {verdict.errors[0]}")
        remarks = [f"CPSCertificateChain: {fault}" for fault in verdict.remarks]
        outcome = verify_message(response, verifying_key(cps[0]), algorithms=self._algorithms)
        remarks += outcome.deviations
        data = response.signed_installation_data
        chain = tuple(certificates_of(data.contract_certificate_chain))
        opened = self._key(data, chain[0])
        if opened.deviation is not None:
            finding = f"the contract key is wrapped by another reading: {opened.deviation}"
            if self.strict:
                raise ContractKeyError(finding)
            remarks.append(finding)
        if isinstance(opened.key, x448.X448PrivateKey):
            raise ContractKeyError("an X448 contract key cannot sign")
        contract = ContractCredential(chain, opened.key)
        self.wallet.add(contract)
        return Installed(contract, tuple(remarks))

    @property
    def _algorithms(self) -> Sequence[Algorithm]:
        return ALGORITHMS if self.policy.edition is Edition.LENIENT else ISO_20_ALGORITHMS

    def _key(self, data: common.SignedInstallationData, leaf: bytes) -> UnwrappedKey:
        if data.tpm_encrypted_private_key is not None:
            check_tpm_blob(data.tpm_encrypted_private_key, self.settings)
            if self.open_tpm is None:
                raise ContractKeyError("TPM_EncryptedPrivateKey: this EV has no TPM")
            return UnwrappedKey(self.open_tpm(data.tpm_encrypted_private_key, data))
        wrapped = data.secp521_encrypted_private_key or data.x448_encrypted_private_key or b""
        field_curve = Curve.SECP521 if data.secp521_encrypted_private_key is not None else Curve.X448
        if data.ecdh_curve.value != field_curve:
            raise ContractKeyError(
                f"ECDHCurve: {data.ecdh_curve.value} with {field_curve}_EncryptedPrivateKey"
            )
        public = load(leaf).public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey | ed448.Ed448PublicKey):
            raise ContractKeyError(f"a {type(public).__name__} in the contract certificate cannot sign")
        return unwrap(
            WrappedKey(field_curve, data.dh_public_key, wrapped),
            self.credential.agreement_key,
            pcid=self.credential.pcid,
            ski=subject_key_id(leaf),
            contract=public,
            settings=self.settings,
        )


def _plain(text: str) -> str:
    return text.replace("-", "").replace("*", "").upper()
