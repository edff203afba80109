"""What the handlers of an SECC share: the session's facts, header and deviations."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..messages import common
from ..messages.common_types import MessageHeader, MeterInfo, ResponseCode
from . import sequence
from .charger import Charger, Direction, Progress, SiteWish, VehicleReport
from .events import Deviation, Deviations, Role, Severity
from .schedules import Entry
from .secc_config import Entropy, LinkSecurity, SECCConfig, SessionStore, Trust
from .services import EnergyMode
from .values import ACLimits, DCLimits

NEW_SESSION = bytes(8)


class Refusal(Exception):
    """The request cannot be answered well: the response carries `code` and the session ends."""

    def __init__(
        self,
        code: ResponseCode,
        text: str,
        expected: str,
        requirement: str | None = None,
        *,
        own: bool = False,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.expected = expected
        self.requirement = requirement
        self.own = own
        """The station, not the EV, is the cause."""


@dataclass
class Context:
    """One session of an SECC."""

    config: SECCConfig
    charger: Charger
    link: LinkSecurity
    entropy: Entropy
    store: SessionStore
    trust: Trust
    unix_offset: float
    events: Deviations = field(default_factory=Deviations)
    frame: int = 0
    message: str | None = None
    """Name of the request in work."""
    state: sequence.State = sequence.INITIAL

    session_id: bytes = NEW_SESSION
    resumed: bool = False
    evcc_id: str = ""
    offered_authorization: tuple[common.Authorization, ...] = ()
    challenge: bytes | None = None
    asked: tuple[object, object] | None = None
    """Service and mode of an AuthorizationReq that was answered Ongoing."""
    contract: common.ContractCertificateChain | None = None
    """Of the authorized contract; None with EIM."""
    mode: EnergyMode | None = None
    vas: tuple[tuple[int, int], ...] = ()
    """Selected (service, parameter set) pairs."""

    report: VehicleReport = field(default_factory=VehicleReport)
    ac_stated: ACLimits | None = None
    dc_stated: DCLimits | None = None
    """Our own limits as told in parameter discovery: the loop keeps within them."""
    ev_dc_stated: DCLimits | None = None
    ev_ac_stated: ACLimits | None = None

    offers: dict[int, common.ScheduleTuple] = field(default_factory=dict)
    offers_proposed: dict[int, common.ScheduleTuple] = field(default_factory=dict)
    """Tuples of a renegotiation on the side stream, until PowerDelivery picks one."""
    tuple_id: int | None = None
    ceiling: list[Entry] = field(default_factory=list)
    discharge_ceiling: list[Entry] = field(default_factory=list)
    """Schedules of the chosen tuple, both ways."""
    profile: list[Entry] = field(default_factory=list)
    tolerance: float = 0.0
    """W that the EV may leave its schedule by, once both agreed."""
    direction: Direction | None = None
    start_code: ResponseCode = ResponseCode.OK
    violating_since: float | None = None

    since: dict[str, float] = field(default_factory=dict)
    """When each Ongoing loop began."""
    wish: SiteWish | None = None
    wish_deadline: float = 0.0
    metered: bool = False
    """MeterInfo has been sent in this charge loop."""
    meter_sent: MeterInfo | None = None
    last_voltage: float = 0.0
    pilot_deadline: float | None = None
    termination: tuple[str | None, str | None] = (None, None)
    """EVTerminationCode and EVTerminationExplanation of the EV."""
    charging_session: common.ChargingSession | None = None
    """What the last accepted SessionStopReq asked for."""

    def header(self, now: float) -> MessageHeader:
        return MessageHeader(session_id=self.session_id, timestamp=max(0, int(now + self.unix_offset)))

    def unix(self, now: float) -> float:
        return now + self.unix_offset

    @property
    def selected(self) -> EnergyMode:
        if self.mode is None:
            raise Refusal(
                ResponseCode.FAILED_SequenceError,
                "no energy service is selected",
                "ServiceSelectionReq before",
            )
        return self.mode

    def deviation(
        self,
        severity: Severity,
        text: str,
        expected: str,
        requirement: str | None = None,
        *,
        now: float = 0.0,
        own: bool = False,
    ) -> None:
        """Record a deviation of the EV, or with `own` of this station."""
        self.events.add(
            Deviation(
                severity=severity,
                text=text,
                expected=expected,
                offender=Role.SECC if own else Role.EVCC,
                message=self.message,
                frame=self.frame,
                requirement=requirement,
                time=now,
            )
        )

    def note(self, text: str, expected: str, requirement: str | None = None) -> None:
        self.deviation(Severity.NOTE, text, expected, requirement)

    def error(self, text: str, expected: str, requirement: str | None = None) -> None:
        self.deviation(Severity.ERROR, text, expected, requirement)

    def tolerate(
        self,
        text: str,
        expected: str,
        requirement: str | None = None,
        code: ResponseCode = ResponseCode.FAILED,
    ) -> None:
        """Report and go on; in strict mode refuse with `code`."""
        if self.config.strict:
            raise Refusal(code, text, expected, requirement)
        self.deviation(Severity.ERROR, text, expected, requirement)

    def ongoing_too_long(self, what: str, now: float) -> bool:
        """Whether the Ongoing loop `what` has used up the SECC's time; starts it on first sight."""
        started = self.since.setdefault(what, now)
        return now - started >= self.config.timers.seconds("V2G_SECC_Ongoing_Performance_Time")

    def finished(self, what: str) -> None:
        self.since.pop(what, None)

    def leave_service(self) -> None:
        """The service is negotiated anew: no Ongoing loop, schedule or profile of the old one goes on."""
        self.since.clear()
        self.offers, self.offers_proposed, self.tuple_id = {}, {}, None
        self.ceiling, self.discharge_ceiling, self.profile = [], [], []
        self.tolerance, self.violating_since = 0.0, None

    def switch(self, what: str, progress: Progress, now: float) -> bool | None:
        """Whether a switching step is done; None while it is worked on within `contactor_time`. Refuses on
        failure.
        """
        if progress is Progress.DONE:
            self.finished(what)
            return True
        started = self.since.setdefault(what, now)
        if progress is Progress.FAILED or now - started >= self.config.contactor_time:
            self.finished(what)
            state = "failed" if progress is Progress.FAILED else f"took {now - started:.2f} s"
            raise Refusal(
                ResponseCode.FAILED_ContactorError,
                f"{what} {state}",
                f"within {self.config.contactor_time} s",
                own=True,
            )
        return None
