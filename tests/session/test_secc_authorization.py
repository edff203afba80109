"""SECC: authorization by EIM and by contract, and the installation of contracts."""

from __future__ import annotations

from typing import Any

import pytest

from iso15118.messages import common
from iso15118.messages.common_types import MessageHeader, ResponseCode
from iso15118.session.charger import Verdict
from iso15118.session.events import Severity
from iso15118.session.fillers import fillers
from iso15118.session.secc_config import (
    ContractVerdict,
    Installation,
    SECCConfig,
    Trust,
    energy_modes,
)
from iso15118.session.services import (
    ServiceID,
)
from iso15118.v2gtp import PayloadType

from .client import Client, Finished, code_of, rules
from .pair import BenchCharger

OK = ResponseCode.OK
CERTIFICATE = b"der of a vehicle certificate"
BOTH = SECCConfig(energy=energy_modes(ServiceID.AC, ServiceID.DC, ServiceID.DC_BPT))


# -- authorization -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("eim", "pnc"), [(True, False), (False, True), (True, True)])
def test_the_challenge_is_there_exactly_when_plug_and_charge_is_offered(eim, pnc):
    client = Client(SECCConfig(eim=eim, pnc=pnc)).to_session()
    response = client.send("AuthorizationSetupReq")
    assert (common.Authorization.PnC in response.authorization_services) is pnc
    assert (common.Authorization.EIM in response.authorization_services) is eim
    mode = response.authorization_mode
    assert isinstance(mode, common.PnC_ASResAuthorizationMode) is pnc
    if pnc:
        assert len(mode.gen_challenge) == 16


@pytest.mark.parametrize("first", [False, True])
def test_both_services_can_be_offered_in_either_order(first):
    client = Client(SECCConfig(pnc=True, pnc_first=first)).to_session()
    offered = client.send("AuthorizationSetupReq").authorization_services
    assert offered == (["PnC", "EIM"] if first else ["EIM", "PnC"])
    client.send_all(["AuthorizationReq"])


def test_a_rejected_customer_gets_a_warning_at_once_and_may_try_again():
    """Finished, not Ongoing until a timeout: the opposite of ISO 15118-2 [V2G20-2230]."""
    client = Client(charger=BenchCharger(verdicts=[Verdict.REJECTED])).to_session()
    client.send("AuthorizationSetupReq")
    refused = client.send("AuthorizationReq")
    assert code_of(refused) is ResponseCode.WARNING_EIMAuthorizationFailure
    assert refused.evse_processing == Finished
    assert code_of(client.send("AuthorizationReq")) is OK


def test_authorization_waits_for_the_customer_in_so_many_words():
    client = Client(charger=BenchCharger(verdicts=[Verdict.WAITING_FOR_CUSTOMER])).to_session()
    client.send("AuthorizationSetupReq")
    response = client.send("AuthorizationReq")
    assert response.evse_processing == "Ongoing_WaitingForCustomerInteraction"


def pnc_request(challenge: bytes) -> dict[str, Any]:
    chain = common.ContractCertificateChain(
        certificate=b"\x30", sub_certificates=common.SubCertificates(certificate=[b"\x30"])
    )
    return {
        "selected_authorization_service": common.Authorization.PnC,
        "authorization_mode": common.PnC_AReqAuthorizationMode(
            id="ID1", gen_challenge=challenge, contract_certificate_chain=chain
        ),
    }


def test_a_service_that_was_not_offered_is_an_invalid_selection():
    client = Client().to_session()
    client.send("AuthorizationSetupReq")
    response = client.send("AuthorizationReq", **pnc_request(bytes(16)))
    assert code_of(response) is ResponseCode.WARNING_AuthorizationSelectionInvalid
    assert rules(client) == ["V2G20-2209"]


def test_a_selection_that_contradicts_its_element_is_invalid():
    client = Client(SECCConfig(pnc=True)).to_session()
    client.send("AuthorizationSetupReq")
    wrong = pnc_request(bytes(16)) | {"selected_authorization_service": common.Authorization.EIM}
    assert (
        code_of(client.send("AuthorizationReq", **wrong))
        is ResponseCode.WARNING_AuthorizationSelectionInvalid
    )


def contract_client(*verdicts: ContractVerdict) -> tuple[Client, bytes]:
    answers = list(verdicts)
    trust = Trust(authorize_contract=lambda request, now: answers.pop(0))
    client = Client(SECCConfig(pnc=True), trust=trust).to_session()
    return client, client.send("AuthorizationSetupReq").authorization_mode.gen_challenge


def test_another_challenge_than_ours_is_a_warning():
    client, challenge = contract_client(ContractVerdict())
    wrong = bytes([challenge[0] ^ 1, *challenge[1:]])
    assert (
        code_of(client.send("AuthorizationReq", **pnc_request(wrong)))
        is ResponseCode.WARNING_ChallengeInvalid
    )
    assert rules(client) == ["V2G20-2565"]
    assert code_of(client.send("AuthorizationReq", **pnc_request(challenge))) is OK


def test_the_judge_of_contracts_decides_and_may_take_its_time():
    client, challenge = contract_client(
        ContractVerdict(pending=True),
        ContractVerdict(ResponseCode.WARNING_CertificateExpired),
        ContractVerdict(ResponseCode.OK_CertificateExpiresSoon),
    )
    answers = [client.send("AuthorizationReq", **pnc_request(challenge)) for _ in range(3)]
    assert [(code_of(answer), answer.evse_processing) for answer in answers] == [
        (OK, "Ongoing"),
        (ResponseCode.WARNING_CertificateExpired, "Finished"),
        (ResponseCode.OK_CertificateExpiresSoon, "Finished"),
    ]
    assert client.state.authorized


def test_a_contract_without_a_judge_is_never_accepted():
    client = Client(SECCConfig(pnc=True)).to_session()
    challenge = client.send("AuthorizationSetupReq").authorization_mode.gen_challenge
    response = client.send("AuthorizationReq", **pnc_request(challenge))
    assert code_of(response) is ResponseCode.WARNING_GeneralPnCAuthorizationError


def test_an_ev_that_polls_authorization_after_it_is_granted_is_answered_and_reported():
    client = Client().to_services()
    assert code_of(client.send("AuthorizationReq")) is OK
    assert [event.severity for event in client.secc.events] == [Severity.ERROR]
    client.send_all(["ServiceDiscoveryReq"])


def test_an_authorization_that_changes_while_ongoing_is_noted():
    client, challenge = contract_client(ContractVerdict(pending=True), ContractVerdict(pending=True))
    client.send("AuthorizationReq", **pnc_request(challenge))
    client.send("AuthorizationReq", **pnc_request(challenge))
    assert not client.secc.events
    client.send("AuthorizationReq")
    assert rules(client) == ["V2G20-1582"]


def test_a_timestamp_that_is_not_in_seconds_is_noted():
    client = Client()
    client.send("supportedAppProtocolReq")
    client.send("SessionSetupReq", header=MessageHeader(session_id=bytes(8), timestamp=1_800_000_000_000))
    assert "whole seconds" in client.secc.events[0].expected


# -- contract installation -----------------------------------------------------------------------------------


def installing(*answers: Installation) -> Client:
    queue = list(answers)
    trust = Trust(install_certificate=lambda request, now: queue.pop(0) if len(queue) > 1 else queue[0])
    client = Client(SECCConfig(pnc=True, certificate_installation=True), trust=trust).to_session()
    assert client.send("AuthorizationSetupReq").certificate_installation_service is True
    return client


def contract(remaining: int = 0) -> Installation:
    fields = fillers(common.CertificateInstallationRes)
    return Installation(
        chain=fields["cps_certificate_chain"], data=fields["signed_installation_data"], remaining=remaining
    )


def test_contracts_are_fetched_one_after_the_other():
    client = installing(Installation(pending=True), contract(1), contract(0))
    answers = [client.send("CertificateInstallationReq") for _ in range(3)]
    assert [(item.evse_processing, item.remaining_contract_certificate_chains) for item in answers] == [
        ("Ongoing", 0),
        ("Finished", 1),
        ("Finished", 0),
    ]
    client.send_all(["AuthorizationReq"])


def test_a_refused_installation_is_a_warning_and_the_session_goes_on():
    client = installing(Installation(code=ResponseCode.WARNING_NoContractMatchingPCIDFound))
    response = client.send("CertificateInstallationReq")
    assert code_of(response) is ResponseCode.WARNING_NoContractMatchingPCIDFound
    assert response.evse_processing == Finished
    client.send_all(["AuthorizationReq"])


def test_an_installation_that_takes_too_long_fails():
    client = installing(Installation(pending=True))
    client.send("CertificateInstallationReq")
    client.now += 55
    response = client.send("CertificateInstallationReq")
    assert code_of(response) is ResponseCode.FAILED
    assert "V2G20-2225" in rules(client)


def test_installation_is_not_offered_without_a_way_to_do_it():
    client = Client(SECCConfig(certificate_installation=True)).to_session()
    assert client.send("AuthorizationSetupReq").certificate_installation_service is False


def test_an_installation_request_framed_as_0x8001_is_answered_and_reported():
    client = installing(contract())
    response = client.send("CertificateInstallationReq", PayloadType.SAP)
    assert code_of(response) is OK
    assert client.secc.reply_type(response) is PayloadType.COMMON
    assert "0x8001" in client.secc.events[-1].text
