"""Runs a scenario against a device and computes the verdict."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass, field

import trio

from iso15118.session.events import Role

from ..clock import unix_offset
from ..config.vehicle import VehicleConfig
from ..evcc import charge
from ..secc import ConnectionReport, Station
from ..transport.link import Intervention, Link
from .model import Do, Expect, Outcome, Result, Scenario, Verdict
from .script import Script
from .targets import NoTarget, Target
from .watch import Record, Watched

_LONGEST = 600.0
"""s after which a session that does not end is given up."""
_MARGIN = 1.0
"""s given to a device beyond the time a scenario states."""
_NEXT_SESSION = 1.0
"""s between a disturbed session and the one that must succeed."""
_LOOPS = 3
"""Charge loops of a session, unless the scenario says otherwise."""


@dataclass
class Attempt:
    """One session with the device, disturbed or not."""

    record: Record
    script: Script
    ok: bool = False
    """It came to its proper end as our side saw it."""
    ended: str = ""
    timed_out: bool = False
    said: list[str] = field(default_factory=list)
    """What the device's own program wrote, if we run it."""


async def run(scenario: Scenario, target: Target) -> Verdict:
    """Play `scenario` against `target`. FieldError: a step names what the message did not
    have, or EXI cannot express.
    """
    if target.role is not scenario.tests:
        raise ValueError(
            f"{scenario.name} tests an {scenario.tests.value}, the target is an {target.role.value}"
        )
    started = trio.current_time()
    verdict = Verdict(scenario.name, Result.PASS)
    quiet = logging.getLogger("hlc_sim.secc")
    level, quiet.disabled = quiet.disabled, True  # the disturbance is meant; its log would hide the verdict
    try:
        attempts: list[Attempt] = []
        for _ in range(scenario.sessions):
            if attempts:
                await trio.sleep(_NEXT_SESSION)
            attempts.append(await _attempt(scenario, target))
        usual: set[tuple[str, str]] = set()
        if scenario.tests is Role.SECC and scenario.expect.health:
            await trio.sleep(_NEXT_SESSION)
            usual = await _health(scenario, target, verdict)
        for attempt in attempts:
            _judge(scenario, attempt, usual, verdict)
    except* NoTarget as group:
        verdict.result = Result.INCONCLUSIVE
        verdict.reasons += [str(error) for error in _leaves(group)]
        verdict.log += _said(target)
    finally:
        quiet.disabled = level
    verdict.seconds = trio.current_time() - started
    return verdict


async def _attempt(scenario: Scenario, target: Target, *, disturbed: bool = True) -> Attempt:
    expect = scenario.expect
    holds = expect.outcome in (Outcome.REFUSES, Outcome.ENDS)
    steps = scenario.steps if disturbed else ()
    script = Script(steps, hold=expect.within + _MARGIN if holds and steps else None)
    async with trio.open_nursery() as nursery:
        stream = await target.connect(nursery, _vehicle(scenario.vehicle), scenario.station)
        watched = Watched(stream, scenario.plays, lab=target.plain)
        attempt = Attempt(watched.record, script)
        script.frames = lambda: len(watched.record.seen)
        with trio.move_on_after(_LONGEST) as limit:
            if scenario.plays is Role.EVCC:
                await _be_evcc(scenario, watched, script, attempt)
            else:
                await _be_secc(scenario, watched, script, attempt)
        attempt.timed_out = limit.cancelled_caught
        await watched.aclose()
        if target.name.startswith("simulated"):
            nursery.cancel_scope.deadline = trio.current_time() + _LONGEST
        else:
            nursery.cancel_scope.cancel()
    attempt.said = _said(target)
    if script.error is not None:
        raise script.error
    return attempt


def _said(target: Target) -> list[str]:
    return [f"trigger: {line}" for line in getattr(target, "said", ())]


def _leaves(group: BaseExceptionGroup[NoTarget]) -> list[NoTarget]:
    found: list[NoTarget] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _vehicle(config: VehicleConfig) -> VehicleConfig:
    return dataclasses.replace(config, evcc={"charge_loops": _LOOPS, **config.evcc})


async def _be_evcc(scenario: Scenario, stream: Watched, script: Intervention, attempt: Attempt) -> None:
    settings = _vehicle(scenario.vehicle)
    report = await charge(
        Link(stream, Role.EVCC, intervention=script), settings.session(), settings.vehicle()
    )
    attempt.ok, attempt.ended = report.session.ok, report.session.reason or report.session.outcome.value


async def _be_secc(scenario: Scenario, stream: Watched, script: Intervention, attempt: Attempt) -> None:
    reports: list[ConnectionReport] = []
    config = scenario.station
    station = Station(
        config.session(),
        lambda: config.charger(unix_offset()),
        intervention=lambda: script,
        finished=reports.append,
    )
    await station.handle(stream)
    attempt.ok, attempt.ended = reports[0].clean, reports[0].ended


async def _health(scenario: Scenario, target: Target, verdict: Verdict) -> set[tuple[str, str]]:
    """An undisturbed session must succeed. What the device breaks in it (rule, message) it breaks in every
    session, which is for `hlc check` to say, not for the verdict on a disturbance.
    """
    plain = dataclasses.replace(scenario, steps=(), vehicle=_undisturbed(scenario), plays=Role.EVCC)
    attempt = await _attempt(plain, target, disturbed=False)
    if not attempt.ok:
        _fail(verdict, f"the next session did not succeed: {attempt.ended}")
    return {(finding.rule.id, finding.message) for finding in attempt.record.errors_of(Role.SECC)}


def _undisturbed(scenario: Scenario) -> VehicleConfig:
    """The vehicle of the session after: the same services, nothing peculiar."""
    vehicle = scenario.vehicle
    return VehicleConfig(
        mode=vehicle.mode,
        control=vehicle.control,
        timers=vehicle.timers,
        speed=vehicle.speed,
        evcc=scenario.usual,
    )


# -- verdict -------------------------------------------------------------------------------------------------


def _judge(scenario: Scenario, attempt: Attempt, usual: set[tuple[str, str]], verdict: Verdict) -> None:
    record, expect = attempt.record, scenario.expect
    device = scenario.tests
    verdict.log += [frame.line(record.opened) for frame in record.seen]
    verdict.log.append(
        f"closed by {record.closed_by.value if record.closed_by else 'nobody'}: {attempt.ended}"
    )
    verdict.log += attempt.said
    if attempt.script.missed:
        verdict.result = Result.INCONCLUSIVE
        for step in attempt.script.missed:
            verdict.reasons.append(f"the session never came to {step.at}: {attempt.ended}")
        return
    for finding in record.errors_of(device):
        if finding.rule.id in expect.allow or (finding.rule.id, finding.message) in usual:
            continue
        verdict.findings.append(str(finding))
        _fail(verdict, f"{device.value}: {finding.text} [{finding.requirement or finding.rule.id}]")
    if record.broken:
        _fail(verdict, f"{device.value} sent what is no V2GTP: {record.broken}")
    if attempt.timed_out:
        _fail(verdict, f"the session did not end in {_LONGEST:g} s")
        return
    done = attempt.script.done
    since, frames = (done[0].time, done[0].frames) if done else (record.opened, 0)
    match expect.outcome:
        case Outcome.CONTINUES:
            if not attempt.ok:
                _fail(verdict, f"the session did not come to its proper end: {attempt.ended}")
            codes = {frame.code for frame in record.after(0, Role.SECC)}
            if expect.warns and not codes & set(expect.warns):
                _fail(verdict, f"no response said {' or '.join(expect.warns)}")
        case Outcome.REFUSES:
            _refused(record, frames, expect, verdict)
            _ended(record, since, expect, device, verdict)
        case Outcome.ENDS:
            went_on = [f for f in record.after(frames, device) if _goes_on(f.name, f.code)]
            allowed = sum(step.do in (Do.DELAY, Do.HALF_OPEN, Do.DRIP) for step in scenario.steps)
            if device is Role.SECC and len(went_on) > allowed:
                _fail(verdict, f"it went on with {went_on[0].name} {went_on[0].code}")
            if device is Role.EVCC and went_on:
                _fail(verdict, f"it went on with {went_on[0].name}")
            _ended(record, since, expect, device, verdict)
        case Outcome.SURVIVES:
            pass


def _goes_on(name: str, code: str) -> bool:
    """Whether a message carries a session on, rather than ending it."""
    if code:
        return not code.lower().startswith("failed") and not name.startswith("SessionStop")
    ending = ("SessionStopReq", "PowerDeliveryReq(Stop)", "DC_WeldingDetectionReq", "(no message)")
    return name not in ending


def _refused(record: Record, frames: int, expect: Expect, verdict: Verdict) -> None:
    answers = record.after(frames, Role.SECC)
    if not answers:
        _fail(verdict, f"no answer; expected {' or '.join(expect.codes)}")
        return
    codes = [frame.code for frame in answers]
    first = next((c for c in codes if c.lower().startswith("failed")), codes[0])
    if first not in expect.codes:
        _fail(verdict, f"answered {answers[0].name} {first}; expected {' or '.join(expect.codes)}")
    later = codes[codes.index(first) + 1 :]
    if any(not code.lower().startswith("failed") for code in later):
        _fail(verdict, f"answered after its refusal: {', '.join(later)}")


def _ended(record: Record, since: float, expect: Expect, device: Role, verdict: Verdict) -> None:
    if record.closed_by is not device or record.closed is None:
        _fail(verdict, f"the connection was still open {expect.within:g} s later")
        return
    took = record.closed - since
    if took < expect.after - 0.02:
        _fail(verdict, f"closed after {took:.2f} s; it must wait {expect.after:g} s")
    if took > expect.within + _MARGIN / 2:
        _fail(verdict, f"closed only after {took:.2f} s; expected within {expect.within:g} s")


def _fail(verdict: Verdict, reason: str) -> None:
    verdict.result = Result.FAIL
    if reason not in verdict.reasons:
        verdict.reasons.append(reason)
