"""The SCALE requirements on smart and bidirectional charging (deliverable D1.5, chapter 6) that a session
can show.

Ids are those of the deliverable, which numbers some twice: id and title together name a requirement. A
verdict is PASS or FAIL with its evidence, or NOT_SHOWN where the session gave no occasion.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from ..services import FAMILY_OF_NAMESPACE, Family
from ..values import per_phase
from .rules_setup import SUITES
from .scale_evidence import REACH_WINDOW, Evidence, watts

_SINGLE_PHASE_MAX = 3700.0
"""W."""
_START_WINDOW = 30.0
"""s."""


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


class ScaleJudge(Evidence):
    """Judges one session: show it each frame (and sample), then ask for `verdicts`."""

    def verdicts(self) -> list[ScaleVerdict]:
        """One verdict for each requirement, in their order."""
        return [ScaleVerdict(requirement, *judge(self)) for requirement, judge in _JUDGES]


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
    if not seen.site_changed:
        return _NOT_SHOWN, "the limit of the site never changed"
    limit, since = seen.site_limit
    if seen.site_missed:
        return _FAIL, f"limit of {limit:.0f} W not told within {REACH_WINDOW:g} s"
    if seen.site_reached is None:
        return _NOT_SHOWN, "the loop ended before the limit could be told"
    return _PASS, f"limit of {limit:.0f} W told after {seen.site_reached - since:.1f} s"


@_judge("3B-5", "single phase at most 3.7 kW", "public charge point")
def _single_phase(judge: ScaleJudge) -> _Outcome:
    """On a single-phase connector EVSEMaximumChargePower is at most 3.7 kW."""
    mode, limits = judge.context.mode, judge.seen.evse_discovery
    if mode is None or mode.family is not Family.AC or mode.phases != 1 or limits is None:
        return _NOT_SHOWN, "no single-phase AC service"
    power = watts(limits, "evse_maximum_charge_power") or 0.0
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
    power = watts(judge.seen.ev_discovery, "ev_maximum_discharge_power")
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
