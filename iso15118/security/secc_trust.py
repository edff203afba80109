"""Plug & Charge at the SECC: contracts, meter readings, and what becomes of them as `session.Trust` hooks.

    judge = ContractJudge(roots=[mo_root, v2g_root])
    trust = Trust(authorize_contract=judge.authorize, verify_metering=judge.verify_metering)

Nothing here asks a backend itself: `ContractJudge.decide` stands for the eMSP's word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509

from iso15118.messages import common
from iso15118.messages.common_types import ResponseCode
from iso15118.security.chain import Edition, Policy, Role, Verdict, check_chain, contract_response_code
from iso15118.security.credentials import certificates_of, common_name, verifying_key
from iso15118.security.signature_primitives import ALGORITHMS, Algorithm, SignatureError, algorithm_of
from iso15118.security.xmlsig import ISO_20_ALGORITHMS, verify_message
from iso15118.session.secc_config import ContractVerdict

__all__ = ["ContractJudge", "PresentedContract"]


@dataclass(frozen=True)
class PresentedContract:
    """A contract whose chain and signature are in order. `verdict` has its remarks and its end."""

    emaid: str
    chain: tuple[bytes, ...]
    verdict: Verdict


Decide = Callable[[PresentedContract, float], ResponseCode | None]
"""The eMSP's word on a contract at a time (Unix s); None: it has not answered yet."""


@dataclass
class ContractJudge:
    """Judges contracts presented in AuthorizationReq, in this order: signature, chain, eMSP, the eMSP's word.

    `roots` are those of eMSPs and V2G. `crls` are revocation lists of the issuing CAs. `providers` are the
    eMSPs known, as the first five characters of their EMAIDs; None: any under a known root.
    """

    roots: Sequence[x509.Certificate]
    policy: Policy = field(default_factory=Policy)
    crls: Sequence[x509.CertificateRevocationList] = ()
    providers: frozenset[str] | None = None
    decide: Decide | None = None

    @property
    def algorithms(self) -> Sequence[Algorithm]:
        return ALGORITHMS if self.policy.edition is Edition.LENIENT else ISO_20_ALGORITHMS

    def authorize(self, request: common.AuthorizationReq, now: float) -> ContractVerdict:
        """The code an AuthorizationReq with PnC earns at `now` (Unix s).

        A wrong signature is FAILED_SignatureError; whatever is wrong with the certificates is a WARNING,
        after which the EV may present another contract.
        """
        mode = request.authorization_mode
        assert isinstance(mode, common.PnC_AReqAuthorizationMode)
        chain = certificates_of(mode.contract_certificate_chain)
        verdict = check_chain(
            chain, Role.CONTRACT, roots=self.roots, now=now, policy=self.policy, crls=self.crls
        )
        remarks = tuple(f"contract chain: {fault}" for fault in verdict.remarks)
        invalid = ResponseCode.WARNING_CertificateValidationError
        try:
            key = verifying_key(chain[0])
            if algorithm_of(key) not in self.algorithms:
                raise ValueError("a key that signs no message of ISO 15118-20")
        except ValueError as error:
            reason = str(verdict.errors[0]) if verdict.errors else str(error)
            return ContractVerdict(invalid, reason=f"contract chain: {reason}", remarks=remarks)
        try:
            outcome = verify_message(request, key, algorithms=self.algorithms)
        except SignatureError as error:
            return ContractVerdict(ResponseCode.FAILED_SignatureError, reason=str(error), remarks=remarks)
        remarks += outcome.deviations
        code = ResponseCode(contract_response_code(verdict, now=now, edition=self.policy.edition))
        if not code.is_ok:
            reason = str(verdict.errors[0]) if verdict.errors else "no trusted root vouches for it"
            return ContractVerdict(code, reason=f"contract chain: {reason}", remarks=remarks)
        emaid = common_name(chain[0]).replace("-", "").upper()
        if self.providers is not None and emaid[:5] not in self.providers:
            reason = f"contract {emaid}: the eMSP {emaid[:5]} is not known here"
            return ContractVerdict(ResponseCode.WARNING_eMSPUnknown, reason=reason, remarks=remarks)
        if self.decide is None:
            return ContractVerdict(code, remarks=remarks)
        decided = self.decide(PresentedContract(emaid, tuple(chain), verdict), now)
        if decided is None:
            return ContractVerdict(pending=True)
        if decided.is_ok:
            return ContractVerdict(code, remarks=remarks)
        return ContractVerdict(decided, reason=f"contract {emaid}: refused by its eMSP", remarks=remarks)

    def verify_metering(
        self, request: common.MeteringConfirmationReq, contract: common.ContractCertificateChain | None
    ) -> bool:
        """True, or ValueError saying what is wrong with the signature over a meter reading."""
        if contract is None:
            raise ValueError("no contract was authorized whose key could sign it")
        verify_message(request, verifying_key(contract.certificate), algorithms=self.algorithms)
        return True
