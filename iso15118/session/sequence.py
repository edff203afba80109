"""The order of messages: what may come next, and what came out of its order. It has no role: SECC, EVCC,
trace checker, fuzzer and diagrams read it.

The order itself is the table in `sequence_rows`. `permit` judges a request, `after` finds the row that a
response leads to, `advance` does both for a checker that sees one message at a time. A FAILED response
ends every sequence.

Side streams (payload types 0x8101 to 0x8104) are machines of their own beside the main stream, with one
outstanding request each; `SIDE_STREAMS` says in which phases of the main stream they may begin.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ..messages.app_protocol import SupportedAppProtocolReq, SupportedAppProtocolRes
from ..messages.common import ChargeProgress
from ..messages.common_types import ResponseCode, V2GRequest, V2GResponse
from ..messages.declare import Node
from ..v2gtp import PayloadType
from .sequence_rows import (
    ENDED,
    FINISHED,
    LOOP,
    MAIN_ROWS,
    ROW,
    ROWS,
    SIDE_ROWS,
    Exchange,
    Phase,
    Row,
)
from .services import FAMILY_OF_NAMESPACE, Family, family_of

__all__ = [
    "ENDED",
    "INITIAL",
    "LOOP_MESSAGES",
    "MAIN_ROWS",
    "ROW",
    "ROWS",
    "SIDE_ROWS",
    "SIDE_STREAMS",
    "Exchange",
    "Permit",
    "Phase",
    "Row",
    "State",
    "Violation",
    "advance",
    "after",
    "kind_of",
    "name_of",
    "permit",
    "stem",
    "stream_of",
]

LOOP_MESSAGES = frozenset(name.removesuffix("Req") for name in LOOP.values())
POWER_PHASES = frozenset({Phase.STARTED, Phase.LOOP, Phase.STANDBY, Phase.POWER_PENDING})
_AFTER_SETUP = frozenset(Phase) - {Phase.CONNECTED, Phase.PROTOCOL_CHOSEN, Phase.CLOSED}
_BEFORE_SELECTION = frozenset(
    phase for phase in Phase if list(Phase).index(phase) < list(Phase).index(Phase.SERVICE_SELECTED)
)
SIDE_STREAMS: dict[PayloadType, frozenset[Phase]] = {
    PayloadType.SCHEDULE_RENEGOTIATION: frozenset({Phase.STARTED, Phase.LOOP, Phase.STANDBY}),
    PayloadType.METERING_CONFIRMATION: POWER_PHASES
    | {Phase.RENEGOTIATING, Phase.SCHEDULING, Phase.SCHEDULED, Phase.STOPPED, Phase.WELDING, Phase.WELDED},
    PayloadType.ACDP_SYSTEM_STATUS: _AFTER_SETUP,
    PayloadType.PARKING_STATUS: (_AFTER_SETUP - _BEFORE_SELECTION) | {Phase.RESUMED},
}
"""Phases of the main stream in which each side stream may begin; none is confirmed by a public stack."""

_BY_RESPONSE: dict[tuple[PayloadType | None, str, Family | None], tuple[Row, ...]] = {}
for _row in ROWS:
    for _family in (
        *_row.families,
        *((None,) if Family.AC in _row.families or Family.DC in _row.families else ()),
    ):
        _key = (_row.stream, _row.after, _family)
        _BY_RESPONSE[_key] = (*_BY_RESPONSE.get(_key, ()), _row)


class State(Struct, frozen=True):
    """Where a session is. `pending` is a request that has no response yet."""

    row: Row = ROW["connection"]
    family: Family | None = None
    """Of the chosen protocol, then of the selected service."""
    installation_offered: bool = False
    authorized: bool = False
    """For the whole service session, pauses and renegotiations included [V2G20-1844]."""
    running: bool = False
    """Energy transfer has started and not been stopped."""
    prepared: bool = False
    """The way for power is ready: always in AC, after pre-charge in DC."""
    pending: Node | None = None
    sides: tuple[tuple[PayloadType, Row], ...] = ()
    pending_sides: tuple[tuple[PayloadType, Node], ...] = ()

    @property
    def phase(self) -> Phase:
        return self.row.to

    @property
    def closed(self) -> bool:
        return self.row.to is Phase.CLOSED

    def side(self, stream: PayloadType) -> Row:
        return next((row for key, row in self.sides if key == stream), _IDLE[stream])

    def expected(self, stream: PayloadType | None = None) -> tuple[str, ...]:
        """The requests that may come next on a stream (None: the main stream)."""
        return self.row.next if stream is None else self.side(stream).next


_IDLE = {row.stream: row for row in SIDE_ROWS if not row.after and row.stream is not None}
INITIAL = State()


class Permit(Struct, frozen=True):
    """The request may be answered; `note` says that only some stacks would, and what the standard expects."""

    note: str = ""


class Violation(Struct, frozen=True):
    """A message out of its order."""

    message: str
    phase: Phase
    expected: tuple[str, ...]
    requirements: tuple[str, ...]
    text: str


PERMITTED = Permit()
_NAMES: dict[type, str] = {
    SupportedAppProtocolReq: "supportedAppProtocolReq",
    SupportedAppProtocolRes: "supportedAppProtocolRes",
}


def name_of(message: Node | type[Node]) -> str:
    """The element name of a message."""
    cls = message if isinstance(message, type) else type(message)
    return _NAMES.get(cls) or cls.__name__


def stem(name: str) -> str:
    """The name without Req or Res: what the timer table calls the exchange."""
    return name[:-3]


def kind_of(request: Node) -> str:
    """The name, with the ChargeProgress of a PowerDeliveryReq."""
    progress = getattr(request, "charge_progress", None)
    return name_of(request) if progress is None else f"{name_of(request)}({progress})"


def stream_of(payload_type: int) -> PayloadType | None:
    """The side stream of a payload type; None for every type of the main stream."""
    try:
        known = PayloadType(payload_type)
    except ValueError:
        return None
    return known if known.is_side_stream else None


def permit(state: State, request: Node, stream: PayloadType | None = None) -> Permit | Violation:
    """Whether this request may come now on this stream."""
    name, kind = name_of(request), kind_of(request)
    if stream is None:
        row = state.row
        if state.pending is not None:
            return _out_of_order(state, kind, row, "before the response to the last request")
    else:
        row = state.side(stream)
        if state.closed:
            return _out_of_order(state, kind, state.row, "after the end of the session")
        if any(key == stream for key, _ in state.pending_sides):
            return _out_of_order(
                state, kind, row, "before the response to the last request of this side stream"
            )
        if row.to is Phase.SIDE_IDLE and state.phase not in SIDE_STREAMS[stream]:
            return _out_of_order(state, kind, row, f"on side stream 0x{stream:04X}")
    if row.expects(name, kind):
        return PERMITTED
    if row.tolerates(name, kind):
        return Permit(f"{kind} after {row.after or 'the beginning'} ({row.condition or row.to})")
    return _out_of_order(
        state, kind, row, f"after {row.after or 'the beginning'} ({row.condition or row.to})"
    )


def _out_of_order(state: State, kind: str, row: Row, where: str) -> Violation:
    requirements = ("V2G20-459", *row.requirements)
    return Violation(kind, state.phase, row.next, requirements, f"{kind} {where}")


def after(
    state: State, request: Node, response: Node, stream: PayloadType | None = None
) -> State | Violation:
    """The state that this response to this request leads to; a violation if no row of the table knows it."""
    code = getattr(response, "response_code", None)
    if isinstance(code, ResponseCode) and code.is_failed:
        return replace(state, row=ENDED, pending=None, running=False, prepared=False)
    if stream is None:
        known = _flags(state, request, response)
        previous: State = state
    else:
        known = previous = state
    rows: Iterable[Row] = _BY_RESPONSE.get((stream, name_of(response), known.family), ())
    if stream is not None and not rows:
        rows = _BY_RESPONSE.get((stream, name_of(response), None), ())
    exchange = Exchange(known, request, response)
    for row in rows:
        if row.when is None or row.when(exchange):
            break
    else:
        name = name_of(response)
        return Violation(
            name,
            state.phase,
            (),
            (),
            f"{name} is not a response of {known.family or 'any service'} at this point",
        )
    if stream is not None:
        return replace(
            previous, sides=(*(item for item in previous.sides if item[0] != stream), (stream, row))
        )
    if row is state.row and known is state:
        return state
    return replace(known, row=row)


def _flags(state: State, request: Any, response: Any) -> State:
    """What a response tells beyond the row: the same object if it tells nothing new."""
    match name_of(response):
        case "supportedAppProtocolRes" if response.schema_id is not None:
            for offer in request.app_protocol:
                if offer.schema_id == response.schema_id:
                    return replace(state, family=FAMILY_OF_NAMESPACE.get(offer.protocol_namespace))
        case "SessionSetupRes":
            return replace(state, authorized=response.response_code == ResponseCode.OK_OldSessionJoined)
        case "AuthorizationRes" if not state.authorized:
            granted = response.response_code.is_ok and response.evse_processing == FINISHED
            return replace(state, authorized=True) if granted else state
        case "AuthorizationSetupRes":
            return replace(state, installation_offered=response.certificate_installation_service)
        case "ServiceSelectionRes":
            chosen = family_of(request.selected_energy_transfer_service.service_id)
            return replace(state, family=chosen or state.family)
        case "AC_ChargeParameterDiscoveryRes" | "WPT_ChargeParameterDiscoveryRes" if not state.prepared:
            return replace(state, prepared=True)
        case "DC_PreChargeRes" if request.ev_processing == FINISHED and not state.prepared:
            return replace(state, prepared=True)
        case "SessionStopRes" if state.running or state.prepared:
            return replace(state, running=False, prepared=False)
        case "PowerDeliveryRes" if request.ev_processing == FINISHED:
            if request.charge_progress == ChargeProgress.Start and not state.running:
                return replace(state, running=True)
            if request.charge_progress == ChargeProgress.Stop:
                return replace(state, running=False, prepared=state.family in (Family.AC, Family.WPT))
    return state


def advance(state: State, message: Node, payload_type: int | None = None) -> State | Violation:
    """The state after one more message of a recorded session, or why it should not have come.

    A checker that wants to go on after a violation keeps the state it had, or calls `after` itself.
    """
    stream = stream_of(payload_type) if payload_type is not None else None
    if isinstance(message, V2GRequest | SupportedAppProtocolReq):
        verdict = permit(state, message, stream)
        if isinstance(verdict, Violation):
            return verdict
        if stream is None:
            return replace(state, pending=message)
        return replace(state, pending_sides=(*state.pending_sides, (stream, message)))
    if not isinstance(message, V2GResponse | SupportedAppProtocolRes):
        name = name_of(message)
        return Violation(name, state.phase, (), (), f"{name} is neither request nor response")
    request = state.pending if stream is None else dict(state.pending_sides).get(stream)
    name = name_of(message)
    if request is None or stem(name_of(request)) != stem(name):
        asked = "no request" if request is None else name_of(request)
        return Violation(name, state.phase, (), (), f"{name} answers {asked}")
    if stream is None:
        return after(replace(state, pending=None), request, message)
    rest = tuple(item for item in state.pending_sides if item[0] != stream)
    return after(replace(state, pending_sides=rest), request, message, stream)
