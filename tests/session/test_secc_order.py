"""The order of messages on live SECCs: every state that a session can be in, every request in it.

`walk` drives real sessions through everything a conductive EV and charger can do, forking the SECC at each
step, and keeps one session per row of the table. The negative matrix is then made from the table: each
request that the row does not let follow, and each request with a foreign SessionID.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from iso15118.exi import encode
from iso15118.messages import common
from iso15118.messages.common_types import MessageHeader, ResponseCode
from iso15118.session.charger import Verdict
from iso15118.session.fillers import fillers
from iso15118.session.secc_config import (
    Closing,
    Installation,
    PausedSession,
    SECCConfig,
    SessionStore,
    Trust,
    energy_modes,
)
from iso15118.session.sequence import ROW, Phase, State
from iso15118.session.services import PARKING_STATUS, Family, ServiceID
from iso15118.session.timers import RELAXED
from iso15118.v2gtp import PayloadType

from . import expected_order
from .client import ALL_REQUESTS, Client, Finished, Ongoing, code_of

PAUSED = bytes(range(1, 9))
FAMILIES = (Family.AC, Family.DC)
POWER = [f"PowerDeliveryReq({progress.value})" for progress in common.ChargeProgress]
KINDS = [*(name for name in ALL_REQUESTS if name != "PowerDeliveryReq"), *POWER]
SIDE = {"MeteringConfirmationReq", "VehicleCheckInReq", "VehicleCheckOutReq", "ACDP_SystemStatusReq"}
MAIN_KINDS = [kind for kind in KINDS if kind not in SIDE]


def installation(answers: list[Installation]) -> Callable[..., Installation]:
    return lambda request, now: answers[0]


def make_client(family: Family) -> Client:
    service = ServiceID.AC if family is Family.AC else ServiceID.DC
    config = SECCConfig(
        energy=energy_modes(service),
        vas=(PARKING_STATUS,),
        certificate_installation=True,
        resume_without_certificate=True,
        timers=RELAXED,
    )
    store = SessionStore()
    store.keep(PausedSession(PAUSED, None, "WMIV1234567890ABCDEX", config.energy[0], (), 0.0))
    client = Client(config, family=family, store=store)
    client.secc.context.trust = Trust(install_certificate=installation([Installation(pending=True)]))
    return client


def ways(client: Client, kind: str) -> Iterator[Client]:
    """The session after this request, in each way that charger and EV can make it go."""

    def go(prepare: Callable[[Client], object] = lambda client: None, **fields: Any) -> Client:
        twin = client.fork()
        prepare(twin)
        twin.send(kind, **fields)
        return twin

    name = kind.partition("(")[0]
    if name == "SessionSetupReq":
        yield go()
        yield go(header=MessageHeader(session_id=PAUSED, timestamp=1))
    elif name == "AuthorizationSetupReq":
        yield go()
        yield go(lambda twin: setattr(twin.secc.context, "trust", Trust()))
    elif name == "AuthorizationReq":
        for verdict in (Verdict.PENDING, Verdict.REJECTED, Verdict.ACCEPTED):
            yield go(lambda twin, verdict=verdict: twin.charger.verdicts.append(verdict))
    elif name == "CertificateInstallationReq":
        for answer in (
            Installation(pending=True),
            installed(remaining=1),
            installed(remaining=0),
        ):
            yield go(
                lambda twin, answer=answer: setattr(
                    twin.secc.context, "trust", Trust(install_certificate=installation([answer]))
                )
            )
    elif name == "ScheduleExchangeReq":
        yield go(lambda twin: setattr(twin.charger, "schedule_delays", 1))
        yield go()
    elif name == "DC_CableCheckReq":
        yield go(lambda twin: setattr(twin.charger, "cable_checks", 1))
        yield go()
    elif name in ("DC_PreChargeReq", "DC_WeldingDetectionReq"):
        yield go(ev_processing=Ongoing)
        yield go(ev_processing=Finished)
    elif name == "SessionStopReq":
        for session in common.ChargingSession:
            yield go(charging_session=session)
    elif name == "PowerDeliveryReq":
        yield go(ev_processing=Ongoing)
        yield go()
        yield go(lambda twin: setattr(twin.charger, "standby_allowed", False))
        yield go(lambda twin: setattr(twin.charger, "renegotiation_ok", False))
    elif name == "supportedAppProtocolReq":
        yield go()
        yield go(app_protocol=[client.offer(family=Family.WPT)])
    else:
        yield go()


def installed(remaining: int) -> Installation:
    fields = fillers(common.CertificateInstallationRes)
    return Installation(
        chain=fields["cps_certificate_chain"],
        data=fields["signed_installation_data"],
        remaining=remaining,
    )


@cache
def walk(family: Family) -> dict[State, Client]:
    """A live session in every state that can be reached, tolerated requests included."""
    first = make_client(family)
    found = {first.state: first}
    queue = [first]
    while queue:
        client = queue.pop(0)
        row = client.state.row
        listed = [*row.next, *row.tolerated]
        kinds = [kind for item in listed for kind in (POWER if item == "PowerDeliveryReq" else [item])]
        for kind in dict.fromkeys(kinds):
            for twin in ways(client, kind):
                if twin.state not in found:
                    found[twin.state] = twin
                    queue.append(twin)
    return found


STATES = [(family, state) for family in FAMILIES for state in walk(family)]
OPEN = [(family, state) for family, state in STATES if state.phase is not Phase.CLOSED]


def name(case: object) -> str:
    return case.row.id if isinstance(case, State) else str(case)


def test_the_walk_exercises_every_row_of_the_served_services():
    reached = {state.row.id for family in FAMILIES for state in walk(family)}
    assert set(expected_order.MAIN) - reached == set()


@pytest.mark.parametrize(("family", "state"), OPEN, ids=name)
def test_a_state_accepts_the_requests_written_down_for_it(family, state):
    """Each is answered without FAILED_SequenceError; the list is written by hand."""
    client = walk(family)[state]
    book, tolerated = expected_order.MAIN[state.row.id]
    for kind in (book | tolerated) - foreign(family) - {"supportedAppProtocolReq"}:
        assert code_of(client.fork().send(kind)) is not ResponseCode.FAILED_SequenceError, kind


def foreign(family: Family) -> set[str]:
    """Requests of the other family: in the table for a shared row, never answered by this service."""
    other = Family.DC if family is Family.AC else Family.AC
    return {kind for kind in KINDS if kind.startswith(f"{other.value}_")}


@pytest.mark.parametrize(("family", "state"), OPEN, ids=name)
def test_an_out_of_place_request_gets_its_response_with_sequence_error_and_the_close(family, state):
    client = walk(family)[state]
    book, tolerated = expected_order.MAIN[state.row.id]
    for kind in MAIN_KINDS:
        if kind in book | tolerated and kind not in foreign(family):
            continue
        twin = client.fork()
        request = twin.build(kind)
        response = twin.send(request)
        assert type(response).__name__ == type(request).__name__.replace("Req", "Res")
        assert code_of(response) is ResponseCode.FAILED_SequenceError, kind
        assert response.header.session_id == twin.secc.session_id
        assert encode(response)
        assert twin.secc.closing is Closing.AFTER_PEER
        assert not twin.charger.on
        assert twin.charger.ended == [False]
        assert twin.secc.events[-1].requirement is not None


@pytest.mark.parametrize(
    ("family", "state"),
    [case for case in OPEN if case[1].phase not in (Phase.CONNECTED, Phase.PROTOCOL_CHOSEN)],
    ids=name,
)
def test_any_request_with_a_foreign_session_id_is_unknown_session(family, state):
    """Every type but SessionSetupReq, in place or not: the id is looked at first [V2G20-460]."""
    client = walk(family)[state]
    for kind in KINDS:
        if kind != "SessionSetupReq":
            check_foreign(client, kind, flipped(client.secc.session_id))


@pytest.mark.parametrize("foreign_id", [bytes(8), b"\xff" * 8])
def test_zero_is_as_foreign_as_any_other_session_id(foreign_id):
    client = Client().to_loop()
    for kind in KINDS:
        if kind != "SessionSetupReq":
            check_foreign(client, kind, foreign_id)


def check_foreign(client: Client, kind: str, foreign_id: bytes) -> None:
    twin = client.fork()
    response = twin.send(kind, header=MessageHeader(session_id=foreign_id, timestamp=1))
    assert code_of(response) is ResponseCode.FAILED_UnknownSession, kind
    assert response.header.session_id == client.secc.session_id
    assert twin.secc.closing is Closing.AFTER_PEER
    assert twin.secc.events[-1].requirement == "V2G20-460"


def flipped(session_id: bytes) -> bytes:
    """One bit wrong."""
    return bytes([session_id[0] ^ 1, *session_id[1:]])


@pytest.mark.parametrize(("family", "state"), OPEN, ids=name)
def test_a_strict_secc_refuses_what_a_tolerant_one_only_reports(family, state):
    client = walk(family)[state]
    _, tolerated = expected_order.MAIN[state.row.id]
    for kind in tolerated - foreign(family):
        lenient = client.fork()
        before = len(lenient.secc.events)
        assert code_of(lenient.send(kind)) is not ResponseCode.FAILED_SequenceError
        assert len(lenient.secc.events) > before
        strict = client.fork()
        strict.secc.context.config = replace(strict.secc.context.config, strict=True)
        assert code_of(strict.send(kind)) is ResponseCode.FAILED_SequenceError


def test_nothing_is_answered_after_the_end():
    client = Client().to_session()
    client.send("SessionStopReq")
    assert client.secc.closing is Closing.AFTER_PEER
    assert client.secc.handle(client.build("SessionSetupReq"), client.now + 1) is None
    assert client.secc.deadline() is None


def test_a_second_protocol_negotiation_is_refused_and_closes():
    client = Client().to_session()
    response = client.send("supportedAppProtocolReq")
    assert response.response_code == "Failed_NoNegotiation"
    assert client.secc.closing is Closing.AFTER_PEER


def test_a_response_instead_of_a_request_ends_the_session():
    client = Client().to_session()
    response = common.SessionStopRes(header=client.header(), response_code=ResponseCode.OK)
    assert client.secc.handle(response, client.now) is None
    assert client.secc.closing is Closing.NOW


@pytest.mark.parametrize("family", FAMILIES)
def test_every_side_row_of_the_served_services_is_reached_and_followed(family):
    """Beside one charge loop; after each answer every request that may not follow is refused."""
    client = make_client(family).to_loop()
    client.secc.context.vas = ((66, 1), (66, 2))
    client.charger.schedule_delays = 1
    client.charger.check_outs = 1
    side, parking = PayloadType.SCHEDULE_RENEGOTIATION, PayloadType.PARKING_STATUS
    cpd = f"{family.value}_ChargeParameterDiscoveryReq"
    reached: set[str] = set()
    for stream, kind, fields in (
        (side, cpd, {}),
        (side, "ScheduleExchangeReq", {}),
        (side, "ScheduleExchangeReq", {}),
        (side, "PowerDeliveryReq(ScheduleRenegotiation)", {"ev_processing": Ongoing}),
        (side, "PowerDeliveryReq(ScheduleRenegotiation)", {}),
        (PayloadType.METERING_CONFIRMATION, "MeteringConfirmationReq", {}),
        (parking, "VehicleCheckInReq", {"ev_check_in_status": common.EVCheckInStatus.CheckIn}),
        (parking, "VehicleCheckInReq", {}),
        (parking, "VehicleCheckOutReq", {}),
        (parking, "VehicleCheckOutReq", {}),
    ):
        assert code_of(client.send(kind, stream, **fields)) is ResponseCode.OK
        row = client.state.side(stream)
        reached.add(row.id)
        book, tolerated = expected_order.SIDE[row.id]
        for other in KINDS:
            if other not in book | tolerated:
                assert code_of(client.fork().send(other, stream)) is ResponseCode.FAILED_SequenceError
        assert code_of(client.send(client.loop)) is ResponseCode.OK
    foreign_family = "dc" if family is Family.AC else "ac"
    untouched = {
        row_id
        for row_id in expected_order.SIDE
        if row_id in ("side.schedule", "side.metering", "side.parking", "side.schedule.parameters.wpt")
        or row_id.startswith("side.acdp_status")
        or row_id == f"side.schedule.parameters.{foreign_family}"
    }
    assert reached == set(expected_order.SIDE) - untouched


@pytest.mark.parametrize("kind", ["MeteringConfirmationReq", "VehicleCheckInReq"])
def test_a_side_message_on_the_main_stream_is_out_of_place(kind):
    client = Client().to_loop()
    assert code_of(client.send(kind, PayloadType.COMMON)) is ResponseCode.FAILED_SequenceError


def test_the_rows_of_other_services_are_refused_by_this_secc():
    """ACDP and WPT are in the table for checkers; a conductive SECC never selects their protocols."""
    for family in (Family.ACDP, Family.WPT):
        client = Client(family=family)
        assert client.send("supportedAppProtocolReq").response_code == "Failed_NoNegotiation"
        assert client.state.row is ROW["sap.none"]
