"""An EVCC from supportedAppProtocol to the selected services."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from iso15118.messages import common
from iso15118.messages.app_protocol import (
    AppProtocolResponseCode,
    SupportedAppProtocolReq,
    SupportedAppProtocolRes,
)
from iso15118.messages.common_types import ResponseCode
from iso15118.session.evcc import (
    EVCC,
    EVCCConfig,
    Outcome,
    PausedSession,
    ServiceWish,
    VASWish,
)
from iso15118.session.services import (
    INTERNET,
    ControlMode,
    Dialect,
    EnergyMode,
    MobilityNeedsMode,
    Pricing,
    ServiceID,
)

from .evcc_bench import UNIX, Car, Later, Player, ScriptedSECC, play, rules

OK_NEW = ResponseCode.OK_NewSessionEstablished


# -- supportedAppProtocol
# ---------------------------------------------------------------------------------------


def test_the_namespaces_of_the_services_are_offered_in_their_order() -> None:
    config = EVCCConfig(
        services=(ServiceWish(ServiceID.MCS), ServiceWish(ServiceID.AC), ServiceWish(ServiceID.DC))
    )
    offered = [(entry.protocol_namespace, entry.priority) for entry in config.offer()]
    assert offered == [("urn:iso:std:iso:15118:-20:DC", 1), ("urn:iso:std:iso:15118:-20:AC", 2)]
    assert len({entry.schema_id for entry in config.offer()}) == 2


def test_no_common_protocol() -> None:
    secc = ScriptedSECC()
    refusal = SupportedAppProtocolRes(response_code=AppProtocolResponseCode.Failed_NoNegotiation)
    secc.on[SupportedAppProtocolReq] = lambda request: refusal
    result, player, _ = play(secc)
    assert result.outcome is Outcome.NO_PROTOCOL
    assert player.names() == ["SupportedAppProtocolReq"]


def test_a_schema_id_that_was_not_offered_ends_the_session() -> None:
    secc = ScriptedSECC()
    secc.on[SupportedAppProtocolReq] = lambda request: SupportedAppProtocolRes(
        response_code=AppProtocolResponseCode.OK_SuccessfulNegotiation, schema_id=99
    )
    result, player, _ = play(secc)
    assert result.outcome is Outcome.PROTOCOL_ERROR
    assert len(player.log) == 1


def test_a_minor_deviation_of_the_version_is_no_obstacle() -> None:
    secc = ScriptedSECC()
    secc.on[SupportedAppProtocolReq] = lambda request: SupportedAppProtocolRes(
        response_code=AppProtocolResponseCode.OK_SuccessfulNegotiationWithMinorDeviation, schema_id=1
    )
    assert play(secc)[0].outcome is Outcome.TERMINATED


def test_services_of_another_namespace_than_the_agreed_one_are_not_taken() -> None:
    """The SECC offers AC in a session that agreed on the DC messages."""
    secc = ScriptedSECC()
    secc.on[common.ServiceDiscoveryReq] = lambda request: msgspec.structs.replace(
        secc.usual(request),
        energy_transfer_service_list=common.ServiceList(
            service=[common.Service(service_id=n, free_service=True) for n in (1, 2)]
        ),
    )
    config = EVCCConfig(services=(ServiceWish(ServiceID.AC), ServiceWish(ServiceID.DC)))
    secc.on[SupportedAppProtocolReq] = lambda request: SupportedAppProtocolRes(
        response_code=AppProtocolResponseCode.OK_SuccessfulNegotiation, schema_id=2
    )
    result, player, _ = play(secc, config)
    assert result.outcome is Outcome.TERMINATED
    assert [request.service_id for request in player.sent(common.ServiceDetailReq)] == [2]


def test_the_session_must_be_set_up_within_20_s_of_link_up() -> None:
    """V2G_EVCC_CommunicationSetup_Timeout: discovery and TLS took 19 s of it."""
    secc = ScriptedSECC()
    secc.on[common.SessionSetupReq] = lambda request: Later(secc.usual(request), 1.9)
    player = Player(secc, now=19.0)
    result = player.play(EVCC(EVCCConfig(), Car(), now=0.0, unix_offset=UNIX).run())
    assert result.outcome is Outcome.TIMEOUT
    assert "CommunicationSetup" in result.reason


# -- SessionSetup
# -----------------------------------------------------------------------------------------------


def test_a_new_session_asks_with_eight_zero_bytes_and_adopts_the_id() -> None:
    result, player, _ = play(ScriptedSECC())
    assert player.sent(common.SessionSetupReq)[0].header.session_id == bytes(8)
    later = {request.header.session_id for _, request, _ in player.log[2:]}  # type: ignore[attr-defined]
    assert later == {b"\x01" * 8} == {result.session_id}


@pytest.mark.parametrize(("session_id", "rule"), [(bytes(8), "V2G20-2106"), (b"12345678", "V2G20-2621")])
def test_a_weak_session_id_is_reported(session_id: bytes, rule: str) -> None:
    secc = ScriptedSECC()
    secc.session_id = session_id
    result, _, _ = play(secc)
    assert result.outcome is Outcome.TERMINATED
    assert rule in rules(result)


PAUSED = PausedSession(
    session_id=b"\x07" * 8,
    mode=EnergyMode(ServiceID.DC, ControlMode.DYNAMIC, parameter_set_id=7),
    evse_id="DE*1",
)


def joining(
    secc: ScriptedSECC, code: ResponseCode = ResponseCode.OK_OldSessionJoined, evse: str = "DE*1"
) -> None:
    def join(request: common.SessionSetupReq) -> common.SessionSetupRes:
        if code is ResponseCode.OK_OldSessionJoined:
            secc.session_id = request.header.session_id
        return common.SessionSetupRes(header=secc.header(), response_code=code, evse_id=evse)

    secc.on[common.SessionSetupReq] = join


def test_a_joined_session_goes_straight_to_parameter_discovery() -> None:
    secc = ScriptedSECC()
    joining(secc)
    result, player, _ = play(secc, resume=PAUSED)
    assert result.outcome is Outcome.TERMINATED
    assert result.resumed
    assert list(result.deviations) == []
    assert player.names()[:3] == [
        "SupportedAppProtocolReq",
        "SessionSetupReq",
        "DC_ChargeParameterDiscoveryReq",
    ]


def test_a_new_session_in_answer_to_a_resumption_starts_over() -> None:
    """Nothing of the paused session is used again, its authorization included [V2G20-2615 to 2617]."""
    secc = ScriptedSECC()
    joining(secc, OK_NEW)
    result, player, evcc = play(secc, resume=PAUSED)
    assert result.outcome is Outcome.TERMINATED
    assert not result.resumed
    assert evcc.resume is None
    assert player.names()[2:5] == ["AuthorizationSetupReq", "AuthorizationReq", "ServiceDiscoveryReq"]
    assert player.sent(common.SessionSetupReq)[0].header.session_id == PAUSED.session_id


def test_a_new_session_with_the_old_id_is_reported() -> None:
    secc = ScriptedSECC()
    secc.session_id = PAUSED.session_id
    joining(secc, OK_NEW)
    result, _, _ = play(secc, resume=PAUSED)
    assert rules(result) == ["V2G20-2626"]


@pytest.mark.parametrize("by", ["certificate", "EVSEID"])
def test_another_secc_that_joins_the_session_is_left(by: str) -> None:
    """[V2G20-2539], [V2G20-2613], [V2G20-2614]; without TLS the EVSEID has to do."""
    secc = ScriptedSECC()
    joining(secc, evse="DE*1" if by == "certificate" else "DE*2")
    identity = b"another" if by == "certificate" else None
    paused = (
        PAUSED
        if by == "EVSEID"
        else PausedSession(PAUSED.session_id, PAUSED.mode, "DE*1", secc_identity=b"one")
    )
    result, player, evcc = play(secc, resume=paused, secc_identity=identity)
    assert result.outcome is Outcome.ABORTED
    assert rules(result) == ["V2G20-2539"]
    assert player.names() == ["SupportedAppProtocolReq", "SessionSetupReq"]
    assert evcc.resume is None


# -- services
# ---------------------------------------------------------------------------------------------------


def sets(secc: ScriptedSECC, *modes: EnergyMode) -> None:
    """Offer these parameter sets, in this order."""
    secc.on[common.ServiceDiscoveryReq] = lambda request: msgspec.structs.replace(
        secc.usual(request),
        energy_transfer_service_list=common.ServiceList(
            service=[
                common.Service(service_id=service_id, free_service=True)
                for service_id in dict.fromkeys(int(mode.service) for mode in modes)
            ]
        ),
    )
    secc.on[common.ServiceDetailReq] = lambda request: common.ServiceDetailRes(
        header=secc.header(),
        response_code=ResponseCode.OK,
        service_id=request.service_id,
        service_parameter_list=common.ServiceParameterList(
            parameter_set=[
                mode.parameter_set(Dialect()) for mode in modes if int(mode.service) == request.service_id
            ]
        ),
    )


SCHEDULED = EnergyMode(ServiceID.DC, ControlMode.SCHEDULED, parameter_set_id=40)
PRICED = EnergyMode(ServiceID.DC, ControlMode.SCHEDULED, parameter_set_id=41, pricing=Pricing.LEVELS)
DYNAMIC = EnergyMode(ServiceID.DC, ControlMode.DYNAMIC, parameter_set_id=42)
FLEET = EnergyMode(ServiceID.DC, ControlMode.DYNAMIC, parameter_set_id=43, mobility=MobilityNeedsMode.SECC)
BOTH_WAYS = EnergyMode(ServiceID.DC_BPT, ControlMode.DYNAMIC, parameter_set_id=44)


def chosen(secc: ScriptedSECC, *wishes: ServiceWish) -> tuple[int, int] | None:
    evcc = EVCC(EVCCConfig(services=wishes), Car(), unix_offset=UNIX)
    player = Player(secc)
    evcc.session_id = secc.session_id
    mode = player.play(evcc.interleave(evcc.choose_services()))
    selection = player.sent(common.ServiceSelectionReq)[0].selected_energy_transfer_service
    assert (selection.service_id, selection.parameter_set_id) == (mode.service, mode.parameter_set_id)
    return selection.service_id, selection.parameter_set_id


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (ServiceWish(ServiceID.DC), 42),
        (
            ServiceWish(
                ServiceID.DC, control=(ControlMode.SCHEDULED, ControlMode.DYNAMIC), pricing=(Pricing.NONE,)
            ),
            40,
        ),
        (
            ServiceWish(
                ServiceID.DC, control=(ControlMode.SCHEDULED,), pricing=(Pricing.LEVELS, Pricing.NONE)
            ),
            41,
        ),
        (ServiceWish(ServiceID.DC, mobility=(MobilityNeedsMode.SECC,)), 43),
    ],
)
def test_the_best_parameter_set_is_chosen_in_whatever_order_they_come(
    order: int, wish: ServiceWish, expected: int
) -> None:
    secc = ScriptedSECC()
    sets(secc, *[SCHEDULED, PRICED, DYNAMIC, FLEET][::order])
    assert chosen(secc, wish) == (2, expected)


def test_services_are_a_ranking_and_the_first_usable_one_counts() -> None:
    secc = ScriptedSECC()
    sets(secc, SCHEDULED, BOTH_WAYS)
    assert chosen(secc, ServiceWish(ServiceID.DC_BPT), ServiceWish(ServiceID.DC)) == (6, 44)
    only_scheduled = ServiceWish(ServiceID.DC_BPT, control=(ControlMode.SCHEDULED,))
    assert chosen(secc, only_scheduled, ServiceWish(ServiceID.DC)) == (2, 40)


def test_no_usable_service_ends_in_session_stop_with_the_reason() -> None:
    secc = ScriptedSECC()
    sets(secc, SCHEDULED)
    result, player, _ = play(
        secc, EVCCConfig(services=(ServiceWish(ServiceID.DC, control=(ControlMode.DYNAMIC,)),))
    )
    assert result.outcome is Outcome.ABORTED
    assert "none of the energy services" in result.reason
    assert player.names()[-2:] == ["ServiceDetailReq", "SessionStopReq"]
    assert player.sent(common.SessionStopReq)[0].ev_termination_code == "1"


def test_the_service_filter_can_be_left_out() -> None:
    """[V2G20-1248]"""
    _, player, _ = play(ScriptedSECC(), EVCCConfig(vas=(VASWish(65),)))
    assert player.sent(common.ServiceDiscoveryReq)[0].supported_service_ids.service_id == [2, 65]
    _, player, _ = play(ScriptedSECC(), EVCCConfig(service_filter=False))
    assert player.sent(common.ServiceDiscoveryReq)[0].supported_service_ids is None


def vas_list(secc: ScriptedSECC, *service_ids: int) -> None:
    secc.on[common.ServiceDiscoveryReq] = lambda request: msgspec.structs.replace(
        secc.usual(request),
        vas_list=common.ServiceList(
            service=[common.Service(service_id=n, free_service=False) for n in service_ids]
        ),
    )


def test_a_vas_list_that_ignores_the_filter_is_reported() -> None:
    secc = ScriptedSECC()
    vas_list(secc, 65, 61000)
    result, player, _ = play(secc)
    assert result.outcome is Outcome.TERMINATED
    assert rules(result) == ["V2G20-1249"]
    assert player.sent(common.ServiceSelectionReq)[0].selected_vas_list is None


def test_a_value_added_service_is_selected_by_its_values() -> None:
    secc = ScriptedSECC()
    vas_list(secc, 65)
    secc.on[common.ServiceDetailReq] = lambda request: (
        common.ServiceDetailRes(
            header=secc.header(),
            response_code=ResponseCode.OK,
            service_id=65,
            service_parameter_list=INTERNET.parameter_list(),
        )
        if request.service_id == 65
        else secc.usual(request)
    )
    config = EVCCConfig(
        vas=(VASWish(65, {"Protocol": "https", "Port": 443}), VASWish(65, {"Protocol": "gopher"}))
    )
    result, player, evcc = play(secc, config)
    assert result.outcome is Outcome.TERMINATED
    assert list(result.deviations) == []
    chosen_vas = player.sent(common.ServiceSelectionReq)[0].selected_vas_list.selected_service
    assert [(item.service_id, item.parameter_set_id) for item in chosen_vas] == [(65, 4)]
    assert evcc.vas_values == {(65, 4): {"Protocol": "https", "Port": 443}}


@pytest.mark.parametrize("order", [1, -1])
def test_of_a_parameter_set_id_that_is_there_twice_the_first_counts(order: int) -> None:
    secc = ScriptedSECC()
    twice = dataclasses.replace(DYNAMIC, parameter_set_id=SCHEDULED.parameter_set_id)
    offered = (SCHEDULED, twice)[::order]
    sets(secc, *offered)
    result, _, _ = play(secc, EVCCConfig(services=(ServiceWish(ServiceID.DC, control=tuple(ControlMode)),)))
    assert result.mode is not None
    assert result.mode.control is offered[0].control
    assert any("each id once" in item.expected for item in result.deviations)


def test_a_parameter_set_that_contradicts_the_standard_is_reported_and_not_taken() -> None:
    """[V2G20-2663]: needs of the SECC only with dynamic control."""
    secc = ScriptedSECC()
    wrong = EnergyMode(
        ServiceID.DC, ControlMode.SCHEDULED, parameter_set_id=50, mobility=MobilityNeedsMode.SECC
    )
    sets(secc, wrong, DYNAMIC)
    result, _, _ = play(secc, EVCCConfig(services=(ServiceWish(ServiceID.DC, control=tuple(ControlMode)),)))
    assert result.mode is not None
    assert result.mode.parameter_set_id == 42
    assert any("MobilityNeedsMode 2" in item.text for item in result.deviations)


def test_details_of_another_service_are_reported() -> None:
    secc = ScriptedSECC()
    secc.on[common.ServiceDetailReq] = lambda request: msgspec.structs.replace(
        secc.usual(request), service_id=6
    )
    result, _, _ = play(secc)
    assert [item.message for item in result.deviations] == ["ServiceDetailRes"]
