"""Contracts against our SECC, over messages that went through EXI: the good, the broken, the forged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given, settings
from hypothesis import strategies as st

from iso15118 import exi
from iso15118.exi import SchemaSet
from iso15118.messages import common
from iso15118.messages.common_types import Processing, ResponseCode
from iso15118.messages.xmldsig import Signature
from iso15118.security.chain import Edition as ChainEdition
from iso15118.security.chain import Policy
from iso15118.security.evcc_trust import ContractCredential
from iso15118.security.secc_trust import ContractJudge, PresentedContract
from iso15118.security.xmlsig import Grammar, Target, sign_message
from iso15118.session.secc_config import SECCConfig, Trust
from pki.broken import Variant, break_chain, variants
from pki.hierarchy import Hierarchy
from pki.profiles import Family

from ..session.client import Client
from ..session.pair import EPOCH
from .conftest import mint

NOW = datetime.now(UTC).timestamp()
Forge = Callable[[common.AuthorizationReq, ContractCredential], common.AuthorizationReq]


def judge_of(hierarchy: Hierarchy, *roots: str, **settings: Any) -> ContractJudge:
    trusted = [hierarchy[name].certificate for name in roots or ("mo_root", "v2g_root")]
    return ContractJudge(trusted, Policy(ChainEdition(hierarchy.edition)), **settings)


def credential(hierarchy: Hierarchy, name: str = "contract") -> ContractCredential:
    own = hierarchy[name]
    return ContractCredential(tuple(own.chain_der), own.key)  # type: ignore[arg-type]


def station(judge: ContractJudge, **settings: Any) -> Client:
    """An SECC that has just sent its challenge."""
    trust = Trust(authorize_contract=judge.authorize, verify_metering=judge.verify_metering)
    client = Client(SECCConfig(pnc=True, **settings), trust=trust, now=NOW - EPOCH)
    client.to_session().send("AuthorizationSetupReq")
    return client


def request(client: Client, contract: ContractCredential, challenge: bytes | None = None) -> Any:
    sent = client.secc.context.challenge
    assert sent is not None
    return contract(client.header(), challenge or sent, ())


def answer(client: Client, message: common.AuthorizationReq) -> common.AuthorizationRes:
    """What the SECC says to the message as it comes out of its EXI encoding."""
    decoded = exi.decode(exi.encode(message), SchemaSet.ISO20_COMMON)
    response = client.send(decoded)
    assert isinstance(response, common.AuthorizationRes)
    return exi.decode(exi.encode(response), SchemaSet.ISO20_COMMON)


def contract_cases() -> list[Any]:
    return [
        pytest.param(variant, family, id=f"{variant.name}-{family}")
        for variant in variants().values()
        if variant.role == "contract"
        for family in variant.families
    ]


@pytest.mark.parametrize(("variant", "family"), contract_cases())
def test_every_variant_earns_its_response_code(variant: Variant, family: Family) -> None:
    hierarchy = mint(variant.editions[0], family)
    broken = break_chain(hierarchy, variant.name, datetime.now(UTC))
    crls = [x509.load_der_x509_crl(der) for der in broken.crls]
    client = station(judge_of(hierarchy, *variant.trusted, crls=crls))
    contract = ContractCredential(tuple(broken.chain), broken.key)  # type: ignore[arg-type]
    response = answer(client, request(client, contract))
    assert response.response_code == variant.response
    assert response.evse_processing is Processing.Finished
    accepted = variant.verdict != "reject"
    assert (client.secc.context.contract is not None) is accepted
    assert client.secc.closing is None  # the EV may try another contract, or EIM
    if not accepted:
        (found,) = [item for item in client.secc.events if item.message == "AuthorizationReq"]
        assert variant.rule is not None
        assert variant.rule in found.text


def test_the_list_of_variants_is_what_this_file_was_written_for() -> None:
    codes = {variant.response for variant in variants().values() if variant.role == "contract"}
    assert codes == {
        "OK",
        "OK_CertificateExpiresSoon",
        "WARNING_CertificateExpired",
        "WARNING_CertificateNotYetValid",
        "WARNING_CertificateRevoked",
        "WARNING_CertificateValidationError",
        "WARNING_eMSPUnknown",
    }
    assert all(variant.response for variant in variants().values() if variant.role == "contract")


@pytest.mark.parametrize("role", ["vehicle", "oem_provisioning", "secc", "cps"])
def test_certificates_of_other_roles_are_no_contracts(role: str) -> None:
    """Under a root that the judge trusts, so that only the profile can tell."""
    hierarchy = mint()
    client = station(judge_of(hierarchy, "mo_root", "v2g_root", "oem_root"))
    response = answer(client, request(client, credential(hierarchy, role)))
    assert response.response_code is ResponseCode.WARNING_CertificateValidationError
    assert client.secc.context.contract is None


def test_after_a_refused_contract_another_is_accepted() -> None:
    hierarchy = mint()
    broken = break_chain(hierarchy, "contract-expired", datetime.now(UTC))
    client = station(judge_of(hierarchy))
    first = answer(client, request(client, ContractCredential(tuple(broken.chain), broken.key)))  # type: ignore[arg-type]
    assert first.response_code is ResponseCode.WARNING_CertificateExpired
    second = answer(client, request(client, credential(hierarchy)))
    assert second.response_code is ResponseCode.OK
    assert client.send("ServiceDiscoveryReq").response_code is ResponseCode.OK


def test_after_a_refused_contract_eim_is_accepted() -> None:
    hierarchy = mint()
    client = station(judge_of(hierarchy, "v2g_root"))
    assert answer(client, request(client, credential(hierarchy))).response_code.is_warning
    assert client.send("AuthorizationReq").response_code is ResponseCode.OK
    assert client.secc.context.contract is None


def test_a_challenge_of_another_session_is_refused() -> None:
    """[V2G20-2565]; the signature over it is good."""
    client = station(judge_of(mint()))
    response = answer(client, request(client, credential(mint()), challenge=bytes(16)))
    assert response.response_code is ResponseCode.WARNING_ChallengeInvalid


def test_a_recorded_request_cannot_be_replayed() -> None:
    judge = judge_of(mint())
    first = station(judge)
    recorded = request(first, credential(mint()))
    assert answer(first, recorded).response_code is ResponseCode.OK
    second = station(judge)
    second.secc.context.challenge = bytes(range(16))
    header = msgspec.structs.replace(recorded.header, session_id=second.secc.session_id)
    replayed = msgspec.structs.replace(recorded, header=header)
    assert answer(second, replayed).response_code is ResponseCode.WARNING_ChallengeInvalid


def signature_of(message: common.AuthorizationReq) -> Signature:
    assert message.header.signature is not None
    return message.header.signature


def with_value(message: common.AuthorizationReq, value: bytes) -> common.AuthorizationReq:
    signature_of(message).signature_value.value = value
    return message


def as_der(message: common.AuthorizationReq, contract: ContractCredential) -> common.AuthorizationReq:
    value = signature_of(message).signature_value.value
    numbers = int.from_bytes(value[:66], "big"), int.from_bytes(value[66:], "big")
    return with_value(message, utils.encode_dss_signature(*numbers))


def short(message: common.AuthorizationReq, contract: ContractCredential) -> common.AuthorizationReq:
    return with_value(message, signature_of(message).signature_value.value[1:])


def swapped(message: common.AuthorizationReq, contract: ContractCredential) -> common.AuthorizationReq:
    value = signature_of(message).signature_value.value
    return with_value(message, value[66:] + value[:66])


def unsigned(message: common.AuthorizationReq, contract: ContractCredential) -> common.AuthorizationReq:
    message.header.signature = None
    return message


def foreign_key(message: common.AuthorizationReq, contract: ContractCredential) -> common.AuthorizationReq:
    return sign_message(message, ec.generate_private_key(ec.SECP521R1()))


def foreign_digest(message: common.AuthorizationReq, contract: ContractCredential) -> common.AuthorizationReq:
    signature_of(message).signed_info.reference[0].digest_value = bytes(64)
    return message


def other_content(message: common.AuthorizationReq, contract: ContractCredential) -> common.AuthorizationReq:
    """Signed, then the chain of the element was exchanged for one with another certificate on top."""
    mode = message.authorization_mode
    assert isinstance(mode, common.PnC_AReqAuthorizationMode)
    mode.contract_certificate_chain.sub_certificates.certificate.append(b"\x30\x00")
    return message


def two_references(message: common.AuthorizationReq, contract: ContractCredential) -> common.AuthorizationReq:
    info = signature_of(message).signed_info
    info.reference.append(info.reference[0])
    return message


def other_id(message: common.AuthorizationReq, contract: ContractCredential) -> common.AuthorizationReq:
    signature_of(message).signed_info.reference[0].uri = "#ID2"
    return message


def p256_method(message: common.AuthorizationReq, contract: ContractCredential) -> common.AuthorizationReq:
    method = signature_of(message).signed_info.signature_method
    method.algorithm = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
    return message


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (as_der, "raw r || s is needed"),
        (short, "131 octets, not 132"),
        (swapped, "does not verify with this key"),
        (unsigned, "no Signature in the header"),
        (foreign_key, "does not verify with this key"),
        (foreign_digest, "the digest of PnC_AReqAuthorizationMode is another"),
        (other_content, "the digest of PnC_AReqAuthorizationMode is another"),
        (two_references, "two References"),
        (other_id, "'#ID2' names no signed element"),
        (p256_method, "does not go with the key"),
    ],
)
def test_a_wrong_signature_ends_the_session(forge: Forge, reason: str) -> None:
    client = station(judge_of(mint()))
    contract = credential(mint())
    response = answer(client, forge(request(client, contract), contract))
    assert response.response_code is ResponseCode.FAILED_SignatureError
    assert any(reason in item.text for item in client.secc.events), [str(e) for e in client.secc.events]
    assert client.secc.closing is not None
    assert client.secc.context.contract is None


@pytest.mark.parametrize(
    ("options", "remark"),
    [
        ({"target": Target.MESSAGE}, "covers the whole message"),
        ({"grammar": Grammar.MESSAGES}, "with the message schemas"),
    ],
)
def test_other_readings_of_the_signature_are_accepted_with_a_remark(
    options: dict[str, Any], remark: str
) -> None:
    client = station(judge_of(mint()))
    contract = credential(mint())
    bare = request(client, contract)
    bare.header.signature = None
    message = sign_message(bare, contract.key, **options)
    assert answer(client, message).response_code is ResponseCode.OK
    assert any(remark in item.text for item in client.secc.events)


def test_an_emsp_that_the_station_does_not_know() -> None:
    client = station(judge_of(mint(), providers=frozenset({"FRXYZ"})))
    response = answer(client, request(client, credential(mint())))
    assert response.response_code is ResponseCode.WARNING_eMSPUnknown


def test_the_emsp_has_the_last_word_and_may_take_its_time() -> None:
    words: list[ResponseCode | None] = [None, None, ResponseCode.WARNING_CertificateRevoked]
    asked: list[str] = []

    def decide(contract: PresentedContract, now: float) -> ResponseCode | None:
        asked.append(contract.emaid)
        return words.pop(0)

    client = station(judge_of(mint(), decide=decide))
    message = request(client, credential(mint()))
    codes = []
    for _ in range(3):
        response = answer(client, message)
        codes.append((response.evse_processing, response.response_code))
    assert codes == [
        (Processing.Ongoing, ResponseCode.OK),
        (Processing.Ongoing, ResponseCode.OK),
        (Processing.Finished, ResponseCode.WARNING_CertificateRevoked),
    ]
    assert asked == ["DEHLCC12345678"] * 3


@pytest.mark.parametrize(
    ("providers", "serves"),
    [((), True), (("DEHLC",), True), (("FRXYZ", "de*hlc"), True), (("FRXYZ",), False)],
)
def test_the_vehicle_presents_a_contract_only_where_its_emsp_is_known(
    providers: tuple[str, ...], serves: bool
) -> None:
    client = station(judge_of(mint()))
    signed = credential(mint())(client.header(), bytes(16), providers)
    assert (signed is not None) is serves


def test_garbage_in_the_chain_is_a_validation_error() -> None:
    client = station(judge_of(mint()))
    message = request(client, credential(mint()))
    message.authorization_mode.contract_certificate_chain.certificate = b"\x30\x03abc"
    assert answer(client, message).response_code is ResponseCode.WARNING_CertificateValidationError


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_is_flipped_only_what_was_signed_is_accepted(data: st.DataObject) -> None:
    """Bits of the encoded request: a message that is accepted has the signed content of the original."""
    client, octets, original = encoded_request()
    client = client.fork()
    damaged = bytearray(octets)
    for _ in range(data.draw(st.integers(1, 3))):
        bit = data.draw(st.integers(16, 8 * len(octets) - 1))
        damaged[bit // 8] ^= 0x80 >> bit % 8
    try:
        message = exi.decode(bytes(damaged), SchemaSet.ISO20_COMMON)
    except exi.EXIDecodeError:
        return
    response = client.send(message)
    if isinstance(message, common.AuthorizationReq) and response.response_code.is_ok:
        assert message.authorization_mode == original.authorization_mode
        assert signature_of(message).signature_value == signature_of(original).signature_value


@cache
def encoded_request() -> tuple[Client, bytes, common.AuthorizationReq]:
    client = station(judge_of(mint()))
    message = request(client, credential(mint()))
    octets = exi.encode(message)
    assert answer(client.fork(), message).response_code is ResponseCode.OK
    return client, octets, message
