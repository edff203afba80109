"""The order of messages, as one table; it has no role: SECC, EVCC, trace checker, fuzzer and diagrams read
it.

A `Row` says: after this response, under this condition, for these families of services, these requests.
`permit` judges a request, `after` finds the row that a response leads to, `advance` does both for a
checker that sees one message at a time. A FAILED response ends every sequence.

Requests are named by their element; "PowerDeliveryReq(Stop)" is that request with that ChargeProgress.
`next` is the standard's order, `tolerated` what some public stacks also send or accept and a tolerant side
reports. Evidence says who agrees: J Josev, E EVerest, W WWCP, V eVDriveFlow, C cienporcien; "inferred" and
"low" are not evidence.

Side streams (payload types 0x8101 to 0x8104) are machines of their own beside the main stream, with one
outstanding request each; `SIDE_STREAMS` says in which phases of the main stream they may begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeAlias

from ..messages._declare import Node
from ..messages.app_protocol import SupportedAppProtocolReq, SupportedAppProtocolRes
from ..messages.common import ChargeProgress, ChargingSession
from ..messages.common_types import Processing, ResponseCode, V2GRequest, V2GResponse
from ..v2gtp import PayloadType
from .services import FAMILY_OF_NAMESPACE, Family, family_of


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


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, its response, and the state it was sent in: what a row's condition looks at."""

    state: State
    request: Any
    response: Any


Condition: TypeAlias = Callable[[Exchange], bool]


@dataclass(frozen=True, eq=False)
class Row:
    """One row of the table; the first row that matches a response counts."""

    id: str
    after: str
    """Element name of the response; empty for the beginning."""
    condition: str
    when: Condition | None
    to: Phase
    next: tuple[str, ...]
    tolerated: tuple[str, ...] = ()
    families: frozenset[Family] = frozenset(Family)
    requirements: tuple[str, ...] = ()
    evidence: str = ""
    stream: PayloadType | None = None
    """Side stream of this row; None is the main stream."""
    _next: frozenset[str] = field(init=False, repr=False)
    _tolerated: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_next", frozenset(self.next))
        object.__setattr__(self, "_tolerated", frozenset(self.tolerated))

    def expects(self, name: str, kind: str) -> bool:
        return name in self._next or kind in self._next

    def tolerates(self, name: str, kind: str) -> bool:
        return name in self._tolerated or kind in self._tolerated


AC, DC, WPT, ACDP = Family.AC, Family.DC, Family.WPT, Family.ACDP
CONDUCTIVE = frozenset({AC, DC})
WIRED_DC = frozenset({DC, ACDP})
STOP = "SessionStopReq"
SELECTED_CPD = {
    AC: "AC_ChargeParameterDiscoveryReq",
    DC: "DC_ChargeParameterDiscoveryReq",
    ACDP: "DC_ChargeParameterDiscoveryReq",
    WPT: "WPT_ChargeParameterDiscoveryReq",
}
LOOP_REQUEST = {
    AC: "AC_ChargeLoopReq",
    DC: "DC_ChargeLoopReq",
    ACDP: "DC_ChargeLoopReq",
    WPT: "WPT_ChargeLoopReq",
}
LOOP_MESSAGES = frozenset(name.removesuffix("Req") for name in LOOP_REQUEST.values())
_RESUME_RULE = {AC: ("V2G20-2097",), DC: ("V2G20-2098",), ACDP: (), WPT: ("V2G20-5046",)}
_START, _STOP_POWER, _STANDBY, _REPLAN = (
    f"PowerDeliveryReq({progress.value})"
    for progress in (
        ChargeProgress.Start,
        ChargeProgress.Stop,
        ChargeProgress.Standby,
        ChargeProgress.ScheduleRenegotiation,
    )
)


def _code(*codes: ResponseCode) -> Condition:
    return lambda x: x.response.response_code in codes


def _evse(processing: Processing) -> Condition:
    """The SECC says Finished, or with any other value that it is Ongoing."""
    finished = processing is Processing.Finished
    return lambda x: (x.response.evse_processing == Processing.Finished) is finished


def _ev(processing: Processing) -> Condition:
    finished = processing is Processing.Finished
    return lambda x: (x.request.ev_processing == Processing.Finished) is finished


def _progress(progress: ChargeProgress) -> Condition:
    return lambda x: x.request.charge_progress == progress


def _all(*conditions: Condition) -> Condition:
    return lambda x: all(condition(x) for condition in conditions)


def _running(x: Exchange) -> bool:
    return x.state.running


def _prepared(x: Exchange) -> bool:
    return x.state.prepared


FINISHED, ONGOING = Processing.Finished, Processing.Ongoing
_FAILED_SAP = "Failed_NoNegotiation"

_FRONT: tuple[Row, ...] = (
    Row("connection", "", "link up", None, Phase.CONNECTED, ("supportedAppProtocolReq",), evidence="J E W V"),
    Row(
        "sap.none",
        "supportedAppProtocolRes",
        "Failed_NoNegotiation",
        lambda x: x.response.response_code == _FAILED_SAP,
        Phase.CLOSED,
        (),
        evidence="J E W",
    ),
    Row(
        "sap.chosen",
        "supportedAppProtocolRes",
        "OK",
        None,
        Phase.PROTOCOL_CHOSEN,
        ("SessionSetupReq",),
        evidence="J E W V",
    ),
    *(
        Row(
            f"setup.joined.{family.value.lower()}",
            "SessionSetupRes",
            "OK_OldSessionJoined",
            _code(ResponseCode.OK_OldSessionJoined),
            Phase.RESUMED,
            (SELECTED_CPD[family],),
            (STOP,),
            frozenset({family}),
            ("V2G20-1032", *_RESUME_RULE[family]),
            "W E",
        )
        for family in Family
    ),
    Row(
        "setup.new",
        "SessionSetupRes",
        "OK_NewSessionEstablished",
        None,
        Phase.NEW_SESSION,
        ("AuthorizationSetupReq",),
        (STOP,),
        CONDUCTIVE,
        evidence="J E W V",
    ),
    Row(
        "setup.new.acdp",
        "SessionSetupRes",
        "OK_NewSessionEstablished",
        None,
        Phase.NEW_SESSION,
        ("ACDP_VehiclePositioningReq",),
        ("AuthorizationSetupReq", STOP),
        frozenset({ACDP}),
        evidence="C, low",
    ),
    Row(
        "setup.new.wpt",
        "SessionSetupRes",
        "OK_NewSessionEstablished",
        None,
        Phase.NEW_SESSION,
        ("WPT_FinePositioningSetupReq",),
        ("AuthorizationSetupReq", STOP),
        frozenset({WPT}),
        evidence="inferred, low",
    ),
    Row(
        "authorization_setup.with_installation",
        "AuthorizationSetupRes",
        "CertificateInstallationService",
        lambda x: x.response.certificate_installation_service,
        Phase.AUTHORIZATION_OFFERED,
        ("AuthorizationReq", "CertificateInstallationReq", STOP),
        requirements=("V2G20-1583", "V2G20-1970"),
        evidence="J W",
    ),
    Row(
        "authorization_setup",
        "AuthorizationSetupRes",
        "no CertificateInstallationService",
        None,
        Phase.AUTHORIZATION_OFFERED,
        ("AuthorizationReq", STOP),
        requirements=("V2G20-1577",),
        evidence="J E W",
    ),
    Row(
        "installation.ongoing",
        "CertificateInstallationRes",
        "Ongoing",
        _evse(ONGOING),
        Phase.INSTALLING,
        ("CertificateInstallationReq", STOP),
        evidence="inferred",
    ),
    Row(
        "installation.more",
        "CertificateInstallationRes",
        "Finished, contracts remain",
        lambda x: x.response.remaining_contract_certificate_chains > 0,
        Phase.INSTALLED,
        ("CertificateInstallationReq", "AuthorizationReq", STOP),
        evidence="inferred",
    ),
    Row(
        "installation.done",
        "CertificateInstallationRes",
        "Finished, none remains",
        None,
        Phase.INSTALLED,
        ("AuthorizationReq", STOP),
        ("CertificateInstallationReq",),
        evidence="J W",
    ),
    Row(
        "authorization.ongoing",
        "AuthorizationRes",
        "Ongoing",
        _evse(ONGOING),
        Phase.AUTHORIZING,
        ("AuthorizationReq", STOP),
        requirements=("V2G20-1582",),
        evidence="J E W",
    ),
    Row(
        "authorization.refused.with_installation",
        "AuthorizationRes",
        "Finished, WARNING, installation offered",
        lambda x: x.response.response_code.is_warning and x.state.installation_offered,
        Phase.REFUSED,
        ("AuthorizationReq", "CertificateInstallationReq", STOP),
        requirements=("V2G20-2230", "V2G20-2221"),
        evidence="J W",
    ),
    Row(
        "authorization.refused",
        "AuthorizationRes",
        "Finished, WARNING",
        lambda x: x.response.response_code.is_warning,
        Phase.REFUSED,
        ("AuthorizationReq", STOP),
        requirements=("V2G20-2230",),
        evidence="J W E",
    ),
    Row(
        "authorization.granted",
        "AuthorizationRes",
        "Finished, OK",
        None,
        Phase.AUTHORIZED,
        ("ServiceDiscoveryReq", STOP),
        ("AuthorizationReq",),
        evidence="J E W V",
    ),
    Row(
        "services.listed",
        "ServiceDiscoveryRes",
        "",
        None,
        Phase.SERVICES_LISTED,
        ("ServiceDetailReq", STOP),
        evidence="J E W",
    ),
    Row(
        "services.detailed",
        "ServiceDetailRes",
        "",
        None,
        Phase.SERVICE_DETAILED,
        ("ServiceDetailReq", "ServiceSelectionReq", STOP),
        evidence="J E",
    ),
    *(
        Row(
            f"services.selected.{family.value.lower()}",
            "ServiceSelectionRes",
            "OK",
            None,
            Phase.SERVICE_SELECTED,
            (SELECTED_CPD[family], STOP),
            families=frozenset({family}),
            evidence="J E W V" if family in CONDUCTIVE else "low",
        )
        for family in Family
    ),
    Row(
        "stop.renegotiation",
        "SessionStopRes",
        "request said ServiceRenegotiation, OK",
        lambda x: x.request.charging_session == ChargingSession.ServiceRenegotiation,
        Phase.SERVICE_RENEGOTIATION,
        ("ServiceDiscoveryReq",),
        (STOP,),
        requirements=("V2G20-1477",),
        evidence="J W",
    ),
    Row("stop", "SessionStopRes", "Terminate or Pause, OK", None, Phase.CLOSED, (), evidence="J E W"),
)

_SCHEDULE: tuple[Row, ...] = (
    Row(
        "parameters.ac",
        "AC_ChargeParameterDiscoveryRes",
        "OK",
        None,
        Phase.PARAMETERS,
        ("ScheduleExchangeReq", STOP),
        families=frozenset({AC}),
        evidence="J E W",
    ),
    Row(
        "parameters.dc",
        "DC_ChargeParameterDiscoveryRes",
        "OK",
        None,
        Phase.PARAMETERS,
        ("ScheduleExchangeReq", STOP),
        families=WIRED_DC,
        evidence="J E W V",
    ),
    Row(
        "schedule.ongoing",
        "ScheduleExchangeRes",
        "Ongoing",
        _evse(ONGOING),
        Phase.SCHEDULING,
        ("ScheduleExchangeReq", STOP),
        evidence="J E W",
    ),
    Row(
        "schedule.renegotiated",
        "ScheduleExchangeRes",
        "Finished, power is on",
        _running,
        Phase.SCHEDULED,
        (_START, _STOP_POWER, _STANDBY),
        (STOP, "DC_CableCheckReq"),
        evidence="J W; what follows is inferred",
    ),
    Row(
        "schedule.ac",
        "ScheduleExchangeRes",
        "Finished",
        None,
        Phase.SCHEDULED,
        (_START, _STOP_POWER, _STANDBY, STOP),
        families=frozenset({AC}),
        evidence="J E W",
    ),
    Row(
        "schedule.dc",
        "ScheduleExchangeRes",
        "Finished",
        None,
        Phase.SCHEDULED,
        ("DC_CableCheckReq", _STOP_POWER, _STANDBY, STOP),
        families=frozenset({DC}),
        requirements=("V2G20-2122",),
        evidence="J E W V",
    ),
)

_DC: tuple[Row, ...] = (
    Row(
        "cable_check.ongoing",
        "DC_CableCheckRes",
        "Ongoing",
        _evse(ONGOING),
        Phase.CABLE_CHECK,
        ("DC_CableCheckReq", STOP),
        families=WIRED_DC,
        evidence="J E W V",
    ),
    Row(
        "cable_check.done",
        "DC_CableCheckRes",
        "Finished",
        None,
        Phase.CABLE_CHECKED,
        ("DC_PreChargeReq", STOP),
        families=WIRED_DC,
        evidence="J E W V",
    ),
    Row(
        "precharge.ongoing",
        "DC_PreChargeRes",
        "request said Ongoing",
        _ev(ONGOING),
        Phase.PRECHARGE,
        ("DC_PreChargeReq",),
        (STOP,),
        WIRED_DC,
        ("V2G20-2005",),
        "J E W V",
    ),
    Row(
        "precharge.done",
        "DC_PreChargeRes",
        "request said Finished",
        None,
        Phase.PRECHARGED,
        (_START, _STOP_POWER, _STANDBY),
        ("DC_PreChargeReq", STOP),
        WIRED_DC,
        ("V2G20-2006",),
        "J E W V",
    ),
    Row(
        "welding.ongoing",
        "DC_WeldingDetectionRes",
        "request said Ongoing",
        _ev(ONGOING),
        Phase.WELDING,
        ("DC_WeldingDetectionReq", STOP),
        families=WIRED_DC,
        evidence="J E W",
    ),
    Row(
        "welding.done",
        "DC_WeldingDetectionRes",
        "request said Finished",
        None,
        Phase.WELDED,
        (STOP,),
        families=WIRED_DC,
        evidence="J E W",
    ),
)


def _power(families: frozenset[Family], loop: str, suffix: str) -> tuple[Row, ...]:
    """PowerDelivery and charge loop of the families that use this loop message."""
    dc = families <= WIRED_DC
    renegotiate = SELECTED_CPD[min(families)]
    evidence = "low" if families == {WPT} else "J E W"
    unprepared = ("DC_CableCheckReq", _STOP_POWER, _STANDBY)
    rows = [
        Row(
            "power.ev_ongoing.running",
            "PowerDeliveryRes",
            "request said Ongoing, power is on",
            _all(_ev(ONGOING), _running),
            Phase.POWER_PENDING,
            ("PowerDeliveryReq",),
            (STOP,),
            evidence="W",
        ),
        Row(
            "power.ev_ongoing",
            "PowerDeliveryRes",
            "request said Ongoing, prepared" if dc else "request said Ongoing",
            _all(_ev(ONGOING), _prepared),
            Phase.POWER_PENDING,
            (_START, _STOP_POWER, _STANDBY),
            (STOP,),
            evidence="W",
        ),
        Row(
            "power.standby_refused.running",
            "PowerDeliveryRes",
            "WARNING_StandbyNotAllowed, power is on",
            _all(_code(ResponseCode.WARNING_StandbyNotAllowed), _running),
            Phase.LOOP,
            (loop, "PowerDeliveryReq"),
            (STOP,),
            evidence="inferred",
        ),
        Row(
            "power.standby_refused",
            "PowerDeliveryRes",
            "WARNING_StandbyNotAllowed, prepared" if dc else "WARNING_StandbyNotAllowed",
            _all(_code(ResponseCode.WARNING_StandbyNotAllowed), _prepared),
            Phase.SCHEDULED if not dc else Phase.PRECHARGED,
            (_START, _STOP_POWER, _STANDBY),
            (STOP,),
            evidence="E",
        ),
        Row(
            "power.standby",
            "PowerDeliveryRes",
            "Standby, OK, prepared" if dc else "Standby, OK",
            _all(_progress(ChargeProgress.Standby), _prepared),
            Phase.STANDBY,
            ("PowerDeliveryReq", loop),
            (STOP,),
            requirements=("V2G20-2113", "V2G20-1391", "V2G20-1393"),
            evidence="inferred",
        ),
        Row(
            "power.renegotiation_refused",
            "PowerDeliveryRes",
            "ScheduleRenegotiation, WARNING_ScheduleRenegotiationFailed",
            _code(ResponseCode.WARNING_ScheduleRenegotiationFailed),
            Phase.LOOP,
            (loop, "PowerDeliveryReq"),
            (STOP,),
            evidence="inferred",
        ),
        Row(
            "power.renegotiation",
            "PowerDeliveryRes",
            "ScheduleRenegotiation, OK",
            _progress(ChargeProgress.ScheduleRenegotiation),
            Phase.RENEGOTIATING,
            ("ScheduleExchangeReq",),
            (renegotiate, STOP),
            evidence="J W",
        ),
        Row(
            "power.start",
            "PowerDeliveryRes",
            "Start, Finished, OK",
            _progress(ChargeProgress.Start),
            Phase.STARTED,
            (loop, "PowerDeliveryReq" if dc else _STOP_POWER),
            (STOP,) if dc else (STOP, "PowerDeliveryReq"),
            evidence="J E W V",
        ),
        Row(
            "loop.standby",
            loop.replace("Req", "Res"),
            "in standby",
            lambda x: x.state.phase is Phase.STANDBY,
            Phase.STANDBY,
            ("PowerDeliveryReq", loop),
            (STOP,),
            evidence="inferred",
        ),
        Row(
            "loop",
            loop.replace("Req", "Res"),
            "",
            None,
            Phase.LOOP,
            (loop, "PowerDeliveryReq"),
            (STOP,),
            requirements=("V2G20-1623",),
            evidence="J E W V",
        ),
    ]
    if dc:
        rows[2:2] = [
            Row(
                "power.ev_ongoing.unprepared",
                "PowerDeliveryRes",
                "request said Ongoing, not yet prepared",
                _all(_ev(ONGOING), lambda x: not x.state.prepared),
                Phase.POWER_PENDING,
                (_STOP_POWER, _STANDBY),
                (STOP,),
                evidence="inferred",
            ),
        ]
        rows[5:5] = [
            Row(
                "power.standby_refused.unprepared",
                "PowerDeliveryRes",
                "WARNING_StandbyNotAllowed, not yet prepared",
                _code(ResponseCode.WARNING_StandbyNotAllowed),
                Phase.SCHEDULED,
                unprepared,
                (STOP,),
                evidence="inferred",
            ),
        ]
        rows[7:7] = [
            Row(
                "power.standby.unprepared",
                "PowerDeliveryRes",
                "Standby, OK, not yet prepared",
                _progress(ChargeProgress.Standby),
                Phase.STANDBY,
                unprepared,
                (STOP,),
                requirements=("V2G20-2122",),
                evidence="inferred",
            ),
        ]
    return tuple(
        replace(
            row,
            id=f"{row.id}.{suffix}",
            families=families,
            evidence=evidence if evidence == "low" else row.evidence,
        )
        for row in rows
    )


_STOPPED: tuple[Row, ...] = (
    Row(
        "power.stop.dc",
        "PowerDeliveryRes",
        "Stop, OK",
        None,
        Phase.STOPPED,
        ("DC_WeldingDetectionReq", STOP),
        families=frozenset({DC}),
        evidence="J E W V",
    ),
    Row(
        "power.stop.acdp",
        "PowerDeliveryRes",
        "Stop, OK",
        None,
        Phase.STOPPED,
        ("ACDP_DisconnectReq",),
        ("DC_WeldingDetectionReq", STOP),
        frozenset({ACDP}),
        evidence="C, low",
    ),
    Row(
        "power.stop",
        "PowerDeliveryRes",
        "Stop, OK",
        None,
        Phase.STOPPED,
        (STOP,),
        families=frozenset({AC, WPT}),
        evidence="J E W",
    ),
)


def _device(
    row_id: str,
    after: str,
    condition: str,
    when: Condition | None,
    to: Phase,
    *following: str,
    family: Family,
) -> Row:
    """A row of ACDP or WPT; nobody has confirmed these."""
    evidence = "C, low" if family is ACDP else "inferred, low"
    return Row(row_id, after, condition, when, to, following, (STOP,), frozenset({family}), evidence=evidence)


def _both(processing: Processing) -> Condition:
    """Finished on both sides, or not yet."""
    finished = processing is FINISHED
    return lambda x: (x.request.ev_processing == x.response.evse_processing == FINISHED) is finished


_ACDP_ROWS: tuple[Row, ...] = (
    _device(
        "acdp.positioning.ongoing",
        "ACDP_VehiclePositioningRes",
        "Ongoing",
        _evse(ONGOING),
        Phase.POSITIONING,
        "ACDP_VehiclePositioningReq",
        family=ACDP,
    ),
    _device(
        "acdp.positioning.done",
        "ACDP_VehiclePositioningRes",
        "Finished",
        None,
        Phase.POSITIONED,
        "AuthorizationSetupReq",
        family=ACDP,
    ),
    _device(
        "acdp.schedule",
        "ScheduleExchangeRes",
        "Finished",
        None,
        Phase.SCHEDULED,
        "ACDP_ConnectReq",
        _STOP_POWER,
        _STANDBY,
        family=ACDP,
    ),
    _device(
        "acdp.connect.ongoing",
        "ACDP_ConnectRes",
        "Ongoing",
        _evse(ONGOING),
        Phase.CONNECTING,
        "ACDP_ConnectReq",
        family=ACDP,
    ),
    _device(
        "acdp.connect.done",
        "ACDP_ConnectRes",
        "Finished",
        None,
        Phase.DEVICE_CONNECTED,
        "DC_CableCheckReq",
        family=ACDP,
    ),
    _device(
        "acdp.disconnect.ongoing",
        "ACDP_DisconnectRes",
        "Ongoing",
        _evse(ONGOING),
        Phase.DISCONNECTING,
        "ACDP_DisconnectReq",
        family=ACDP,
    ),
    _device("acdp.disconnect.done", "ACDP_DisconnectRes", "Finished", None, Phase.WELDED, STOP, family=ACDP),
)

_WPT_ROWS: tuple[Row, ...] = (
    _device(
        "wpt.setup.ongoing",
        "WPT_FinePositioningSetupRes",
        "request said Ongoing",
        _ev(ONGOING),
        Phase.POSITIONING,
        "WPT_FinePositioningSetupReq",
        family=WPT,
    ),
    _device(
        "wpt.setup.done",
        "WPT_FinePositioningSetupRes",
        "request said Finished",
        None,
        Phase.POSITIONING,
        "WPT_FinePositioningReq",
        family=WPT,
    ),
    _device(
        "wpt.positioning.ongoing",
        "WPT_FinePositioningRes",
        "Ongoing on a side",
        _both(ONGOING),
        Phase.POSITIONING,
        "WPT_FinePositioningReq",
        family=WPT,
    ),
    _device(
        "wpt.positioning.done",
        "WPT_FinePositioningRes",
        "Finished on both",
        None,
        Phase.POSITIONED,
        "WPT_PairingReq",
        family=WPT,
    ),
    _device(
        "wpt.pairing.ongoing",
        "WPT_PairingRes",
        "Ongoing on a side",
        _both(ONGOING),
        Phase.PAIRING,
        "WPT_PairingReq",
        family=WPT,
    ),
    _device(
        "wpt.pairing.done",
        "WPT_PairingRes",
        "Finished on both",
        None,
        Phase.PAIRING,
        "AuthorizationSetupReq",
        family=WPT,
    ),
    _device(
        "wpt.parameters",
        "WPT_ChargeParameterDiscoveryRes",
        "OK",
        None,
        Phase.PARAMETERS,
        "WPT_AlignmentCheckReq",
        "ScheduleExchangeReq",
        family=WPT,
    ),
    _device(
        "wpt.alignment.ongoing",
        "WPT_AlignmentCheckRes",
        "Ongoing on a side",
        _both(ONGOING),
        Phase.ALIGNING,
        "WPT_AlignmentCheckReq",
        family=WPT,
    ),
    _device(
        "wpt.alignment.done",
        "WPT_AlignmentCheckRes",
        "Finished on both",
        None,
        Phase.PARAMETERS,
        "ScheduleExchangeReq",
        family=WPT,
    ),
    _device(
        "wpt.schedule",
        "ScheduleExchangeRes",
        "Finished",
        None,
        Phase.SCHEDULED,
        _START,
        _STOP_POWER,
        _STANDBY,
        family=WPT,
    ),
)

_RENEGOTIATION = PayloadType.SCHEDULE_RENEGOTIATION
_CPDS = (
    "AC_ChargeParameterDiscoveryReq",
    "DC_ChargeParameterDiscoveryReq",
    "WPT_ChargeParameterDiscoveryReq",
)


def _side(
    stream: PayloadType,
    row_id: str,
    after: str,
    condition: str,
    when: Condition | None,
    to: Phase,
    *following: str,
    tolerated: tuple[str, ...] = (),
    requirements: tuple[str, ...] = (),
) -> Row:
    return Row(
        row_id,
        after,
        condition,
        when,
        to,
        following,
        tolerated,
        requirements=requirements,
        evidence="inferred",
        stream=stream,
    )


_IDLE_RENEGOTIATION = ("ScheduleExchangeReq", *_CPDS)
_IDLE_PARKING = ("VehicleCheckInReq", "VehicleCheckOutReq")

SIDE_ROWS: tuple[Row, ...] = (
    _side(_RENEGOTIATION, "side.schedule", "", "idle", None, Phase.SIDE_IDLE, *_IDLE_RENEGOTIATION),
    *(
        _side(
            _RENEGOTIATION,
            f"side.schedule.parameters.{name[:3].strip('_').lower()}",
            name.replace("Req", "Res"),
            "OK",
            None,
            Phase.SIDE_SCHEDULING,
            "ScheduleExchangeReq",
        )
        for name in _CPDS
    ),
    _side(
        _RENEGOTIATION,
        "side.schedule.ongoing",
        "ScheduleExchangeRes",
        "Ongoing",
        _evse(ONGOING),
        Phase.SIDE_SCHEDULING,
        "ScheduleExchangeReq",
    ),
    _side(
        _RENEGOTIATION,
        "side.schedule.offered",
        "ScheduleExchangeRes",
        "Finished",
        None,
        Phase.SIDE_SCHEDULED,
        _REPLAN,
        _START,
        tolerated=("ScheduleExchangeReq",),
    ),
    _side(
        _RENEGOTIATION,
        "side.schedule.pending",
        "PowerDeliveryRes",
        "request said Ongoing",
        _ev(ONGOING),
        Phase.SIDE_SCHEDULED,
        _REPLAN,
        _START,
    ),
    _side(
        _RENEGOTIATION,
        "side.schedule.done",
        "PowerDeliveryRes",
        "Finished",
        None,
        Phase.SIDE_IDLE,
        *_IDLE_RENEGOTIATION,
    ),
    _side(
        PayloadType.METERING_CONFIRMATION,
        "side.metering",
        "",
        "idle",
        None,
        Phase.SIDE_IDLE,
        "MeteringConfirmationReq",
        requirements=("V2G20-1083",),
    ),
    _side(
        PayloadType.METERING_CONFIRMATION,
        "side.metering.confirmed",
        "MeteringConfirmationRes",
        "OK",
        None,
        Phase.SIDE_IDLE,
        "MeteringConfirmationReq",
    ),
    _side(
        PayloadType.ACDP_SYSTEM_STATUS,
        "side.acdp_status",
        "",
        "idle",
        None,
        Phase.SIDE_IDLE,
        "ACDP_SystemStatusReq",
    ),
    _side(
        PayloadType.ACDP_SYSTEM_STATUS,
        "side.acdp_status.told",
        "ACDP_SystemStatusRes",
        "OK",
        None,
        Phase.SIDE_IDLE,
        "ACDP_SystemStatusReq",
    ),
    _side(PayloadType.PARKING_STATUS, "side.parking", "", "idle", None, Phase.SIDE_IDLE, *_IDLE_PARKING),
    _side(
        PayloadType.PARKING_STATUS,
        "side.parking.in",
        "VehicleCheckInRes",
        "request said Completed",
        lambda x: x.request.ev_check_in_status == "Completed",
        Phase.CHECKED_IN,
        "VehicleCheckOutReq",
        tolerated=("VehicleCheckInReq",),
    ),
    _side(
        PayloadType.PARKING_STATUS,
        "side.parking.checking_in",
        "VehicleCheckInRes",
        "parking",
        None,
        Phase.CHECKING_IN,
        "VehicleCheckInReq",
    ),
    _side(
        PayloadType.PARKING_STATUS,
        "side.parking.scheduled",
        "VehicleCheckOutRes",
        "Scheduled",
        lambda x: x.response.evse_check_out_status == "Scheduled",
        Phase.CHECKING_OUT,
        "VehicleCheckOutReq",
    ),
    _side(
        PayloadType.PARKING_STATUS,
        "side.parking.out",
        "VehicleCheckOutRes",
        "Completed",
        None,
        Phase.SIDE_IDLE,
        *_IDLE_PARKING,
    ),
)

MAIN_ROWS: tuple[Row, ...] = (
    *_FRONT,
    *_SCHEDULE,
    *_DC,
    *_power(frozenset({AC}), "AC_ChargeLoopReq", "ac"),
    *_power(WIRED_DC, "DC_ChargeLoopReq", "dc"),
    *_power(frozenset({WPT}), "WPT_ChargeLoopReq", "wpt"),
    *_STOPPED,
    *_ACDP_ROWS,
    *_WPT_ROWS,
)
ROWS: tuple[Row, ...] = (*MAIN_ROWS, *SIDE_ROWS)
ROW: dict[str, Row] = {row.id: row for row in ROWS}
ENDED = Row(
    "ended", "", "any FAILED response", None, Phase.CLOSED, (), requirements=("V2G20-735",), evidence="W"
)

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
    for _family in (*_row.families, *((None,) if AC in _row.families or DC in _row.families else ())):
        _key = (_row.stream, _row.after, _family)
        _BY_RESPONSE[_key] = (*_BY_RESPONSE.get(_key, ()), _row)


@dataclass(frozen=True, slots=True)
class State:
    """Where a session is. `pending` is a request that has no response yet."""

    row: Row = ROW["connection"]
    family: Family | None = None
    """Of the chosen protocol, then of the selected service."""
    installation_offered: bool = False
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


@dataclass(frozen=True, slots=True)
class Permit:
    """The request may be answered; `note` says that only some stacks would, and what the standard expects."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Violation:
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
                return replace(state, running=False, prepared=state.family is AC or state.family is WPT)
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
