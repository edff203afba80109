"""An EVCC gets its authorization: credentials in turn, contracts installed on the way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from iso15118.messages import common
from iso15118.messages.common_types import ListOfRootCertificateIDs, MessageHeader, Processing, ResponseCode
from iso15118.session.evcc import (
    CertificateInstallation,
    EVCCConfig,
    Installed,
    Outcome,
)

from .evcc_bench import Player, ScriptedSECC, play, rules

EIM, PNC = common.Authorization.EIM, common.Authorization.PnC


# -- authorization
# ----------------------------------------------------------------------------------------------


def offer(secc: ScriptedSECC, *services: common.Authorization, installation: bool = False) -> None:
    pnc = PNC in services
    secc.on[common.AuthorizationSetupReq] = lambda request: common.AuthorizationSetupRes(
        header=secc.header(),
        response_code=ResponseCode.OK,
        authorization_services=list(services),
        certificate_installation_service=installation,
        authorization_mode=common.PnC_ASResAuthorizationMode(gen_challenge=b"c" * 16)
        if pnc
        else common.EIM_ASResAuthorizationMode(),
    )


def verdict(secc: ScriptedSECC, code: ResponseCode, processing: Processing = Processing.Finished) -> Any:
    return lambda request: common.AuthorizationRes(
        header=secc.header(), response_code=code, evse_processing=processing
    )


def contract(header: MessageHeader, challenge: bytes, providers: tuple[str, ...]) -> common.AuthorizationReq:
    return common.AuthorizationReq(
        header=header,
        selected_authorization_service=PNC,
        authorization_mode=common.PnC_AReqAuthorizationMode(
            id="ID1",
            gen_challenge=challenge,
            contract_certificate_chain=common.ContractCertificateChain(
                certificate=b"leaf", sub_certificates=common.SubCertificates(certificate=[b"sub"])
            ),
        ),
    )


def selected(player: Player) -> list[common.Authorization]:
    return [request.selected_authorization_service for request in player.sent(common.AuthorizationReq)]


@pytest.mark.parametrize("offered", [(EIM, PNC), (PNC, EIM), (EIM,)])
def test_without_a_contract_eim_is_taken_in_whatever_order_it_is_offered(
    offered: tuple[common.Authorization, ...],
) -> None:
    secc = ScriptedSECC()
    offer(secc, *offered)
    result, player, _ = play(secc)
    assert result.outcome is Outcome.TERMINATED
    assert selected(player) == [EIM]


def test_a_contract_goes_before_eim_and_echoes_the_challenge() -> None:
    secc = ScriptedSECC()
    offer(secc, EIM, PNC)
    result, player, _ = play(secc, EVCCConfig(contracts=[contract]))
    assert result.outcome is Outcome.TERMINATED
    assert selected(player) == [PNC]
    assert player.sent(common.AuthorizationReq)[0].authorization_mode.gen_challenge == b"c" * 16


def test_a_refused_contract_is_followed_by_the_next_credential() -> None:
    secc = ScriptedSECC()
    offer(secc, EIM, PNC)
    secc.script(
        common.AuthorizationReq,
        verdict(secc, ResponseCode.WARNING_CertificateRevoked),
        verdict(secc, ResponseCode.WARNING_eMSPUnknown),
    )
    result, player, _ = play(secc, EVCCConfig(contracts=[contract, contract]))
    assert result.outcome is Outcome.TERMINATED
    assert list(result.deviations) == []
    assert selected(player) == [PNC, PNC, EIM]


def test_a_refused_eim_ends_in_session_stop_with_the_reason() -> None:
    secc = ScriptedSECC()
    secc.on[common.AuthorizationReq] = verdict(secc, ResponseCode.WARNING_EIMAuthorizationFailure)
    result, player, _ = play(secc, EVCCConfig(eim_attempts=2))
    assert result.outcome is Outcome.ABORTED
    assert selected(player) == [EIM, EIM]
    stop = player.sent(common.SessionStopReq)[0]
    assert stop.charging_session is common.ChargingSession.Terminate
    assert stop.ev_termination_code == "NotAuthorized"
    assert "WARNING_EIMAuthorizationFailure" in stop.ev_termination_explanation


def test_pnc_alone_is_of_no_use_without_a_contract() -> None:
    secc = ScriptedSECC()
    offer(secc, PNC)
    result, player, _ = play(secc)
    assert result.outcome is Outcome.ABORTED
    assert player.names()[-2:] == ["AuthorizationSetupReq", "SessionStopReq"]


@pytest.mark.parametrize(
    ("services", "mode", "rule"),
    [
        ([EIM, PNC], common.EIM_ASResAuthorizationMode(), "V2G20-1219"),
        ([EIM], common.PnC_ASResAuthorizationMode(gen_challenge=b"c" * 16), "V2G20-1220"),
    ],
)
def test_the_mode_must_fit_the_offered_services(
    services: list[common.Authorization], mode: Any, rule: str
) -> None:
    secc = ScriptedSECC()
    secc.on[common.AuthorizationSetupReq] = lambda request: common.AuthorizationSetupRes(
        header=secc.header(),
        response_code=ResponseCode.OK,
        authorization_services=services,
        certificate_installation_service=False,
        authorization_mode=mode,
    )
    result, player, _ = play(secc)
    assert result.outcome is Outcome.TERMINATED
    assert rules(result) == [rule]
    strict, player, _ = play(secc, EVCCConfig(strict=True))
    assert strict.outcome is Outcome.ABORTED
    assert player.names()[-1] == "SessionStopReq"


def test_while_ongoing_the_same_request_is_repeated_with_a_new_time_only() -> None:
    """[V2G20-1582]"""
    secc = ScriptedSECC()
    offer(secc, PNC)
    ongoing = verdict(secc, ResponseCode.OK, Processing.Ongoing)
    secc.script(common.AuthorizationReq, *[ongoing] * 20)
    result, player, _ = play(secc, EVCCConfig(contracts=[contract]))
    assert result.outcome is Outcome.TERMINATED
    requests = player.sent(common.AuthorizationReq)
    assert len(requests) == 21
    assert len({msgspec.json.encode(request.authorization_mode) for request in requests}) == 1
    times = [request.header.timestamp for request in requests]
    assert times == sorted(times)
    assert times[-1] > times[0]


@pytest.mark.parametrize(
    ("processing", "strict", "seconds"),
    [
        (Processing.Ongoing, False, 60),
        (Processing.Ongoing, True, 60),
        (Processing.Ongoing_WaitingForCustomerInteraction, False, 300),
        (Processing.Ongoing_WaitingForCustomerInteraction, True, 60),
    ],
)
def test_ongoing_is_borne_for_a_limited_time(processing: Processing, strict: bool, seconds: float) -> None:
    """V2G_EVCC_Ongoing_Timeout; a customer on the way to the terminal gets more from a tolerant EV."""
    secc = ScriptedSECC()
    secc.on[common.AuthorizationReq] = verdict(secc, ResponseCode.OK, processing)
    result, player, _ = play(secc, EVCCConfig(strict=strict))
    assert result.outcome is Outcome.ABORTED
    first = next(time for time, request, _ in player.log if isinstance(request, common.AuthorizationReq))
    stop = player.log[-1]
    assert isinstance(stop[1], common.SessionStopReq)
    assert stop[0] - first == pytest.approx(seconds, abs=0.5)
    assert stop[1].ev_termination_code == "OngoingTimeout"


def installed(secc: ScriptedSECC, remaining: int = 0, code: ResponseCode = ResponseCode.OK) -> Any:
    chain = common.ContractCertificateChain(
        certificate=b"leaf", sub_certificates=common.SubCertificates(certificate=[b"sub"])
    )
    return lambda request: common.CertificateInstallationRes(
        header=secc.header(),
        response_code=code,
        evse_processing=Processing.Finished,
        cps_certificate_chain=common.CertificateChain(certificate=b"cps"),
        signed_installation_data=common.SignedInstallationData(
            id="ID2",
            contract_certificate_chain=chain,
            ecdh_curve=common.ECDHCurve.SECP521,
            dh_public_key=bytes(133),
            secp521_encrypted_private_key=bytes(94),
        ),
        remaining_contract_certificate_chains=remaining,
    )


def installation_request(header: MessageHeader) -> common.CertificateInstallationReq:
    return common.CertificateInstallationReq(
        header=header,
        oem_provisioning_certificate_chain=common.SignedCertificateChain(id="ID1", certificate=b"oem"),
        list_of_root_certificate_ids=ListOfRootCertificateIDs(root_certificate_id=[]),
        maximum_contract_certificate_chains=2,
    )


INSTALLATION = CertificateInstallation(installation_request, lambda response, now: Installed(contract))


def test_an_ev_without_contract_installs_all_that_remain_and_uses_them() -> None:
    secc = ScriptedSECC()
    offer(secc, PNC, installation=True)
    secc.script(common.CertificateInstallationReq, installed(secc, 1), installed(secc, 0))
    result, player, _ = play(secc, EVCCConfig(certificate_installation=INSTALLATION))
    assert result.outcome is Outcome.TERMINATED
    assert player.names()[2:6] == [
        "AuthorizationSetupReq",
        "CertificateInstallationReq",
        "CertificateInstallationReq",
        "AuthorizationReq",
    ]


def test_contracts_that_never_become_fewer_are_not_fetched_for_ever() -> None:
    secc = ScriptedSECC()
    offer(secc, PNC, installation=True)
    secc.script(common.CertificateInstallationReq, *[installed(secc, 1)] * 50)
    result, player, _ = play(secc, EVCCConfig(certificate_installation=INSTALLATION))
    assert player.names().count("CertificateInstallationReq") == 2
    assert [item.text for item in result.deviations] == ["RemainingContractCertificateChains 1 after 1"]
    assert result.outcome is Outcome.TERMINATED  # with what was installed


def test_a_refused_contract_is_replaced_by_an_installed_one() -> None:
    """[V2G20-2221]"""
    secc = ScriptedSECC()
    offer(secc, PNC, installation=True)
    secc.script(common.AuthorizationReq, verdict(secc, ResponseCode.WARNING_CertificateExpired))
    secc.script(common.CertificateInstallationReq, installed(secc))
    config = EVCCConfig(contracts=[contract], certificate_installation=INSTALLATION)
    result, player, _ = play(secc, config)
    assert result.outcome is Outcome.TERMINATED
    assert player.names()[2:6] == [
        "AuthorizationSetupReq",
        "AuthorizationReq",
        "CertificateInstallationReq",
        "AuthorizationReq",
    ]


def test_a_contract_that_cannot_be_trusted_is_reported_and_not_used() -> None:
    secc = ScriptedSECC()
    offer(secc, PNC, EIM, installation=True)
    secc.script(common.CertificateInstallationReq, installed(secc))

    def distrust(response: common.CertificateInstallationRes, now: float) -> Installed:
        raise ValueError("CPSCertificateChain: no such root is trusted")

    distrustful = CertificateInstallation(installation_request, distrust)
    result, player, _ = play(secc, EVCCConfig(certificate_installation=distrustful))
    assert result.outcome is Outcome.TERMINATED
    assert selected(player) == [EIM]
    assert [item.message for item in result.deviations] == ["CertificateInstallationRes"]


def test_no_certificate_available_falls_back_to_eim() -> None:
    secc = ScriptedSECC()
    offer(secc, PNC, EIM, installation=True)
    secc.script(
        common.CertificateInstallationReq,
        installed(secc, code=ResponseCode.WARNING_NoContractMatchingPCIDFound),
    )
    result, player, _ = play(secc, EVCCConfig(certificate_installation=INSTALLATION))
    assert result.outcome is Outcome.TERMINATED
    assert list(result.deviations) == []
    assert selected(player) == [EIM]
