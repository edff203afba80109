"""The rows of the sequence table: after this response, under this condition, these requests.

The first row that matches a response counts. Requests are named by their element; "PowerDeliveryReq(Stop)"
is that request with that ChargeProgress. `next` is the standard's order, `tolerated` what some public
stacks also send or accept and a tolerant side reports. Evidence says who agrees: J Josev, E EVerest, W
WWCP, V eVDriveFlow, C cienporcien; "inferred" and "low" are not evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from ..messages.common import ChargeProgress, ChargingSession
from ..messages.common_types import Processing, ResponseCode
from ..v2gtp import PayloadType
from .services import Family

if TYPE_CHECKING:
    from .sequence import State


class Phase(StrEnum):
    """Where a session is: after a response, waiting for a request."""

    CONNECTED = "Connected"
    PROTOCOL_CHOSEN = "Protocol chosen"
    NEW_SESSION = "New session"
    POSITIONING = "Positioning"
    POSITIONED = "Positioned"
    PAIRING = "Pairing"
    RESUMED = "Resumed"
    AUTHORIZATION_OFFERED = "Authorization offered"
    INSTALLING = "Installing a certificate"
    INSTALLED = "Certificate installed"
    AUTHORIZING = "Authorizing"
    REFUSED = "Authorization refused"
    AUTHORIZED = "Authorized"
    SERVICES_LISTED = "Services listed"
    SERVICE_DETAILED = "Service detailed"
    SERVICE_SELECTED = "Service selected"
    PARAMETERS = "Parameters exchanged"
    ALIGNING = "Aligning"
    SCHEDULING = "Scheduling"
    SCHEDULED = "Scheduled"
    CONNECTING = "Connecting"
    DEVICE_CONNECTED = "Device connected"
    CABLE_CHECK = "Cable check"
    CABLE_CHECKED = "Cable checked"
    PRECHARGE = "Pre-charge"
    PRECHARGED = "Pre-charged"
    POWER_PENDING = "Power delivery pending"
    STARTED = "Started"
    LOOP = "Charge loop"
    STANDBY = "Standby"
    RENEGOTIATING = "Renegotiating the schedule"
    STOPPED = "Stopped"
    DISCONNECTING = "Disconnecting"
    WELDING = "Welding detection"
    WELDED = "Welding checked"
    SERVICE_RENEGOTIATION = "Renegotiating the service"
    CLOSED = "Closed"
    SIDE_IDLE = "Idle"
    SIDE_SCHEDULING = "Side: scheduling"
    SIDE_SCHEDULED = "Side: scheduled"
    CHECKING_IN = "Checking in"
    CHECKED_IN = "Checked in"
    CHECKING_OUT = "Checking out"


class Exchange(Struct, frozen=True):
    """A request, its response, and the state it was sent in: what a row's condition looks at."""

    state: State
    request: Any
    response: Any


Condition: TypeAlias = Callable[[Exchange], bool]
EVERY = frozenset(Family)


@dataclass(frozen=True, eq=False)
class Row:
    """One row of the table."""

    id: str
    after: str
    """Element name of the response; empty for the beginning."""
    condition: str
    when: Condition | None
    to: Phase
    next: tuple[str, ...]
    tolerated: tuple[str, ...] = ()
    families: frozenset[Family] = EVERY
    requirements: tuple[str, ...] = ()
    evidence: str = ""
    stream: PayloadType | None = None
    """Side stream of this row; None is the main stream."""
    _next: frozenset[str] = field(init=False, repr=False)
    _tolerated: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_next", frozenset(self.next))
        object.__setattr__(self, "_tolerated", frozenset(self.tolerated))

    def __deepcopy__(self, memo: object) -> Row:
        """A row is a constant: a copied state, say of a session that a fuzzer forks, shares it."""
        return self

    def expects(self, name: str, kind: str) -> bool:
        return name in self._next or kind in self._next

    def tolerates(self, name: str, kind: str) -> bool:
        return name in self._tolerated or kind in self._tolerated


def _row(
    row_id: str,
    after: str,
    condition: str,
    when: Condition | None,
    to: Phase,
    following: str,
    *,
    also: str = "",
    by: frozenset[Family] = EVERY,
    rules: str = "",
    seen: str = "",
    stream: PayloadType | None = None,
) -> Row:
    """`following` and `also` are lists of requests, `rules` a list of requirement numbers, all separated by
    blanks.
    """
    requirements = tuple(f"V2G20-{number}" for number in rules.split())
    return Row(
        row_id,
        after,
        condition,
        when,
        to,
        tuple(following.split()),
        tuple(also.split()),
        by,
        requirements,
        seen,
        stream,
    )


# -- conditions ----------------------------------------------------------------------------------------------

FINISHED, ONGOING = Processing.Finished, Processing.Ongoing


def _code(code: ResponseCode) -> Condition:
    return lambda x: x.response.response_code == code


def _evse_ongoing(x: Exchange) -> bool:
    return bool(x.response.evse_processing != FINISHED)


def _ev_ongoing(x: Exchange) -> bool:
    return bool(x.request.ev_processing != FINISHED)


def _either_ongoing(x: Exchange) -> bool:
    return _ev_ongoing(x) or _evse_ongoing(x)


def _progress(progress: ChargeProgress) -> Condition:
    return lambda x: x.request.charge_progress == progress


def _running(x: Exchange) -> bool:
    return x.state.running


def _prepared(x: Exchange) -> bool:
    return x.state.prepared


def _unprepared(x: Exchange) -> bool:
    return not x.state.prepared


def _standing_by(x: Exchange) -> bool:
    return x.state.phase is Phase.STANDBY


def _both(first: Condition, second: Condition) -> Condition:
    return lambda x: first(x) and second(x)


def _refused(x: Exchange) -> bool:
    return bool(x.response.response_code.is_warning)


def _refused_with_installation(x: Exchange) -> bool:
    return _refused(x) and x.state.installation_offered


def _no_protocol(x: Exchange) -> bool:
    return bool(x.response.response_code == "Failed_NoNegotiation")


def _service_renegotiation(x: Exchange) -> bool:
    """Only an authorized EV goes back to the services: the way must not lead around authorization."""
    return x.state.authorized and bool(x.request.charging_session == ChargingSession.ServiceRenegotiation)


# -- the table -----------------------------------------------------------------------------------------------

AC, DC, WPT, ACDP = Family.AC, Family.DC, Family.WPT, Family.ACDP
CONDUCTIVE, WIRED_DC = frozenset({AC, DC}), frozenset({DC, ACDP})
ONLY = {family: frozenset({family}) for family in Family}
STOP, CABLE_CHECK = "SessionStopReq", "DC_CableCheckReq"
START, STOP_POWER, HOLD, REPLAN = (
    f"PowerDeliveryReq({progress.value})"
    for progress in (
        ChargeProgress.Start,
        ChargeProgress.Stop,
        ChargeProgress.Standby,
        ChargeProgress.ScheduleRenegotiation,
    )
)
PARAMETERS = {
    AC: "AC_ChargeParameterDiscoveryReq",
    DC: "DC_ChargeParameterDiscoveryReq",
    ACDP: "DC_ChargeParameterDiscoveryReq",
    WPT: "WPT_ChargeParameterDiscoveryReq",
}
LOOP = {AC: "AC_ChargeLoopReq", DC: "DC_ChargeLoopReq", ACDP: "DC_ChargeLoopReq", WPT: "WPT_ChargeLoopReq"}
_RESUME_RULE = {AC: "2097", DC: "2098", ACDP: "", WPT: "5046"}
P = Phase

# fmt: off
_FRONT: tuple[Row, ...] = (
    _row("connection", "", "link up", None, P.CONNECTED, "supportedAppProtocolReq", seen="J E W V"),
    _row("sap.none", "supportedAppProtocolRes", "Failed_NoNegotiation", _no_protocol, P.CLOSED, "",
         seen="J E W"),
    _row("sap.chosen", "supportedAppProtocolRes", "OK", None, P.PROTOCOL_CHOSEN, "SessionSetupReq",
         seen="J E W V"),
    *(_row(f"setup.joined.{family.value.lower()}", "SessionSetupRes", "OK_OldSessionJoined",
           _code(ResponseCode.OK_OldSessionJoined), P.RESUMED, PARAMETERS[family], also=STOP, by=ONLY[family],
           rules=f"1032 {_RESUME_RULE[family]}", seen="W E") for family in Family),
    _row("setup.new", "SessionSetupRes", "OK_NewSessionEstablished", None, P.NEW_SESSION,
         "AuthorizationSetupReq", also=STOP, by=CONDUCTIVE, seen="J E W V"),
    _row("setup.new.acdp", "SessionSetupRes", "OK_NewSessionEstablished", None, P.NEW_SESSION,
         "ACDP_VehiclePositioningReq", also=f"AuthorizationSetupReq {STOP}", by=ONLY[ACDP], seen="C, low"),
    _row("setup.new.wpt", "SessionSetupRes", "OK_NewSessionEstablished", None, P.NEW_SESSION,
         "WPT_FinePositioningSetupReq", also=f"AuthorizationSetupReq {STOP}", by=ONLY[WPT],
         seen="inferred, low"),
    _row("authorization_setup.with_installation", "AuthorizationSetupRes", "CertificateInstallationService",
         lambda x: bool(x.response.certificate_installation_service), P.AUTHORIZATION_OFFERED,
         f"AuthorizationReq CertificateInstallationReq {STOP}", rules="1583 1970", seen="J W"),
    _row("authorization_setup", "AuthorizationSetupRes", "no CertificateInstallationService", None,
         P.AUTHORIZATION_OFFERED, f"AuthorizationReq {STOP}", rules="1577", seen="J E W"),
    _row("installation.ongoing", "CertificateInstallationRes", "Ongoing", _evse_ongoing, P.INSTALLING,
         f"CertificateInstallationReq {STOP}", seen="inferred"),
    _row("installation.more", "CertificateInstallationRes", "Finished, contracts remain",
         lambda x: x.response.remaining_contract_certificate_chains > 0, P.INSTALLED,
         f"CertificateInstallationReq AuthorizationReq {STOP}", seen="inferred"),
    _row("installation.done", "CertificateInstallationRes", "Finished, none remains", None, P.INSTALLED,
         f"AuthorizationReq {STOP}", also="CertificateInstallationReq", seen="J W"),
    _row("authorization.ongoing", "AuthorizationRes", "Ongoing", _evse_ongoing, P.AUTHORIZING,
         f"AuthorizationReq {STOP}", rules="1582", seen="J E W"),
    _row("authorization.refused.with_installation", "AuthorizationRes",
         "Finished, WARNING, installation offered",
         _refused_with_installation, P.REFUSED, f"AuthorizationReq CertificateInstallationReq {STOP}",
         rules="2230 2221", seen="J W"),
    _row("authorization.refused", "AuthorizationRes", "Finished, WARNING", _refused, P.REFUSED,
         f"AuthorizationReq {STOP}", rules="2230", seen="J W E"),
    _row("authorization.granted", "AuthorizationRes", "Finished, OK", None, P.AUTHORIZED,
         f"ServiceDiscoveryReq {STOP}", also="AuthorizationReq", seen="J E W V"),
    _row("services.listed", "ServiceDiscoveryRes", "OK", None, P.SERVICES_LISTED, f"ServiceDetailReq {STOP}",
         seen="J E W"),
    _row("services.detailed", "ServiceDetailRes", "OK", None, P.SERVICE_DETAILED,
         f"ServiceDetailReq ServiceSelectionReq {STOP}", seen="J E"),
    *(_row(f"services.selected.{family.value.lower()}", "ServiceSelectionRes", "OK", None, P.SERVICE_SELECTED,
           f"{PARAMETERS[family]} {STOP}", by=ONLY[family], seen="J E W V" if family in CONDUCTIVE else "low")
      for family in Family),
    _row("stop.renegotiation", "SessionStopRes", "request said ServiceRenegotiation, authorized",
         _service_renegotiation,
         P.SERVICE_RENEGOTIATION, "ServiceDiscoveryReq", also=STOP, rules="1477", seen="J W"),
    _row("stop", "SessionStopRes", "otherwise", None, P.CLOSED, "", seen="J E W"),
)

_SCHEDULE: tuple[Row, ...] = (
    _row("parameters.ac", "AC_ChargeParameterDiscoveryRes", "OK", None, P.PARAMETERS,
         f"ScheduleExchangeReq {STOP}", by=ONLY[AC], seen="J E W"),
    _row("parameters.dc", "DC_ChargeParameterDiscoveryRes", "OK", None, P.PARAMETERS,
         f"ScheduleExchangeReq {STOP}", by=WIRED_DC, seen="J E W V"),
    _row("schedule.ongoing", "ScheduleExchangeRes", "Ongoing", _evse_ongoing, P.SCHEDULING,
         f"ScheduleExchangeReq {STOP}", seen="J E W"),
    _row("schedule.renegotiated", "ScheduleExchangeRes", "Finished, power is on", _running, P.SCHEDULED,
         f"{START} {STOP_POWER} {HOLD}", also=f"{STOP} {CABLE_CHECK}", seen="J W; what follows is inferred"),
    _row("schedule.ac", "ScheduleExchangeRes", "Finished", None, P.SCHEDULED,
         f"{START} {STOP_POWER} {HOLD} {STOP}", by=ONLY[AC], seen="J E W"),
    _row("schedule.dc", "ScheduleExchangeRes", "Finished", None, P.SCHEDULED,
         f"{CABLE_CHECK} {STOP_POWER} {HOLD} {STOP}", by=ONLY[DC], rules="2122", seen="J E W V"),
)

_DC: tuple[Row, ...] = (
    _row("cable_check.ongoing", "DC_CableCheckRes", "Ongoing", _evse_ongoing, P.CABLE_CHECK,
         f"{CABLE_CHECK} {STOP}", by=WIRED_DC, seen="J E W V"),
    _row("cable_check.done", "DC_CableCheckRes", "Finished", None, P.CABLE_CHECKED, f"DC_PreChargeReq {STOP}",
         by=WIRED_DC, seen="J E W V"),
    _row("precharge.ongoing", "DC_PreChargeRes", "request said Ongoing", _ev_ongoing, P.PRECHARGE,
         "DC_PreChargeReq", also=STOP, by=WIRED_DC, rules="2005", seen="J E W V"),
    _row("precharge.done", "DC_PreChargeRes", "request said Finished", None, P.PRECHARGED,
         f"{START} {STOP_POWER} {HOLD}", also=f"DC_PreChargeReq {STOP}", by=WIRED_DC, rules="2006",
         seen="J E W V"),
    _row("welding.ongoing", "DC_WeldingDetectionRes", "request said Ongoing", _ev_ongoing, P.WELDING,
         f"DC_WeldingDetectionReq {STOP}", by=WIRED_DC, seen="J E W"),
    _row("welding.done", "DC_WeldingDetectionRes", "request said Finished", None, P.WELDED, STOP, by=WIRED_DC,
         seen="J E W"),
)


def _power(by: frozenset[Family], parameters: str, loop: str, suffix: str) -> tuple[Row, ...]:
    """PowerDelivery and charge loop of the families that share these messages."""
    dc = by == WIRED_DC
    confirmed = by != ONLY[WPT]

    def row(row_id: str, after: str, condition: str, when: Condition | None, to: Phase, following: str,
            seen: str, also: str = STOP, rules: str = "") -> Row:
        return _row(f"{row_id}.{suffix}", after, condition, when, to, following, also=also, by=by,
                    rules=rules, seen=seen if confirmed else "low")

    res, prepared = "PowerDeliveryRes", ", prepared" if dc else ""
    on, ready, unready = f"{loop} PowerDeliveryReq", f"{START} {STOP_POWER} {HOLD}", f"{STOP_POWER} {HOLD}"
    no_standby = _both(
        _progress(ChargeProgress.Standby), _code(ResponseCode.WARNING_StandbyNotAllowed)
    )
    standby = _progress(ChargeProgress.Standby)
    return (
        row("power.ev_ongoing.running", res, "request said Ongoing, power is on",
            _both(_ev_ongoing, _running),
            P.POWER_PENDING, "PowerDeliveryReq", "W"),
        row("power.ev_ongoing", res, f"request said Ongoing{prepared}", _both(_ev_ongoing, _prepared),
            P.POWER_PENDING, ready, "W"),
        *([row("power.ev_ongoing.unprepared", res, "request said Ongoing, not yet prepared",
               _both(_ev_ongoing, _unprepared), P.POWER_PENDING, unready, "inferred")] if dc else []),
        row("power.standby_refused.running", res, "WARNING_StandbyNotAllowed, power is on",
            _both(no_standby, _running), P.LOOP, on, "inferred"),
        row("power.standby_refused", res, f"WARNING_StandbyNotAllowed{prepared}",
            _both(no_standby, _prepared),
            P.PRECHARGED if dc else P.SCHEDULED, ready, "E"),
        *([row("power.standby_refused.unprepared", res, "WARNING_StandbyNotAllowed, not yet prepared",
               no_standby,
               P.SCHEDULED, f"{CABLE_CHECK} {unready}", "inferred")] if dc else []),
        row("power.standby.running", res, "Standby, OK, power is on", _both(standby, _running), P.STANDBY, on,
            "inferred", rules="2113 1391 1393"),
        row("power.standby", res, f"Standby, OK{prepared}", _both(standby, _prepared), P.STANDBY,
            f"{ready} {loop}", "inferred", rules="2113 1391 1393"),
        *([row("power.standby.unprepared", res, "Standby, OK, not yet prepared", standby, P.STANDBY,
               f"{CABLE_CHECK} {unready}", "inferred", rules="2122")] if dc else []),
        row("power.renegotiation_refused", res, "ScheduleRenegotiation, WARNING_ScheduleRenegotiationFailed",
            _both(_progress(ChargeProgress.ScheduleRenegotiation),
                  _code(ResponseCode.WARNING_ScheduleRenegotiationFailed)), P.LOOP, on, "inferred"),
        row("power.renegotiation", res, "ScheduleRenegotiation, OK",
            _progress(ChargeProgress.ScheduleRenegotiation), P.RENEGOTIATING, "ScheduleExchangeReq", "J W",
            also=f"{parameters} {STOP}"),
        row("power.start", res, "Start, Finished, OK", _progress(ChargeProgress.Start), P.STARTED,
            on if dc else f"{loop} {STOP_POWER}", "J E W V", also=STOP if dc else f"{STOP} PowerDeliveryReq"),
        row("loop.standby.running", loop.replace("Req", "Res"), "in standby, power is on",
            _both(_standing_by, _running), P.STANDBY, on, "inferred"),
        row("loop.standby", loop.replace("Req", "Res"), "in standby", _standing_by, P.STANDBY,
            f"{ready} {loop}", "inferred"),
        row("loop", loop.replace("Req", "Res"), "OK", None, P.LOOP, on, "J E W V", rules="1623"),
    )


_STOPPED: tuple[Row, ...] = (
    _row("power.stop.dc", "PowerDeliveryRes", "Stop, OK", None, P.STOPPED, f"DC_WeldingDetectionReq {STOP}",
         by=ONLY[DC], seen="J E W V"),
    _row("power.stop.acdp", "PowerDeliveryRes", "Stop, OK", None, P.STOPPED, "ACDP_DisconnectReq",
         also=f"DC_WeldingDetectionReq {STOP}", by=ONLY[ACDP], seen="C, low"),
    _row("power.stop", "PowerDeliveryRes", "Stop, OK", None, P.STOPPED, STOP, by=frozenset({AC, WPT}),
         seen="J E W"),
)


def _acdp(row_id: str, after: str, condition: str, when: Condition | None, to: Phase, following: str) -> Row:
    return _row(f"acdp.{row_id}", after, condition, when, to, following, also=STOP, by=ONLY[ACDP],
                seen="C, low")


def _wpt(row_id: str, after: str, condition: str, when: Condition | None, to: Phase, following: str) -> Row:
    return _row(f"wpt.{row_id}", after, condition, when, to, following, also=STOP, by=ONLY[WPT],
                seen="inferred, low")


_ACDP: tuple[Row, ...] = (
    _acdp("positioning.ongoing", "ACDP_VehiclePositioningRes", "Ongoing", _evse_ongoing, P.POSITIONING,
          "ACDP_VehiclePositioningReq"),
    _acdp("positioning.done", "ACDP_VehiclePositioningRes", "Finished", None, P.POSITIONED,
          "AuthorizationSetupReq"),
    _acdp("schedule", "ScheduleExchangeRes", "Finished", None, P.SCHEDULED,
          f"ACDP_ConnectReq {STOP_POWER} {HOLD}"),
    _acdp("connect.ongoing", "ACDP_ConnectRes", "Ongoing", _evse_ongoing, P.CONNECTING, "ACDP_ConnectReq"),
    _acdp("connect.done", "ACDP_ConnectRes", "Finished", None, P.DEVICE_CONNECTED, CABLE_CHECK),
    _acdp("disconnect.ongoing", "ACDP_DisconnectRes", "Ongoing", _evse_ongoing, P.DISCONNECTING,
          "ACDP_DisconnectReq"),
    _acdp("disconnect.done", "ACDP_DisconnectRes", "Finished", None, P.WELDED, STOP),
)

_WPT: tuple[Row, ...] = (
    _wpt("setup.ongoing", "WPT_FinePositioningSetupRes", "request said Ongoing", _ev_ongoing, P.POSITIONING,
         "WPT_FinePositioningSetupReq"),
    _wpt("setup.done", "WPT_FinePositioningSetupRes", "request said Finished", None, P.POSITIONING,
         "WPT_FinePositioningReq"),
    _wpt("positioning.ongoing", "WPT_FinePositioningRes", "Ongoing on a side", _either_ongoing, P.POSITIONING,
         "WPT_FinePositioningReq"),
    _wpt("positioning.done", "WPT_FinePositioningRes", "Finished on both", None, P.POSITIONED,
         "WPT_PairingReq"),
    _wpt("pairing.ongoing", "WPT_PairingRes", "Ongoing on a side", _either_ongoing, P.PAIRING,
         "WPT_PairingReq"),
    _wpt("pairing.done", "WPT_PairingRes", "Finished on both", None, P.PAIRING, "AuthorizationSetupReq"),
    _wpt("parameters", "WPT_ChargeParameterDiscoveryRes", "OK", None, P.PARAMETERS,
         "WPT_AlignmentCheckReq ScheduleExchangeReq"),
    _wpt("alignment.ongoing", "WPT_AlignmentCheckRes", "Ongoing on a side", _either_ongoing, P.ALIGNING,
         "WPT_AlignmentCheckReq"),
    _wpt("alignment.done", "WPT_AlignmentCheckRes", "Finished on both", None, P.PARAMETERS,
         "ScheduleExchangeReq"),
    _wpt("schedule", "ScheduleExchangeRes", "Finished", None, P.SCHEDULED, f"{START} {STOP_POWER} {HOLD}"),
)


def _side(stream: PayloadType, row_id: str, after: str, condition: str, when: Condition | None, to: Phase,
          following: str, also: str = "", rules: str = "") -> Row:
    return _row(f"side.{row_id}", after, condition, when, to, following, also=also, rules=rules,
                seen="inferred", stream=stream)


_REPLANNING, _METERING = PayloadType.SCHEDULE_RENEGOTIATION, PayloadType.METERING_CONFIRMATION
_ACDP_STATUS, _PARKING = PayloadType.ACDP_SYSTEM_STATUS, PayloadType.PARKING_STATUS
_CPDS = tuple(dict.fromkeys(PARAMETERS.values()))
_REPLAN_IDLE = " ".join(("ScheduleExchangeReq", *_CPDS))
_PARKING_IDLE = "VehicleCheckInReq VehicleCheckOutReq"

SIDE_ROWS: tuple[Row, ...] = (
    _side(_REPLANNING, "schedule", "", "idle", None, P.SIDE_IDLE, _REPLAN_IDLE),
    *(_side(_REPLANNING, f"schedule.parameters.{name.partition('_')[0].lower()}", name.replace("Req", "Res"),
            "OK", None, P.SIDE_SCHEDULING, "ScheduleExchangeReq") for name in _CPDS),
    _side(_REPLANNING, "schedule.ongoing", "ScheduleExchangeRes", "Ongoing", _evse_ongoing, P.SIDE_SCHEDULING,
          "ScheduleExchangeReq"),
    _side(_REPLANNING, "schedule.offered", "ScheduleExchangeRes", "Finished", None, P.SIDE_SCHEDULED,
          f"{REPLAN} {START}", also="ScheduleExchangeReq"),
    _side(_REPLANNING, "schedule.pending", "PowerDeliveryRes", "request said Ongoing", _ev_ongoing,
          P.SIDE_SCHEDULED, f"{REPLAN} {START}"),
    _side(_REPLANNING, "schedule.done", "PowerDeliveryRes", "Finished", None, P.SIDE_IDLE, _REPLAN_IDLE),
    _side(_METERING, "metering", "", "idle", None, P.SIDE_IDLE, "MeteringConfirmationReq", rules="1083"),
    _side(_METERING, "metering.confirmed", "MeteringConfirmationRes", "OK", None, P.SIDE_IDLE,
          "MeteringConfirmationReq"),
    _side(_ACDP_STATUS, "acdp_status", "", "idle", None, P.SIDE_IDLE, "ACDP_SystemStatusReq"),
    _side(_ACDP_STATUS, "acdp_status.told", "ACDP_SystemStatusRes", "OK", None, P.SIDE_IDLE,
          "ACDP_SystemStatusReq"),
    _side(_PARKING, "parking", "", "idle", None, P.SIDE_IDLE, _PARKING_IDLE),
    _side(_PARKING, "parking.in", "VehicleCheckInRes", "request said Completed",
          lambda x: bool(x.request.ev_check_in_status == "Completed"), P.CHECKED_IN, "VehicleCheckOutReq",
          also="VehicleCheckInReq"),
    _side(_PARKING, "parking.checking_in", "VehicleCheckInRes", "still parking", None, P.CHECKING_IN,
          "VehicleCheckInReq"),
    _side(_PARKING, "parking.scheduled", "VehicleCheckOutRes", "Scheduled",
          lambda x: bool(x.response.evse_check_out_status == "Scheduled"), P.CHECKING_OUT,
          "VehicleCheckOutReq"),
    _side(_PARKING, "parking.out", "VehicleCheckOutRes", "Completed", None, P.SIDE_IDLE, _PARKING_IDLE),
)

MAIN_ROWS: tuple[Row, ...] = (
    *_FRONT,
    *_SCHEDULE,
    *_DC,
    *_power(ONLY[AC], PARAMETERS[AC], LOOP[AC], "ac"),
    *_power(WIRED_DC, PARAMETERS[DC], LOOP[DC], "dc"),
    *_power(ONLY[WPT], PARAMETERS[WPT], LOOP[WPT], "wpt"),
    *_STOPPED,
    *_ACDP,
    *_WPT,
)
# fmt: on
ROWS: tuple[Row, ...] = (*MAIN_ROWS, *SIDE_ROWS)
ROW: dict[str, Row] = {row.id: row for row in ROWS}
ENDED = _row("ended", "", "any FAILED response", None, Phase.CLOSED, "", rules="735", seen="W")
