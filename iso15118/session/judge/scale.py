"""The SCALE requirements on smart and bidirectional charging (deliverable D1.5, chapter 6) that a session
can show.

Ids are those of the deliverable, which numbers some twice: id and title together name a requirement. A
verdict is PASS or FAIL with its evidence, or NOT_SHOWN where the session gave no occasion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from ...messages.app_protocol import SupportedAppProtocolReq
from ...messages.common_types import Dynamic_CLReqControlMode, V2GRequest
from .. import sequence
from ..schedules import entries_of, power_at
from ..secc_values import per_phase
from ..services import FAMILY_OF_NAMESPACE, Family
from ..values import total
from .context import Context
from .model import LinkFacts, Observed
from .rules_setup import SUITES

TOLERANCE = 1.05
"""Of a limit, that a measured power may reach."""
_FLOOR = 50.0
"""W that count as no power, and as rounding beside a limit."""
_SETTLED = 1.0
"""s after a new limit from which a power above it counts: the EV reports before it has heard."""
_SINGLE_PHASE_MAX = 3700.0
_START_WINDOW = 30.0
_REACH_WINDOW = 60.0


class Result(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    NOT_SHOWN = "not shown"


class Requirement(NamedTuple):
    id: str
    title: str
    module: str
    """EV, charge point, ..."""
    text: str


class ScaleVerdict(NamedTuple):
    requirement: Requirement
    result: Result
    evidence: str
    frame: int = 0
    """The frame that shows it, 0 if no single one does."""


@dataclass(slots=True)
class _Power:
    """One charge-loop exchange: W, positive charges; None where the messages do not tell."""

    frame: int
    time: float | None
    present: float | None
    limit: float | None
    discharge_limit: float | None = None
    changed: float | None = None
    """Time of the last change of the limit."""


@dataclass(slots=True)
class _Seen:
    """What the evidence is drawn from; bounded whatever the length of the session."""

    offers: list[tuple[str, int]] = field(default_factory=list)
    chosen: str = ""
    loops: int = 0
    dynamic: int = 0
    with_soc: int = 0
    capacity: float | None = None
    capacity_frame: int = 0
    dynamic_offered: bool = False
    selected: bool = False
    asked_meter: int = 0
    missing_meter: int = 0
    meters: int = 0
    receipts: int = 0
    prices: int = 0
    registers: tuple[int, int | None] | None = None
    falling_register: int = 0
    no_discharge_register: int = 0
    charged_frame: int = 0
    discharged_frame: int = 0
    undirected: int = 0
    above: tuple[int, float, float] | None = None
    changes: int = 0
    unfollowed: tuple[int, float, float] | None = None
    first_loop: float | None = None
    first_power: tuple[int, float] | None = None
    last_time: float | None = None
    full: bool = False
    full_and_asked: int = 0
    full_and_discharged: int = 0
    ev_discovery: Any = None
    ev_frame: int = 0
    evse_discovery: Any = None
    evse_frame: int = 0
    stopped: bool = False
    pauses: int = 0
    resumed: int = 0
    site_limit: tuple[float, float] | None = None
    site_reached: float | None = None
    site_missed: bool = False
    grid_lost: float | None = None
    contactor_opened: bool = False


class ScaleJudge:
    """Collects the evidence of one session; `verdicts` at its end. `context` is that of the Judge of the same
    connection, which must have seen each frame before.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.seen = _Seen()
        self._asked: Any = None
        self._last: _Power | None = None

    # -- what is shown ---------------------------------------------------------------------------------------

    def frame(self, observed: Observed) -> None:
        message: Any = observed.message
        if message is None or sequence.stream_of(observed.payload_type) is not None:
            return
        self.seen.last_time = observed.time
        if isinstance(message, V2GRequest | SupportedAppProtocolReq):
            self._asked = message
            self._request(observed, message)
            return
        code = getattr(message, "response_code", None)
        if self._asked is not None and not str(code).upper().startswith("FAILED"):
            self._response(observed, self._asked, message)

    def sample(self, values: Mapping[str, float], time: float) -> None:
        """Values of the charger's model, where the recording has them: `site_limit` in W, `grid` and
        `contactor` 0 or 1.
        """
        seen = self.seen
        if "site_limit" in values and (seen.site_limit is None or values["site_limit"] != seen.site_limit[0]):
            first = seen.site_limit is None
            seen.site_limit = (values["site_limit"], time)
            seen.site_reached = time if first else None
        if values.get("grid") == 0.0 and seen.grid_lost is None:
            seen.grid_lost = time
        if seen.grid_lost is not None and values.get("contactor") == 0.0:
            seen.contactor_opened = True

    def _request(self, observed: Observed, request: Any) -> None:
        seen = self.seen
        name = sequence.name_of(request)
        if name == "supportedAppProtocolReq":
            seen.offers = [(item.protocol_namespace, item.priority) for item in request.app_protocol]
        elif name.endswith("ChargeLoopReq"):
            display = request.display_parameters
            if isinstance(request.control_mode, Dynamic_CLReqControlMode):
                seen.dynamic += 1
                seen.with_soc += display is not None and display.present_soc is not None
            if display is not None and display.battery_energy_capacity is not None and seen.capacity is None:
                seen.capacity, seen.capacity_frame = float(display.battery_energy_capacity), observed.number
            if display is not None and display.present_soc is not None:
                seen.full = display.present_soc == 100
        elif name.endswith("ChargeParameterDiscoveryReq"):
            seen.ev_discovery, seen.ev_frame = getattr(request, "energy_transfer_mode", None), observed.number

    def _response(self, observed: Observed, request: Any, response: Any) -> None:
        seen = self.seen
        name = sequence.name_of(response)
        match name:
            case "supportedAppProtocolRes":
                names = {item.schema_id: item.protocol_namespace for item in request.app_protocol}
                seen.chosen = names.get(response.schema_id, "")
            case "ServiceSelectionRes":
                seen.selected = True
                seen.dynamic_offered = any(
                    parameter.name == "ControlMode" and parameter.int_value == 2
                    for (service, _), item in self.context.parameter_sets.items()
                    if service in self.context.energy_services
                    for parameter in item.parameter
                )
            case "ScheduleExchangeRes":
                parts = [response.control_mode]
                for item in getattr(response.control_mode, "schedule_tuple", []):
                    parts += [item.charging_schedule, item.discharging_schedule]
                seen.prices += any(getattr(part, "price_schedule", None) is not None for part in parts)
            case "PowerDeliveryRes":
                self._progress(request.charge_progress)
            case "SessionStopRes":
                seen.stopped = True
            case _ if name.endswith("ChargeParameterDiscoveryRes"):
                seen.evse_discovery, seen.evse_frame = (
                    getattr(response, "energy_transfer_mode", None),
                    observed.number,
                )
            case _ if name.endswith("ChargeLoopRes"):
                self._loop(observed, request, response)

    def _progress(self, progress: str) -> None:
        seen = self.seen
        if progress == "Standby":
            seen.pauses += 1
        elif progress == "Start" and seen.pauses > seen.resumed:
            seen.resumed += 1

    # -- charge loop -----------------------------------------------------------------------------------------

    def _loop(self, observed: Observed, request: Any, response: Any) -> None:
        seen = self.seen
        seen.loops += 1
        if seen.first_loop is None:
            seen.first_loop = observed.time
        self._meter(request, response)
        power = self._power(observed, request, response)
        self._compare(power)
        self._site(power)
        if power.present is None:
            seen.undirected += 1
            return
        if power.present > _FLOOR:
            seen.charged_frame = seen.charged_frame or observed.number
        elif power.present < -_FLOOR:
            seen.discharged_frame = seen.discharged_frame or observed.number
        if abs(power.present) > _FLOOR and seen.first_power is None and observed.time is not None:
            seen.first_power = (observed.number, observed.time)
        if seen.full and power.limit is not None and power.limit < -_FLOOR:
            seen.full_and_asked = seen.full_and_asked or observed.number
        if seen.full_and_asked and power.present < -_FLOOR:
            seen.full_and_discharged = seen.full_and_discharged or observed.number

    def _meter(self, request: Any, response: Any) -> None:
        seen = self.seen
        seen.asked_meter += request.meter_info_requested
        seen.missing_meter += request.meter_info_requested and response.meter_info is None
        seen.receipts += response.receipt is not None
        info = response.meter_info
        if info is None:
            return
        seen.meters += 1
        now = (info.charged_energy_reading_wh, info.bpt_discharged_energy_reading_wh)
        seen.no_discharge_register += now[1] is None
        if seen.registers is not None and (
            now[0] < seen.registers[0] or (now[1] or 0) < (seen.registers[1] or 0)
        ):
            seen.falling_register += 1
        seen.registers = now

    def _power(self, observed: Observed, request: Any, response: Any) -> _Power:
        mode, given = request.control_mode, response.control_mode
        power = _Power(observed.number, observed.time, None, None)
        if hasattr(response, "evse_present_current"):
            power.present = float(response.evse_present_current) * float(response.evse_present_voltage)
            power.limit = _watts(given, "evse_maximum_charge_power") or _watts(
                self.seen.evse_discovery, "evse_maximum_charge_power"
            )
            power.discharge_limit = _watts(given, "evse_maximum_discharge_power")
        else:
            power.present = _watts(mode, "ev_present_active_power")
            power.limit = _watts(given, "evse_target_active_power")
        if power.limit is None and observed.time is not None:
            power.limit = self._scheduled(observed.time)
        return power

    def _scheduled(self, time: float) -> float | None:
        """The schedule's ceiling now. Of several tuples the widest: which one was chosen is not needed for
        that.
        """
        ceilings = [
            power_at(entries_of(item.charging_schedule.power_schedule), time)
            for item in (self.context.tuples or {}).values()
        ]
        known = [total(ceiling) for ceiling in ceilings if ceiling is not None]
        return max(known, default=None)

    def _compare(self, power: _Power) -> None:
        """Present power against the limit, and whether it follows a new one."""
        seen, last = self.seen, self._last
        if power.limit is None:
            return
        power.changed = power.time
        if last is not None and last.limit is not None:
            same = abs(power.limit - last.limit) <= max(_FLOOR, 0.01 * abs(last.limit))
            power.changed = last.changed if same else power.time
            if not same:
                seen.changes += 1
                if last.present is not None and _exceeds(last.present, last.limit) and self._had_time(last):
                    seen.unfollowed = seen.unfollowed or (last.frame, last.present, last.limit)
            # What the EV reports now, it draws by the last limit that it has heard.
            heard = last.limit
            if power.present is not None and _exceeds(power.present, heard) and self._had_time(power, last):
                seen.above = seen.above or (power.frame, power.present, heard)
        self._last = power

    def _had_time(self, power: _Power, before: _Power | None = None) -> bool:
        changed = (before or power).changed
        return power.time is None or changed is None or power.time - changed > _SETTLED

    def _site(self, power: _Power) -> None:
        seen = self.seen
        if seen.site_limit is None or seen.site_reached is not None or power.time is None:
            return
        limit, since = seen.site_limit
        if power.limit is not None and power.limit <= limit * TOLERANCE:
            seen.site_reached = power.time
        if (seen.site_reached or power.time) - since > _REACH_WINDOW:
            seen.site_missed = True

    # -- verdicts --------------------------------------------------------------------------------------------

    def verdicts(self) -> list[ScaleVerdict]:
        """One verdict for each requirement, in their order."""
        return [ScaleVerdict(requirement, *judge(self)) for requirement, judge in _JUDGES]

    @property
    def link(self) -> LinkFacts:
        return self.context.link

    @property
    def had_limit(self) -> bool:
        """A charge-loop exchange had a limit."""
        return self._last is not None


def _watts(node: Any, name: str) -> float | None:
    if node is None or getattr(node, name, None) is None:
        return None
    phases = per_phase(node, name) if hasattr(node, name + "_l2") else (float(getattr(node, name)),)
    return None if phases is None else total(phases)


def _exceeds(present: float, limit: float) -> bool:
    """A limit of charging bounds charging, a negative one asks for at least that much discharge but no
    more.
    """
    if limit >= 0:
        return present > limit * TOLERANCE + _FLOOR
    return present < limit * TOLERANCE - _FLOOR or present > _FLOOR


_Outcome = tuple[Result, str] | tuple[Result, str, int]
_JUDGES: list[tuple[Requirement, Callable[[ScaleJudge], _Outcome]]] = []
_PASS, _FAIL, _NOT_SHOWN = Result.PASS, Result.FAIL, Result.NOT_SHOWN


def _judge(identity: str, title: str, module: str) -> Callable[[Callable[[ScaleJudge], _Outcome]], None]:
    def register(function: Callable[[ScaleJudge], _Outcome]) -> None:
        text = " ".join((function.__doc__ or "").split())
        _JUDGES.append((Requirement(identity, title, module, text), function))

    return register


def requirements() -> list[Requirement]:
    """What is judged."""
    return [requirement for requirement, _ in _JUDGES]


@_judge("1-10", "speaks ISO 15118-20", "EV")
def _ev_speaks(judge: ScaleJudge) -> _Outcome:
    """The EV offers a namespace of ISO 15118-20."""
    offers = [(name, priority) for name, priority in judge.seen.offers if name in FAMILY_OF_NAMESPACE]
    if not judge.seen.offers:
        return _NOT_SHOWN, "no supportedAppProtocolReq"
    if not offers:
        return _FAIL, f"offers {', '.join(name for name, _ in judge.seen.offers)}"
    return _PASS, ", ".join(f"{name} at priority {priority}" for name, priority in offers)


@_judge("1-11", "state of charge in dynamic mode", "EV")
def _soc(judge: ScaleJudge) -> _Outcome:
    """PresentSOC is in the dynamic charge-loop requests, at least when its value changes."""
    seen = judge.seen
    if not seen.dynamic:
        return _NOT_SHOWN, "no dynamic charge loop"
    evidence = f"PresentSOC in {seen.with_soc} of {seen.dynamic} dynamic requests"
    return (_PASS if seen.with_soc else _FAIL), evidence


@_judge("1-12", "control by others", "EV")
def _control_by_others(judge: ScaleJudge) -> _Outcome:
    """The EV selects dynamic control where it is offered (evidence only)."""
    mode = judge.context.mode
    if mode is not None and not mode.scheduled:
        return _PASS, "ControlMode 2 selected"
    if judge.seen.selected and judge.seen.dynamic_offered:
        return _NOT_SHOWN, "ControlMode 2 offered, ControlMode 1 selected"
    return _NOT_SHOWN, "no dynamic parameter set was offered"


@_judge("1-13", "battery capacity in dynamic mode", "EV")
def _capacity(judge: ScaleJudge) -> _Outcome:
    """BatteryEnergyCapacity is given at least once in a dynamic session."""
    if not judge.seen.dynamic:
        return _NOT_SHOWN, "no dynamic charge loop"
    if judge.seen.capacity is None:
        return _FAIL, f"in none of {judge.seen.dynamic} dynamic requests"
    return _PASS, f"{judge.seen.capacity:g} Wh", judge.seen.capacity_frame


@_judge("1-14", "charges down to 6 A", "EV")
def _six_ampere(judge: ScaleJudge) -> _Outcome:
    """EVMinimumChargePower per phase is at most 6 A times the nominal voltage (AC)."""
    mode, limits = judge.context.mode, judge.seen.ev_discovery
    if mode is None or mode.family is not Family.AC or limits is None:
        return _NOT_SHOWN, "no AC parameters"
    phases = per_phase(limits, "ev_minimum_charge_power") or (0.0,)
    each = max(phases) / (mode.phases if len(phases) == 1 else 1)
    bound = 6.0 * mode.nominal_voltage
    return (
        (_PASS if each <= bound else _FAIL),
        f"{each:g} W per phase, 6 A are {bound:g} W",
        judge.seen.ev_frame,
    )


@_judge("1-15", "follows changes of the limit", "EV")
def _follows(judge: ScaleJudge) -> _Outcome:
    """The EV's power follows every change of the limit, and it resumes after every pause."""
    seen = judge.seen
    if not seen.changes and not seen.pauses:
        return _NOT_SHOWN, "the limit never changed and there was no pause"
    if seen.unfollowed is not None:
        frame, present, limit = seen.unfollowed
        return _FAIL, f"{present:.0f} W under a limit of {limit:.0f} W", frame
    if not seen.stopped:
        return _FAIL, "the session was broken off"
    if seen.resumed < seen.pauses:
        return _FAIL, f"{seen.pauses} pauses, {seen.resumed} times resumed"
    return (
        _PASS,
        f"{seen.changes} changes of the limit followed, {seen.resumed} of {seen.pauses} pauses resumed",
    )


@_judge("1-16", "never above the limit", "EV")
def _never_above(judge: ScaleJudge) -> _Outcome:
    """No power is above what the charge point allows, but for 5 %."""
    seen = judge.seen
    if seen.above is not None:
        frame, present, limit = seen.above
        return _FAIL, f"{present:.0f} W where {limit:.0f} W were allowed", frame
    if seen.undirected == seen.loops or not judge.had_limit:
        return _NOT_SHOWN, "no power with a limit beside it"
    return _PASS, f"{seen.loops - seen.undirected} values of power"


@_judge("2-10", "speaks ISO 15118-20", "charge point")
def _secc_speaks(judge: ScaleJudge) -> _Outcome:
    """The charge point selects ISO 15118-20 where it is offered."""
    offered = any(name in FAMILY_OF_NAMESPACE for name, _ in judge.seen.offers)
    if not offered:
        return _NOT_SHOWN, "ISO 15118-20 was not offered"
    return (
        _PASS if judge.seen.chosen in FAMILY_OF_NAMESPACE else _FAIL
    ), judge.seen.chosen or "nothing selected"


@_judge("2-10", "secure communication", "charge point")
def _secure(judge: ScaleJudge) -> _Outcome:
    """The session runs over TLS 1.3 with a cipher suite of ISO 15118-20."""
    link = judge.link
    if link.tls is False:
        return _FAIL, "plain TCP"
    if not link.version:
        return _NOT_SHOWN, "the handshake is not in the recording"
    good = link.version == "TLSv1.3" and (not link.suite or link.suite in SUITES)
    return (_PASS if good else _FAIL), f"{link.version} {link.suite}".strip()


@_judge("3B-3", "starts at once", "public charge point")
def _starts(judge: ScaleJudge) -> _Outcome:
    """Energy flows within 30 s of the first charge loop."""
    seen = judge.seen
    if seen.first_loop is None:
        return _NOT_SHOWN, "no charge loop with times"
    if seen.first_power is not None:
        took = seen.first_power[1] - seen.first_loop
        return (_PASS if took <= _START_WINDOW else _FAIL), f"power after {took:.1f} s", seen.first_power[0]
    if (seen.last_time or 0.0) - seen.first_loop > _START_WINDOW:
        return _FAIL, f"no power within {_START_WINDOW:g} s"
    return _NOT_SHOWN, "no power, but the loop was shorter than 30 s"


@_judge("3B-4", "adjustable within a minute", "public charge point")
def _adjustable(judge: ScaleJudge) -> _Outcome:
    """A new limit of the site reaches the EV within 60 s."""
    seen = judge.seen
    if seen.site_limit is None:
        return _NOT_SHOWN, "the recording has no limit of the site"
    limit, since = seen.site_limit
    if seen.site_missed:
        return _FAIL, f"limit of {limit:.0f} W not told within {_REACH_WINDOW:g} s"
    if seen.site_reached is None:
        return _NOT_SHOWN, "the loop ended before the limit could be told"
    return _PASS, f"limit of {limit:.0f} W told after {seen.site_reached - since:.1f} s"


@_judge("3B-5", "single phase at most 3.7 kW", "public charge point")
def _single_phase(judge: ScaleJudge) -> _Outcome:
    """On a single-phase connector EVSEMaximumChargePower is at most 3.7 kW."""
    mode, limits = judge.context.mode, judge.seen.evse_discovery
    if mode is None or mode.family is not Family.AC or mode.phases != 1 or limits is None:
        return _NOT_SHOWN, "no single-phase AC service"
    power = _watts(limits, "evse_maximum_charge_power") or 0.0
    return (_PASS if power <= _SINGLE_PHASE_MAX else _FAIL), f"{power:g} W", judge.seen.evse_frame


@_judge("3B-9", "driver sees energy and price", "public charge point")
def _insight(judge: ScaleJudge) -> _Outcome:
    """MeterInfo is given when asked for, and there is a price schedule or a receipt."""
    seen = judge.seen
    if not seen.loops:
        return _NOT_SHOWN, "no charge loop"
    evidence = f"MeterInfo in {seen.meters} responses, {seen.missing_meter} times missing when asked for; "
    evidence += f"{seen.prices} price schedules, {seen.receipts} receipts"
    if seen.missing_meter or not (seen.prices or seen.receipts):
        return _FAIL, evidence
    return (_PASS if seen.meters else _NOT_SHOWN), evidence


@_judge("4-4", "V2X by ISO 15118-20", "bidirectional EV")
def _v2x(judge: ScaleJudge) -> _Outcome:
    """A BPT service is selected where one is offered."""
    mode = judge.context.mode
    if mode is not None and mode.bidirectional:
        return _PASS, f"service {mode.service.value} {mode.service.name}"
    if mode is None or not judge.context.energy_services & {5, 6, 7, 9}:
        return _NOT_SHOWN, "no BPT service was offered"
    return _FAIL, f"service {mode.service.value} selected"


@_judge("4-5", "power of discharge", "bidirectional EV")
def _discharge(judge: ScaleJudge) -> _Outcome:
    """The EV's discharge power is 1.4 to 22 kW in AC (3.7 kW on a single phase), 5 to 20 kW in DC."""
    mode = judge.context.mode
    power = _watts(judge.seen.ev_discovery, "ev_maximum_discharge_power")
    if mode is None or power is None:
        return _NOT_SHOWN, "no discharge limits"
    if mode.family is Family.AC:
        low, high = 1400.0 * 0.98, _SINGLE_PHASE_MAX if mode.phases == 1 else 22_080.0
    else:
        low, high = 5000.0, 20_000.0
    good = low <= abs(power) <= high
    return (_PASS if good else _FAIL), f"{abs(power):g} W, bounds {low:g} to {high:g} W", judge.seen.ev_frame


@_judge("4-6", "discharges from 100 %", "bidirectional EV")
def _from_full(judge: ScaleJudge) -> _Outcome:
    """Asked to discharge at 100 % state of charge, the EV does."""
    seen = judge.seen
    if not seen.full_and_asked:
        return _NOT_SHOWN, "no negative target at 100 %"
    if not seen.full_and_discharged:
        return _FAIL, "no discharge followed", seen.full_and_asked
    return _PASS, "discharge followed", seen.full_and_discharged


@_judge("5-4", "offers BPT", "bidirectional charge point")
def _offers(judge: ScaleJudge) -> _Outcome:
    """The charge point offers services 5 (AC BPT) or 6 (DC BPT)."""
    offered = judge.context.energy_services
    if not offered:
        return _NOT_SHOWN, "no service discovery"
    listed = ", ".join(map(str, sorted(offered)))
    return (_PASS if offered & {5, 6} else _FAIL), f"energy services {listed}"


@_judge("5-8", "direction is visible", "bidirectional charge point")
def _direction(judge: ScaleJudge) -> _Outcome:
    """The direction of power can be told from every charge-loop exchange."""
    seen = judge.seen
    if not seen.loops:
        return _NOT_SHOWN, "no charge loop"
    return (_FAIL if seen.undirected else _PASS), f"told in {seen.loops - seen.undirected} of {seen.loops}"


@_judge("5-9", "both directions in one transaction", "bidirectional charge point")
def _both(judge: ScaleJudge) -> _Outcome:
    """Charging and discharging occur in one session."""
    seen = judge.seen
    if not judge.context.bidirectional:
        return _NOT_SHOWN, "no BPT session"
    if seen.charged_frame and seen.discharged_frame:
        return _PASS, f"charging in frame {seen.charged_frame}, discharging in frame {seen.discharged_frame}"
    return _NOT_SHOWN, "only one direction" if seen.charged_frame or seen.discharged_frame else "no power"


@_judge("5-10", "separate registers", "bidirectional charge point")
def _registers(judge: ScaleJudge) -> _Outcome:
    """MeterInfo has energy charged and discharged, neither ever falling, in a BPT session."""
    seen = judge.seen
    if not judge.context.bidirectional or not seen.meters:
        return _NOT_SHOWN, "no MeterInfo in a BPT session"
    if seen.no_discharge_register:
        return _FAIL, f"{seen.no_discharge_register} of {seen.meters} without BPT_DischargedEnergyReadingWh"
    if seen.falling_register:
        return _FAIL, f"a register fell {seen.falling_register} times"
    return _PASS, f"both in {seen.meters} readings"


@_judge("5-11", "disconnects on grid failure", "bidirectional charge point")
def _islanding(judge: ScaleJudge) -> _Outcome:
    """When the grid fails the contactor opens."""
    if judge.seen.grid_lost is None:
        return _NOT_SHOWN, "the recording has no failure of the grid"
    return (
        (_PASS, "the contactor opened")
        if judge.seen.contactor_opened
        else (_FAIL, "the contactor stayed closed")
    )
