"""SECC: whatever comes, in whatever order, there is one answer that encodes, or a close; and nobody else is
touched.
"""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest

from iso15118.exi import SchemaSet, decode, encode
from iso15118.messages import common
from iso15118.messages.common_types import MessageHeader, RationalNumber, ResponseCode
from iso15118.messages.declare import Node
from iso15118.session.charger import Verdict
from iso15118.session.fillers import RESPONSE_OF, failed
from iso15118.session.secc_config import Closing, LinkSecurity, SECCConfig, SessionStore, energy_modes
from iso15118.session.services import INTERNET, PARKING_STATUS, Family, ServiceID
from iso15118.session.streams import fits, payload_type_of
from iso15118.session.timers import RELAXED
from iso15118.v2gtp import PayloadType, schema_set_name

from .client import ALL_REQUESTS, Client, code_of
from .pair import BenchCharger

CONDUCTIVE = (
    ServiceID.AC,
    ServiceID.AC_BPT,
    ServiceID.DC,
    ServiceID.DC_BPT,
    ServiceID.MCS,
    ServiceID.MCS_BPT,
)
HEADER = MessageHeader(session_id=b"\x01" * 8, timestamp=1)


@pytest.mark.parametrize("request_class", RESPONSE_OF, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("code", [code for code in ResponseCode if code.is_failed])
def test_a_failed_response_of_every_kind_encodes_and_decodes(request_class, code):
    request = Client().build(request_class.__name__)
    response = failed(request, HEADER, code, evse_id="DE*A", service_id=7)
    data = encode(response)
    name = schema_set_name(payload_type_of(response), data)
    assert name is not None
    assert decode(data, SchemaSet(name)) == response


def test_every_request_has_its_response_class():
    assert len(RESPONSE_OF) == 30
    for request, response in RESPONSE_OF.items():
        assert request.__name__.removesuffix("Req") == response.__name__.removesuffix("Res")
        assert payload_type_of(request) == payload_type_of(response)


def test_payload_types_are_those_of_the_standard():
    """From the table of payload types, by hand."""
    expected = {
        0x8002: {
            "SessionSetupReq",
            "ServiceDetailReq",
            "PowerDeliveryReq",
            "SessionStopReq",
            "ScheduleExchangeReq",
        },
        0x8003: {"AC_ChargeParameterDiscoveryReq", "AC_ChargeLoopReq"},
        0x8004: {"DC_ChargeParameterDiscoveryReq", "DC_CableCheckReq", "DC_PreChargeReq", "DC_ChargeLoopReq"},
        0x8005: {"ACDP_VehiclePositioningReq", "ACDP_ConnectReq", "ACDP_DisconnectReq"},
        0x8006: {"WPT_PairingReq", "WPT_ChargeLoopReq"},
        0x8102: {"MeteringConfirmationReq"},
        0x8103: {"ACDP_SystemStatusReq"},
        0x8104: {"VehicleCheckInReq", "VehicleCheckOutReq"},
    }
    for payload_type, names in expected.items():
        for name in names:
            assert payload_type_of(ALL_REQUESTS[name]) == payload_type
    on_the_side = {
        name for name in ALL_REQUESTS if fits(Client().build(name), PayloadType.SCHEDULE_RENEGOTIATION)
    }
    assert on_the_side == {
        "AC_ChargeParameterDiscoveryReq",
        "DC_ChargeParameterDiscoveryReq",
        "WPT_ChargeParameterDiscoveryReq",
        "ScheduleExchangeReq",
        "PowerDeliveryReq",
    }


# -- random sessions -----------------------------------------------------------------------------------------


def disturb(node: Any, chance: random.Random) -> None:
    """Change some numbers and leave out some optional elements, all within the schema."""
    for name in node.__struct_fields__:
        value = getattr(node, name)
        if name == "header" or chance.random() > 0.2:
            continue
        if isinstance(value, RationalNumber):
            setattr(
                node,
                name,
                RationalNumber(
                    exponent=chance.choice([-128, -3, 0, 2, 127]), value=chance.randint(-32768, 32767)
                ),
            )
        elif isinstance(value, Node):
            disturb(value, chance)
        elif isinstance(value, bool):
            setattr(node, name, not value)
        elif isinstance(value, int) and name in (
            "parameter_set_id",
            "service_id",
            "selected_schedule_tuple_id",
        ):
            setattr(node, name, chance.choice([1, 2, 3, value, 65_535]))


def random_charger(chance: random.Random) -> BenchCharger:
    return BenchCharger(
        verdicts=chance.choices(list(Verdict), k=chance.randint(0, 3)),
        schedule_delays=chance.randint(0, 2),
        cable_checks=chance.randint(0, 2),
        start_delays=chance.choice([0, 0, 3, 200]),
        stop_delays=chance.choice([0, 0, 3]),
        standby_allowed=chance.random() < 0.5,
        renegotiation_ok=chance.random() < 0.5,
        go_to_pause=chance.random() < 0.1,
    )


@pytest.mark.parametrize("seed", range(60))
def test_random_sessions_always_get_an_answer_that_encodes_or_a_close(seed):
    chance = random.Random(seed)
    service = chance.choice(CONDUCTIVE)
    family = service.family
    assert family is not None
    config = SECCConfig(
        energy=energy_modes(*CONDUCTIVE),
        vas=(INTERNET, PARKING_STATUS),
        timers=RELAXED,
        strict=chance.random() < 0.3,
    )
    for _ in range(15):
        client = Client(config, random_charger(chance), family=family, step=chance.choice([0.01, 0.3, 5.0]))
        for _ in range(40):
            row = client.state.row
            wild = chance.random() < 0.03
            kinds = list(ALL_REQUESTS) if wild else [*row.next, *row.tolerated]
            if not kinds:
                break
            request = client.build(chance.choice(kinds))
            if hasattr(request, "header"):
                disturb(request, chance)
            response = client.send(request)
            if response is None:
                assert client.secc.closing is not None
                break
            assert encode(response)
            code = response.response_code
            if isinstance(code, ResponseCode) and code.is_failed:
                assert client.secc.closing is Closing.AFTER_PEER
                assert not client.charger.on
        client.secc.disconnected(client.now)
        assert len(client.charger.ended) == 1
        assert not client.charger.on


def test_two_sessions_in_a_row_at_one_outlet():
    charger, store = BenchCharger(), SessionStore()
    ids = set()
    for number in range(2):
        client = Client(charger=charger, store=store, seed=number).to_loop()
        client.send_all(["PowerDeliveryReq(Stop)", "DC_WeldingDetectionReq", "SessionStopReq"])
        client.secc.disconnected(client.now)
        ids.add(client.secc.session_id)
        assert not client.secc.events
    assert len(ids) == 2
    assert charger.ended == [False, False]


def test_a_session_after_a_broken_one_at_the_same_outlet_is_whole():
    charger = BenchCharger()
    first = Client(charger=charger).to_loop()
    first.send("PowerDeliveryReq(ScheduleRenegotiation)")
    first.secc.undecodable(first.now, 0x8002, "garbage")
    second = Client(charger=charger, seed=2).to_loop()
    second.send_all(["PowerDeliveryReq(Stop)", "DC_WeldingDetectionReq", "SessionStopReq"])
    assert not second.secc.events


def test_two_hundred_sessions_at_once_are_isolated():
    """Turn by turn through one station; every seventh EV misbehaves, the others do not notice."""
    store = SessionStore()
    config = SECCConfig(energy=energy_modes(ServiceID.AC, ServiceID.DC), timers=RELAXED)
    clients = [
        Client(config, family=(Family.AC, Family.DC)[number % 2], store=store, seed=number)
        for number in range(200)
    ]
    steps = ["supportedAppProtocolReq", "SessionSetupReq", "AuthorizationSetupReq", "AuthorizationReq"]
    steps += [
        "ServiceDiscoveryReq",
        "ServiceDetailReq",
        "ServiceSelectionReq",
        "{}_ChargeParameterDiscoveryReq",
    ]
    for step in steps:
        for client in clients:
            client.send_all([step.format(client.family.value)])
    bad = clients[::7]
    for client in bad:
        client.send("PowerDeliveryReq(Start)")
    good = [client for client in clients if client not in bad]
    for client in good:
        client.send_all(["ScheduleExchangeReq"])
        if client.family is Family.DC:
            client.send_all(["DC_CableCheckReq", "DC_PreChargeReq"])
        client.send_all(
            ["PowerDeliveryReq(Start)", client.loop, client.loop, "PowerDeliveryReq(Stop)", "SessionStopReq"]
        )
    assert len({client.secc.session_id for client in clients}) == 200
    assert not any(client.secc.events for client in good)
    assert all(client.charger.ended == [False] for client in clients)


def test_memory_of_repeated_deviations_is_bounded():
    client = Client(SECCConfig(timers=RELAXED), step=0.3).to_loop()
    for _ in range(3000):
        client.send(client.loop)
    assert len(client.secc.events) < 20
    first = client.secc.events[0]
    assert client.secc.events.count(first) > 2900


def test_the_ev_that_stops_after_service_renegotiation_is_let_go():
    """A public EVCC drops the link there."""
    client = Client().to_loop()
    client.send_all(["PowerDeliveryReq(Stop)"])
    client.send("SessionStopReq", charging_session=common.ChargingSession.ServiceRenegotiation)
    client.secc.disconnected(client.now)
    assert client.charger.ended == [False]
    assert client.secc.closing is Closing.NOW


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_parameter_sets_are_chosen_by_id_and_not_by_their_order(order):
    modes = energy_modes(ServiceID.DC)
    client = Client(SECCConfig(energy=tuple(modes[number - 1] for number in order))).to_services()
    client.send_all(["ServiceDiscoveryReq", "ServiceDetailReq"])
    chosen = common.SelectedService(service_id=2, parameter_set_id=2)
    assert (
        code_of(client.send("ServiceSelectionReq", selected_energy_transfer_service=chosen))
        is ResponseCode.OK
    )
    assert client.charger.mode == modes[1]


def test_bogus_feedback_of_the_contactor_does_not_confuse_a_session():
    """DONE for power that was never asked for, ONGOING for power that is off."""
    client = Client(link=LinkSecurity()).to_prepared()
    client.charger.stop_delays = 3
    client.send_all(["PowerDeliveryReq(Start)", client.loop, "PowerDeliveryReq(Start)", client.loop])
    client.send_all(["PowerDeliveryReq(Stop)", "SessionStopReq"])
    assert not client.charger.on


@pytest.mark.parametrize("number", [2**223, -(2**223), 2**64])
def test_numbers_that_no_type_of_the_schema_holds_are_borne(number):
    """EXI writes an integer of any length; whoever calculates with it must not fail."""
    client = Client().to_scheduled()
    voltage = RationalNumber(exponent=127, value=number)
    request = client.build("DC_PreChargeReq", ev_present_voltage=voltage, ev_target_voltage=voltage)
    client.send("DC_CableCheckReq")
    assert client.send(decode(encode(request), "iso20_dc")) is not None
    assert math.isfinite(float(voltage))
