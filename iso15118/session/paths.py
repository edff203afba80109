"""All ways through the sequence table, without a message in hand: for diagrams, for tests, for a fuzzer.

`explore` walks every permitted request with every answer that makes a difference, from a starting state until
nothing new comes. Messages are stand-ins that carry only what the table looks at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ..messages.common import ChargeProgress, ChargingSession
from ..messages.common_types import Processing, ResponseCode
from ..v2gtp import PayloadType
from . import sequence
from .sequence import INITIAL, SIDE_STREAMS, Row, State
from .services import Family, ServiceID

FINISHED, ONGOING = Processing.Finished, Processing.Ongoing
_SERVICE = {
    Family.AC: ServiceID.AC,
    Family.DC: ServiceID.DC,
    Family.ACDP: ServiceID.DC_ACDP,
    Family.WPT: ServiceID.WPT,
}


@dataclass(frozen=True, slots=True)
class Edge:
    """One request and one kind of answer. `stream` is the side stream, None the main one."""

    source: State
    request: str
    """As the table names it, with ChargeProgress where there is one."""
    target: State
    stream: PayloadType | None = None
    tolerated: bool = False

    @property
    def row(self) -> Row:
        """The row that the answer leads to."""
        return self.target.row if self.stream is None else self.target.side(self.stream)


def explore(family: Family, start: State = INITIAL, *, tolerated: bool = False) -> list[Edge]:
    """Every edge of the main stream that can be reached for a family, breadth first.

    `tolerated`: walk the requests that only some stacks send, too.
    """
    edges: list[Edge] = []
    seen = {start}
    queue = [start]
    while queue:
        state = queue.pop(0)
        for edge in _from(state, family, None, tolerated):
            edges.append(edge)
            if edge.target not in seen:
                seen.add(edge.target)
                queue.append(edge.target)
    return edges


def explore_side(stream: PayloadType, family: Family) -> list[Edge]:
    """Every edge of a side stream, beside a main stream that stays in the charge loop."""
    row = next(row for row in sequence.ROWS if row.to in SIDE_STREAMS[stream] and family in row.families)
    if stream is PayloadType.SCHEDULE_RENEGOTIATION:
        row = sequence.ROW[f"loop.{'ac' if family is Family.AC else 'dc'}"]
    start = State(row=row, family=family, running=True, prepared=True)
    edges: list[Edge] = []
    seen, queue = {start}, [start]
    while queue:
        state = queue.pop(0)
        for edge in _from(state, family, stream, False):
            edges.append(edge)
            if edge.target not in seen:
                seen.add(edge.target)
                queue.append(edge.target)
    return edges


def path_to(row_id: str, edges: list[Edge]) -> list[Edge]:
    """A shortest path from the start of `edges` to a row. ValueError if there is none."""
    came_by: dict[State, Edge] = {}
    for edge in edges:
        came_by.setdefault(edge.target, edge)
    ends = [edge for edge in edges if edge.row.id == row_id]
    if not ends:
        raise ValueError(f"row {row_id} is not reached")
    start = edges[0].source
    path = [ends[0]]
    while path[0].source != start:
        path.insert(0, came_by[path[0].source])
    return path


def _from(state: State, family: Family, stream: PayloadType | None, tolerated: bool) -> Iterator[Edge]:
    row = state.row if stream is None else state.side(stream)
    for kinds, only_some in ((row.next, False), (row.tolerated if tolerated else (), True)):
        for kind in (item for listed in kinds for item in _kinds(listed)):
            for request, response in _exchanges(kind, family):
                following = sequence.after(state, request, response, stream)
                if isinstance(following, State):
                    yield Edge(state, kind, following, stream, only_some)


def _kinds(listed: str) -> list[str]:
    if listed == "PowerDeliveryReq":
        return [f"PowerDeliveryReq({progress.value})" for progress in ChargeProgress]
    return [listed]


def _stand_in(name: str, **values: Any) -> Any:
    """Looks like a message of this name to the table."""
    return type(name, (SimpleNamespace,), {})(**values)


def _exchanges(kind: str, family: Family) -> Iterator[tuple[Any, Any]]:
    """Stand-ins for a request and each answer to it that the table tells apart."""
    name, _, progress = kind.rstrip(")").partition("(")
    answer = name.replace("Req", "Res")

    def exchange(request: dict[str, Any], **response: Any) -> tuple[Any, Any]:
        values = {"response_code": ResponseCode.OK} | response
        return _stand_in(name, **request), _stand_in(answer, **values)

    match name:
        case "supportedAppProtocolReq":
            offer = SimpleNamespace(schema_id=1, protocol_namespace=family.namespace)
            yield exchange({"app_protocol": [offer]}, response_code="OK_SuccessfulNegotiation", schema_id=1)
            yield exchange({"app_protocol": [offer]}, response_code="Failed_NoNegotiation", schema_id=None)
        case "SessionSetupReq":
            yield exchange({}, response_code=ResponseCode.OK_NewSessionEstablished)
            yield exchange({}, response_code=ResponseCode.OK_OldSessionJoined)
        case "AuthorizationSetupReq":
            for offered in (False, True):
                yield exchange({}, certificate_installation_service=offered)
        case "CertificateInstallationReq":
            for processing, remaining in ((ONGOING, 0), (FINISHED, 1), (FINISHED, 0)):
                yield exchange(
                    {}, evse_processing=processing, remaining_contract_certificate_chains=remaining
                )
        case "AuthorizationReq":
            for processing, code in (
                (ONGOING, ResponseCode.OK),
                (FINISHED, ResponseCode.OK),
                (FINISHED, ResponseCode.WARNING_EIMAuthorizationFailure),
            ):
                yield exchange({}, evse_processing=processing, response_code=code)
        case "ServiceSelectionReq":
            chosen = SimpleNamespace(service_id=int(_SERVICE[family]))
            yield exchange({"selected_energy_transfer_service": chosen})
        case "SessionStopReq":
            for session in ChargingSession:
                yield exchange({"charging_session": session})
        case "PowerDeliveryReq":
            wanted = ChargeProgress(progress)
            codes = [ResponseCode.OK]
            if wanted is ChargeProgress.Standby:
                codes.append(ResponseCode.WARNING_StandbyNotAllowed)
            if wanted is ChargeProgress.ScheduleRenegotiation:
                codes.append(ResponseCode.WARNING_ScheduleRenegotiationFailed)
            yield exchange({"charge_progress": wanted, "ev_processing": ONGOING})
            for code in codes:
                yield exchange({"charge_progress": wanted, "ev_processing": FINISHED}, response_code=code)
        case "VehicleCheckInReq":
            for status in ("CheckIn", "Completed"):
                yield exchange({"ev_check_in_status": status})
        case "VehicleCheckOutReq":
            for status in ("Scheduled", "Completed"):
                yield exchange({}, evse_check_out_status=status)
        case _:
            # The other rows look at the processing of one side, of both, or at nothing.
            for ev, evse in ((ONGOING, ONGOING), (FINISHED, FINISHED)):
                yield exchange({"ev_processing": ev}, evse_processing=evse)
