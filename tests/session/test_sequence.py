"""The sequence table by itself: complete, reachable, as the facts say, and drawn."""

from __future__ import annotations

import re
from typing import Any

import pytest

from iso15118.messages import common
from iso15118.messages.app_protocol import (
    AppProtocol,
    AppProtocolResponseCode,
    SupportedAppProtocolReq,
    SupportedAppProtocolRes,
)
from iso15118.messages.common_types import MessageHeader, ResponseCode
from iso15118.session import sequence
from iso15118.session.fillers import RESPONSE_OF, fillers
from iso15118.session.paths import Edge, explore, explore_side, path_to
from iso15118.session.sequence import INITIAL, ROW, ROWS, SIDE_STREAMS, Phase, State, Violation
from iso15118.session.services import Family
from iso15118.v2gtp import PayloadType
from tools import draw_states

from . import expected_order

REQUESTS = {cls.__name__ for cls in RESPONSE_OF} | {"supportedAppProtocolReq"}
RESPONSES = {cls.__name__ for cls in RESPONSE_OF.values()} | {"supportedAppProtocolRes"}
EXPECTED = expected_order.MAIN | expected_order.LOW | expected_order.SIDE
HEADER = MessageHeader(session_id=bytes(range(8)), timestamp=1)


def kinds(listed: tuple[str, ...]) -> frozenset[str]:
    """Requests of a row with PowerDelivery spelt out."""
    found = set()
    for name in listed:
        found |= (
            {f"PowerDeliveryReq({progress.value})" for progress in common.ChargeProgress}
            if name == "PowerDeliveryReq"
            else {name}
        )
    return frozenset(found)


def all_edges() -> list[Edge]:
    edges = [edge for family in Family for edge in explore(family, tolerated=True)]
    return edges + [
        edge for stream in SIDE_STREAMS for family in Family for edge in explore_side(stream, family)
    ]


def test_every_row_is_written_down_in_the_expected_order():
    assert {row.id for row in ROWS} == set(EXPECTED)
    assert len(ROW) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_lets_exactly_the_expected_requests_follow(row):
    book, tolerated = EXPECTED[row.id]
    assert kinds(row.next) == book
    assert kinds(row.tolerated) - kinds(row.next) == tolerated


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_names_existing_messages_and_well_formed_requirements(row):
    assert row.after in RESPONSES | {""}
    assert {name.partition("(")[0] for name in (*row.next, *row.tolerated)} <= REQUESTS
    assert all(re.fullmatch(r"V2G20-\d+", rule) for rule in row.requirements)
    assert row.evidence


def test_every_row_can_be_reached_and_every_state_but_the_end_goes_on():
    edges = all_edges()
    assert {edge.row.id for edge in edges} == {row.id for row in ROWS if row.after}
    for edge in edges:
        assert edge.row.next or edge.row.to is Phase.CLOSED


def test_authorization_cannot_be_walked_around():
    """No path leads to power without a granted authorization or a resumed session."""
    for family in Family:
        for edge in explore(family, tolerated=True):
            if edge.target.phase in (Phase.SERVICE_SELECTED, Phase.STARTED, Phase.LOOP):
                assert edge.target.authorized


def test_dc_power_never_starts_without_cable_check_and_precharge():
    for edge in explore(Family.DC, tolerated=True):
        if edge.request == "PowerDeliveryReq(Start)" and edge.target.phase is Phase.STARTED:
            assert edge.source.prepared
    path = [edge.request for edge in path_to("power.start.dc", explore(Family.DC))]
    assert "DC_CableCheckReq" in path or path[1] == "SessionSetupReq"
    assert path[-2:] == ["DC_PreChargeReq", "PowerDeliveryReq(Start)"]


def respond(name: str, code: ResponseCode = ResponseCode.OK, **fields: Any) -> Any:
    cls = next(cls for cls in RESPONSE_OF.values() if cls.__name__ == name)
    return cls(**(dict(fillers(cls)) | {"header": HEADER, "response_code": code} | fields))


def request(name: str, **fields: Any) -> Any:
    cls = next(cls for cls in RESPONSE_OF if cls.__name__ == name)
    return cls(**(dict(fillers(cls)) | {"header": HEADER} | fields))


def opened(family: Family = Family.DC) -> State:
    offer = AppProtocol(
        protocol_namespace=family.namespace,
        version_number_major=1,
        version_number_minor=0,
        schema_id=7,
        priority=1,
    )
    state = sequence.advance(INITIAL, SupportedAppProtocolReq(app_protocol=[offer]))
    assert isinstance(state, State)
    answer = SupportedAppProtocolRes(
        response_code=AppProtocolResponseCode.OK_SuccessfulNegotiation, schema_id=7
    )
    state = sequence.advance(state, answer)
    assert isinstance(state, State)
    return state


def test_a_recorded_session_is_followed_message_by_message():
    state: State | Violation = opened()
    for message in (
        request("SessionSetupReq"),
        respond("SessionSetupRes", ResponseCode.OK_NewSessionEstablished),
        request("AuthorizationSetupReq"),
        respond("AuthorizationSetupRes"),
        request("AuthorizationReq"),
        respond("AuthorizationRes"),
    ):
        assert isinstance(state, State)
        state = sequence.advance(state, message)
    assert isinstance(state, State)
    assert state.phase is Phase.AUTHORIZED
    assert state.family is Family.DC


def test_a_violation_says_what_was_expected_and_by_which_rule():
    state = opened()
    found = sequence.advance(state, request("PowerDeliveryReq"))
    assert isinstance(found, Violation)
    assert found.message == "PowerDeliveryReq(Start)"
    assert found.expected == ("SessionSetupReq",)
    assert found.requirements[0] == "V2G20-459"


def test_a_second_request_before_the_response_is_a_violation():
    state = sequence.advance(opened(), request("SessionSetupReq"))
    assert isinstance(state, State)
    assert isinstance(sequence.advance(state, request("SessionSetupReq")), Violation)


def test_a_response_to_another_request_is_a_violation():
    state = sequence.advance(opened(), request("SessionSetupReq"))
    assert isinstance(state, State)
    found = sequence.advance(state, respond("AuthorizationSetupRes"))
    assert isinstance(found, Violation)
    assert "answers SessionSetupReq" in found.text


def test_any_failed_response_closes():
    state = sequence.advance(opened(), request("SessionSetupReq"))
    assert isinstance(state, State)
    state = sequence.advance(state, respond("SessionSetupRes", ResponseCode.FAILED))
    assert isinstance(state, State)
    assert state.closed


def test_a_message_of_another_service_family_is_a_violation():
    loop = State(row=ROW["loop.dc"], family=Family.DC, running=True, prepared=True, authorized=True)
    state = sequence.after(loop, request("AC_ChargeLoopReq"), respond("AC_ChargeLoopRes"))
    assert isinstance(state, Violation)


def test_side_streams_run_beside_the_main_stream_with_one_request_each():
    state: State | Violation = State(
        row=ROW["loop.dc"], family=Family.DC, running=True, prepared=True, authorized=True
    )
    side = PayloadType.SCHEDULE_RENEGOTIATION
    for message, payload_type in (
        (request("DC_ChargeLoopReq"), PayloadType.DC),
        (request("ScheduleExchangeReq"), side),
        (respond("DC_ChargeLoopRes"), PayloadType.DC),
        (respond("ScheduleExchangeRes"), side),
    ):
        assert isinstance(state, State)
        state = sequence.advance(state, message, payload_type)
    assert isinstance(state, State)
    assert state.phase is Phase.LOOP
    assert state.side(side).id == "side.schedule.offered"
    pending = sequence.advance(state, request("PowerDeliveryReq"), side)
    assert isinstance(pending, State)
    assert isinstance(sequence.advance(pending, request("PowerDeliveryReq"), side), Violation)


@pytest.mark.parametrize("stream", SIDE_STREAMS, ids=lambda stream: stream.name)
def test_a_side_stream_begins_only_in_its_phases(stream):
    first = request(ROW[next(row.id for row in ROWS if row.stream is stream and not row.after)].next[0])
    by_phase = {row.to: row for row in ROWS if row.stream is None}
    for phase, row in by_phase.items():
        verdict = sequence.permit(State(row=row, family=Family.DC), first, stream)
        assert isinstance(verdict, Violation) is (phase not in SIDE_STREAMS[stream]), phase


def test_the_diagrams_in_the_documentation_are_current():
    assert draw_states.TARGET.read_text(encoding="utf-8") == draw_states.render(), (
        "run python -m tools.draw_states"
    )
