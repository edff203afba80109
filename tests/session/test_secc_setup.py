"""SECC: protocol, session, pause and resume, services, configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iso15118.messages import common
from iso15118.messages.app_protocol import AppProtocol
from iso15118.messages.common_types import MessageHeader, ResponseCode
from iso15118.session.secc_config import (
    Closing,
    LinkSecurity,
    SECCConfig,
    SessionStore,
    bind,
    energy_modes,
)
from iso15118.session.sequence import Phase
from iso15118.session.services import (
    INTERNET,
    PARKING_STATUS,
    VAS,
    ControlMode,
    Dialect,
    EnergyMode,
    Family,
    MobilityNeedsMode,
    ServiceID,
)

from .client import Client, code_of, rules
from .pair import BenchCharger

OK = ResponseCode.OK
CERTIFICATE = b"der of a vehicle certificate"
BOTH = SECCConfig(energy=energy_modes(ServiceID.AC, ServiceID.DC, ServiceID.DC_BPT))


# -- supportedAppProtocol ------------------------------------------------------------------------------------


def offer(namespace: str, schema_id: int, priority: int, major: int = 1, minor: int = 0) -> AppProtocol:
    return AppProtocol(
        protocol_namespace=namespace,
        version_number_major=major,
        version_number_minor=minor,
        schema_id=schema_id,
        priority=priority,
    )


def test_the_protocol_is_filtered_to_what_is_served_and_then_ranked_by_the_ev():
    """Array order, SchemaID order and priority all differ, and the first choice is proprietary."""
    client = Client(BOTH)
    response = client.send(
        "supportedAppProtocolReq",
        app_protocol=[
            offer(Family.AC.namespace, 5, 3),
            offer("urn:tesla:din:2018:MsgDef", 9, 1),
            offer(Family.DC.namespace, 2, 2),
        ],
    )
    assert response.schema_id == 2
    assert client.state.family is Family.DC


def test_a_station_without_ac_does_not_take_an_ac_protocol():
    client = Client()
    response = client.send("supportedAppProtocolReq", app_protocol=[offer(Family.AC.namespace, 1, 1)])
    assert response.response_code == "Failed_NoNegotiation"
    assert response.schema_id is None
    assert client.secc.closing is Closing.AFTER_PEER


def test_another_minor_version_is_a_deviation_and_another_major_no_match():
    request = [offer(Family.DC.namespace, 1, 1, major=2), offer(Family.DC.namespace, 2, 2, minor=3)]
    response = Client().send("supportedAppProtocolReq", app_protocol=request)
    assert response.response_code == "OK_SuccessfulNegotiationWithMinorDeviation"
    assert response.schema_id == 2


def test_iso_20_is_not_served_without_tls_13():
    client = Client(link=LinkSecurity(tls=False))
    assert client.send("supportedAppProtocolReq").response_code == "Failed_NoNegotiation"
    assert rules(client) == ["V2G20-1805"]
    lab = Client(link=LinkSecurity(tls=False, lab_plain_tcp=True))
    assert lab.send("supportedAppProtocolReq").response_code == "OK_SuccessfulNegotiation"


def test_offers_that_share_a_priority_are_reported():
    client = Client(BOTH)
    client.send("supportedAppProtocolReq", app_protocol=[client.offer(1, 1), client.offer(2, 1, Family.AC)])
    assert rules(client) == ["V2G20-167"]


# -- session -------------------------------------------------------------------------------------------------


def test_a_new_session_gets_a_fresh_non_zero_id_and_our_evse_id():
    ids = {Client(seed=seed).to_session().secc.session_id for seed in range(50)}
    assert len(ids) == 50
    assert bytes(8) not in ids
    assert all(len(session_id) == 8 for session_id in ids)


def test_zero_from_the_entropy_source_is_not_used():
    client = Client()
    draws = [bytes(8), b"\x01" * 8]
    client.secc.context.entropy = lambda size: draws.pop(0)
    client.to_session()
    assert client.secc.session_id == b"\x01" * 8


def test_an_unknown_id_gets_a_new_session_under_another_id():
    client = Client()
    client.send("supportedAppProtocolReq")
    response = client.send("SessionSetupReq", header=MessageHeader(session_id=b"\x07" * 8, timestamp=1))
    assert code_of(response) is ResponseCode.OK_NewSessionEstablished
    assert response.header.session_id not in (b"\x07" * 8, bytes(8))
    assert client.state.phase is Phase.NEW_SESSION


def test_responses_carry_unix_time_in_whole_seconds():
    client = Client()
    client.send("supportedAppProtocolReq")
    assert client.send("SessionSetupReq").header.timestamp == 1_800_000_000


# -- pause and resume ----------------------------------------------------------------------------------------


def paused(link: LinkSecurity, store: SessionStore, config: SECCConfig = BOTH) -> Client:
    client = Client(config, link=link, store=store).to_loop()
    client.send_all(["PowerDeliveryReq(Stop)"])
    response = client.send("SessionStopReq", charging_session=common.ChargingSession.Pause)
    assert code_of(response) is OK
    assert client.secc.closing is Closing.AFTER_PEER
    assert client.charger.ended == [True]
    return client


def resume(
    old: Client, link: LinkSecurity, config: SECCConfig = BOTH, family: Family = Family.DC, **setup: Any
) -> tuple[Client, Any]:
    client = Client(config, link=link, store=old.store, seed=2, family=family)
    client.send("supportedAppProtocolReq")
    header = MessageHeader(session_id=old.secc.session_id, timestamp=1)
    return client, client.send("SessionSetupReq", header=header, **setup)


def test_the_same_vehicle_joins_its_paused_session_and_goes_on_at_parameter_discovery():
    link = LinkSecurity(vehicle_certificate=CERTIFICATE)
    old = paused(link, SessionStore())
    client, response = resume(old, link)
    assert code_of(response) is ResponseCode.OK_OldSessionJoined
    assert client.secc.session_id == old.secc.session_id
    assert client.charger.mode == old.charger.mode
    assert client.state.row.next == ("DC_ChargeParameterDiscoveryReq",)
    client.send_all(
        [
            "DC_ChargeParameterDiscoveryReq",
            "ScheduleExchangeReq",
            "DC_CableCheckReq",
            "DC_PreChargeReq",
            "PowerDeliveryReq(Start)",
            "DC_ChargeLoopReq",
        ]
    )


def test_another_vehicle_gets_a_new_session():
    old = paused(LinkSecurity(vehicle_certificate=CERTIFICATE), SessionStore())
    for link in (LinkSecurity(vehicle_certificate=b"another"), LinkSecurity(tls=False, lab_plain_tcp=True)):
        client, response = resume(old, link)
        assert code_of(response) is ResponseCode.OK_NewSessionEstablished
        assert client.secc.session_id != old.secc.session_id
        assert client.secc.context.mode is None


def test_a_session_is_resumed_only_once():
    link = LinkSecurity(vehicle_certificate=CERTIFICATE)
    old = paused(link, SessionStore())
    resume(old, link)
    _, response = resume(old, link)
    assert code_of(response) is ResponseCode.OK_NewSessionEstablished


def test_a_session_of_another_message_set_is_not_joined():
    link = LinkSecurity(vehicle_certificate=CERTIFICATE)
    _, response = resume(paused(link, SessionStore()), link, family=Family.AC)
    assert code_of(response) is ResponseCode.OK_NewSessionEstablished


def test_without_certificates_only_the_laboratory_rule_resumes():
    link = LinkSecurity(tls=False, lab_plain_tcp=True)
    lab = replace(BOTH, resume_without_certificate=True)
    _, refused = resume(paused(link, SessionStore()), link)
    assert code_of(refused) is ResponseCode.OK_NewSessionEstablished
    _, joined = resume(paused(link, SessionStore(), lab), link, lab)
    assert code_of(joined) is ResponseCode.OK_OldSessionJoined
    _, stranger = resume(paused(link, SessionStore(), lab), link, lab, evcc_id="another")
    assert code_of(stranger) is ResponseCode.OK_NewSessionEstablished


def test_the_binding_is_the_worked_example_of_the_standard():
    """SHA-512 over the id and the SHA-512 of the certificate; the figure is from sha512sum."""
    assert bind(b"\x01\x02\x03\x04\x05\x06\x07\x08", b"certificate").hex() == (
        "bb727918a8203236792c61b45cbef44bfdeedb18b65bd5634075a775497a73cf"
        "7ec0f481f5f2815276608414e40e509072316d002fe90f0da881dbcc56e59b76"
    )


def test_the_store_forgets_the_oldest_session_first():
    store = SessionStore(limit=2)
    link = LinkSecurity(vehicle_certificate=CERTIFICATE)
    ids = []
    for seed in range(3):
        client = Client(BOTH, link=link, store=store, seed=seed).to_selected()
        client.send("SessionStopReq", charging_session=common.ChargingSession.Pause)
        ids.append(client.secc.session_id)
    assert [session_id in store for session_id in ids] == [False, True, True]


@pytest.mark.parametrize(
    ("config", "pause_ok"),
    [(SECCConfig(pause=False), True), (SECCConfig(), False)],
    ids=["config", "charger"],
)
def test_a_pause_that_is_not_allowed_fails(config, pause_ok):
    client = Client(config, BenchCharger(pause_ok=pause_ok)).to_selected()
    response = client.send("SessionStopReq", charging_session=common.ChargingSession.Pause)
    assert code_of(response) is ResponseCode.FAILED_PauseNotAllowed
    assert len(client.store) == 0


# -- services ------------------------------------------------------------------------------------------------

LISTED = SECCConfig(
    energy=energy_modes(ServiceID.AC, ServiceID.DC, ServiceID.DC_BPT),
    vas=(INTERNET, PARKING_STATUS, VAS(61000, {1: {"Version": "1.0", "Rate": 2.5, "On": True}}, free=False)),
)


def services(client: Client, wanted: list[int] | None) -> tuple[list[int], list[int]]:
    ids = None if wanted is None else common.ServiceIDList(service_id=wanted)
    response = client.send("ServiceDiscoveryReq", supported_service_ids=ids)
    vas = response.vas_list.service if response.vas_list is not None else []
    energy = response.energy_transfer_service_list.service
    return [item.service_id for item in energy], [item.service_id for item in vas]


@pytest.mark.parametrize(
    ("wanted", "vas"), [(None, [65, 66, 61000]), ([2, 65], [65]), ([2], []), ([999], [])]
)
def test_a_service_filter_is_for_vas_and_never_empties_the_energy_list(wanted, vas):
    client = Client(LISTED).to_services()
    assert services(client, wanted) == ([2, 6], vas)
    assert rules(client) == (["V2G20-1248"] if wanted == [999] else [])


def test_only_services_of_the_negotiated_message_set_are_offered():
    client = Client(LISTED, family=Family.AC).to_services()
    assert services(client, None)[0] == [1]
    assert code_of(client.send("ServiceDetailReq", service_id=2)) is ResponseCode.FAILED_ServiceIDInvalid


def test_details_name_every_parameter_of_a_service():
    """The required parameters per service, from the fact sheet's table."""
    energy = {"Connector", "ControlMode", "MobilityNeedsMode", "Pricing"}
    bpt = {"BPTChannel", "GeneratorMode"}
    expected = {
        ServiceID.AC: energy | {"EVSENominalVoltage"},
        ServiceID.AC_BPT: energy | bpt | {"EVSENominalVoltage", "DetectionMethodGridCodeIslanding"},
        ServiceID.DC: energy,
        ServiceID.DC_BPT: energy | bpt,
        ServiceID.MCS: energy,
        ServiceID.MCS_BPT: energy | bpt,
    }
    for service, names in expected.items():
        family = service.family
        assert family is not None
        client = Client(SECCConfig(energy=energy_modes(service)), family=family).to_services()
        services(client, None)
        response = client.send("ServiceDetailReq")
        assert response.service_id == service
        sets = response.service_parameter_list.parameter_set
        assert [item.parameter_set_id for item in sets] == [1, 2, 3]
        assert all({value.name for value in item.parameter} == names for item in sets)


def test_vas_details_have_values_of_their_kinds():
    client = Client(LISTED).to_services()
    services(client, None)
    (item,) = client.send("ServiceDetailReq", service_id=61000).service_parameter_list.parameter_set
    version, rate, on = item.parameter
    assert (version.finite_string, float(rate.rational_number), on.bool_value) == ("1.0", 2.5, True)


@pytest.mark.parametrize("service", [3, 7, 77, 0, 65535])
def test_details_of_a_service_that_is_not_offered_fail(service):
    client = Client(LISTED).to_services()
    services(client, None)
    response = client.send("ServiceDetailReq", service_id=service)
    assert code_of(response) is ResponseCode.FAILED_ServiceIDInvalid
    assert response.service_id == service
    assert rules(client)[-1] == "V2G20-425"


def select(client: Client, service: int, parameter_set: int, vas: list[tuple[int, int]] | None = None) -> Any:
    services(client, None)
    client.send_all(["ServiceDetailReq"])
    chosen = common.SelectedService(service_id=service, parameter_set_id=parameter_set)
    listed = [common.SelectedService(service_id=item, parameter_set_id=number) for item, number in vas or []]
    return client.send(
        "ServiceSelectionReq",
        selected_energy_transfer_service=chosen,
        selected_vas_list=common.SelectedServiceList(selected_service=listed) if listed else None,
    )


@pytest.mark.parametrize(
    ("service", "parameter_set", "code"),
    [
        (2, 3, OK),
        (6, 1, OK),
        (2, 4, ResponseCode.FAILED_ServiceSelectionInvalid),
        (2, 0, ResponseCode.FAILED_ServiceSelectionInvalid),
        (1, 1, ResponseCode.FAILED_ServiceSelectionInvalid),
        (8, 1, ResponseCode.FAILED_ServiceSelectionInvalid),
        (65, 1, ResponseCode.FAILED_NoEnergyTransferServiceSelected),
    ],
)
def test_only_an_offered_pair_of_service_and_parameter_set_is_accepted(service, parameter_set, code):
    client = Client(LISTED).to_services()
    assert code_of(select(client, service, parameter_set)) is code
    if code is OK:
        assert client.charger.mode is not None
        assert (client.charger.mode.service, client.charger.mode.parameter_set_id) == (service, parameter_set)


@pytest.mark.parametrize(
    ("vas", "code"),
    [
        ([(65, 3), (66, 1)], OK),
        ([(65, 9)], ResponseCode.FAILED_ServiceSelectionInvalid),
        ([(67, 1)], ResponseCode.FAILED_ServiceSelectionInvalid),
    ],
)
def test_selected_vas_must_be_offered_too(vas, code):
    client = Client(LISTED).to_services()
    assert code_of(select(client, 2, 1, vas)) is code


def test_service_renegotiation_goes_back_to_discovery_in_the_same_session():
    client = Client(LISTED).to_loop()
    before = client.secc.session_id
    client.send_all(["PowerDeliveryReq(Stop)", "DC_WeldingDetectionReq"])
    response = client.send("SessionStopReq", charging_session=common.ChargingSession.ServiceRenegotiation)
    assert code_of(response) is OK
    assert client.secc.closing is None
    assert code_of(select(client, 6, 2)) is OK
    client.send_all(["DC_ChargeParameterDiscoveryReq", "ScheduleExchangeReq", "DC_CableCheckReq"])
    client.send_all(["DC_PreChargeReq", "PowerDeliveryReq(Start)", "DC_ChargeLoopReq"])
    assert client.secc.session_id == before
    assert client.charger.mode is not None
    assert client.charger.mode.service is ServiceID.DC_BPT


@pytest.mark.parametrize(
    "config", [SECCConfig(service_renegotiation=False), SECCConfig()], ids=["off", "early"]
)
def test_service_renegotiation_that_is_not_supported_fails(config):
    client = Client(config)
    if config.service_renegotiation:
        client.to_session().send_all(["AuthorizationSetupReq"])
    else:
        client.to_selected()
    response = client.send("SessionStopReq", charging_session=common.ChargingSession.ServiceRenegotiation)
    assert code_of(response) is ResponseCode.FAILED_NoServiceRenegotiationSupported


# -- configuration -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy": ()}, "at least one parameter set"),
        ({"eim": False, "pnc": False}, "at least one of eim and pnc"),
        ({"energy": (EnergyMode(ServiceID.DC, ControlMode.DYNAMIC),)}, "must not be 0"),
        ({"energy": energy_modes(ServiceID.DC) * 2}, "there twice"),
        ({"energy": energy_modes(ServiceID.WPT)}, "WPT services are not served"),
        ({"energy": energy_modes(ServiceID.AC, connector=2)}, "1 or 3 phases"),
        (
            {
                "energy": (
                    EnergyMode(ServiceID.DC, ControlMode.SCHEDULED, 1, mobility=MobilityNeedsMode.SECC),
                )
            },
            "MobilityNeedsMode 2 needs ControlMode 2",
        ),
        ({"vas": (INTERNET,) * 9}, "at most 8"),
        (
            {
                "energy": tuple(
                    EnergyMode(ServiceID.DC, ControlMode.DYNAMIC, number) for number in range(1, 34)
                )
            },
            "at most 32",
        ),
    ],
)
def test_a_configuration_that_cannot_be_offered_is_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        SECCConfig(**changes)


@pytest.mark.parametrize("sent", [2, 3])
def test_the_dialect_says_what_three_phases_are_called(sent):
    config = SECCConfig(
        energy=energy_modes(ServiceID.AC, connector=3), dialect=Dialect(three_phase_connector=sent)
    )
    client = Client(config, family=Family.AC).to_services()
    services(client, None)
    first = client.send("ServiceDetailReq").service_parameter_list.parameter_set[0]
    assert next(item.int_value for item in first.parameter if item.name == "Connector") == sent
