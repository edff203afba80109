"""Runs a scenario against a device and computes the verdict."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio

from iso15118.session.evcc_steps import PausedSession, SessionResult
from iso15118.session.events import Role
from iso15118.session.secc_config import SessionStore

from ..clock import unix_offset
from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from ..evcc import charge
from ..groups import sole
from ..secc import ConnectionReport, Station
from ..transport.link import Intervention, Link
from .edit import NotInThisSession
from .model import Do, Expect, Outcome, Result, Scenario, Verdict
from .no_target import Crashed, Unreached
from .physics import charger_kind, vehicle_kind
from .script import Script
from .settings import Layer
from .targets import NoTarget, Target
from .watch import Record, Watched

LONGEST = 600.0
"""s after which a session that does not end is given up."""
MARGIN = 1.0
"""s given to a device beyond the time a scenario states."""
NEXT_SESSION = 1.0
"""s between a disturbed session and the one that must succeed."""
_ENOUGH_IDS, _CONSTANT_BITS = 8, 6
"""SessionIDs from which on their bits are looked at, and bits that may be the same in all."""
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
    hung: bool = False
    """A simulated device had not come to rest long after."""
    session: SessionResult | None = None
    """What came of it for our EVCC."""
    said: list[str] = field(default_factory=list)
    """What the device's own program wrote, if we run it."""


async def run(scenario: Scenario, target: Target) -> Verdict:
    """Play `scenario` against `target`. FieldError: a step gives what a field cannot hold, or EXI cannot
    express. What the messages of this session did not have is inconclusive.
    """
    if target.role is not scenario.tests:
        raise ValueError(
            f"{scenario.name} tests an {scenario.tests.value}, the target is an {target.role.value}"
        )
    started = trio.current_time()
    verdict = Verdict(scenario.name, Result.PASS)
    try:
        with _quiet():
            await _player(scenario.layer)(scenario, target, verdict)
        if (
            verdict.result is Result.FAIL
            and scenario.given
            and not verdict.findings
            and not _simulated(target)
        ):
            verdict.result = Result.INCONCLUSIVE
            verdict.reasons.append(f"this counts only where {scenario.given}")
    except* NoTarget as group:  # out of the nursery of a session
        verdict.result = Result.INCONCLUSIVE
        verdict.reasons += [str(error) for error in _leaves(group)]
        verdict.unreached = any(isinstance(error, Unreached) for error in _leaves(group))
        verdict.log += _said(target)
    except* NotInThisSession as group:
        verdict.result = Result.INCONCLUSIVE
        verdict.reasons += [str(error) for error in _leaves(group)]
        verdict.log += _said(target)
    except* Crashed as group:
        for error in _leaves(group):
            fail(verdict, str(error))
    verdict.seconds = trio.current_time() - started
    return verdict


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


Player = Callable[[Scenario, Target, Verdict], Awaitable[None]]
"""Plays a scenario of its layer and puts what it finds into the verdict. NoTarget: there is no device."""


def _player(layer: Layer) -> Player:
    match layer:
        case Layer.TLS:
            from . import layer_tls

            return layer_tls.play
        case Layer.SDP:
            from . import layer_sdp

            return layer_sdp.play
        case Layer.SLAC:
            from . import layer_slac

            return layer_slac.play
        case Layer.V2G:
            return _play


async def _play(scenario: Scenario, target: Target, verdict: Verdict) -> None:
    attempts: list[Attempt] = []
    for _ in range(scenario.sessions):
        if attempts:
            await trio.sleep(NEXT_SESSION)
        attempts.append(await attempt(scenario, target))
    usual: set[tuple[str, str]] = set()
    if scenario.tests is Role.SECC and scenario.expect.health:
        await trio.sleep(NEXT_SESSION)
        usual = await _health(scenario, target, verdict)
    elif scenario.tests is Role.EVCC and not _simulated(target) and any(map(_blamed(scenario), attempts)):
        await trio.sleep(NEXT_SESSION)
        usual = await _usual(scenario, target)
    for made in attempts:
        judge(scenario, made, usual, verdict)
    if scenario.tests is Role.SECC and len(attempts) > 1:
        _session_ids(attempts, verdict)


async def attempt(
    scenario: Scenario,
    target: Target,
    *,
    disturbed: bool = True,
    resume: PausedSession | None = None,
    store: SessionStore | None = None,
) -> Attempt:
    """One session of `scenario` with the device. Our EVCC takes up the paused one `resume`, our SECC those in
    `store`. NoTarget: there was none.
    """
    expect = scenario.expect
    holds = expect.outcome in (Outcome.REFUSES, Outcome.ENDS)
    steps = scenario.steps if disturbed else ()
    script = Script(steps, hold=expect.within + MARGIN if holds and steps else None)
    with out_of_nurseries(), _quiet():
        made = await _session(scenario, target, script, resume, store)
    made.said = _said(target)
    if script.error is not None:
        raise script.error
    return made


@contextmanager
def out_of_nurseries() -> Iterator[None]:
    """A NoTarget inside comes out as such, not in the groups of the nurseries around it."""
    try:
        yield
    except BaseExceptionGroup as group:
        cause = sole(group)
        if isinstance(cause, NoTarget):
            raise cause from None
        raise


@contextmanager
def _quiet() -> Iterator[None]:
    """The disturbance is meant: what our own devices log of it would hide the verdict."""
    loggers = [logging.getLogger(f"hlc_sim.{name}") for name in ("secc", "transport.sdp", "trust")]
    before = [log.disabled for log in loggers]
    for log in loggers:
        log.disabled = True
    try:
        yield
    finally:
        for log, disabled in zip(loggers, before, strict=True):
            log.disabled = disabled


async def _session(
    scenario: Scenario,
    target: Target,
    script: Script,
    resume: PausedSession | None,
    store: SessionStore | None,
) -> Attempt:
    async with trio.open_nursery() as nursery:
        stream = await target.connect(nursery, vehicle_of(scenario.vehicle), scenario.station)
        watched = Watched(stream, scenario.plays, lab=target.plain)
        made = Attempt(watched.record, script)
        script.frames = lambda: len(watched.record.seen)
        with trio.move_on_after(LONGEST) as limit:
            if scenario.plays is Role.EVCC:
                await _be_evcc(scenario, watched, script, made, resume)
            else:
                await _be_secc(scenario, watched, script, made, store)
        made.timed_out = limit.cancelled_caught
        await watched.aclose()
        if _simulated(target):
            nursery.cancel_scope.deadline = trio.current_time() + LONGEST
        else:
            nursery.cancel_scope.cancel()
    made.hung = _simulated(target) and nursery.cancel_scope.cancelled_caught
    return made


def _simulated(target: Target) -> bool:
    return target.name.startswith("simulated")


def _said(target: Target) -> list[str]:
    return [f"trigger: {line}" for line in getattr(target, "said", ())]


def vehicle_of(config: VehicleConfig) -> VehicleConfig:
    return dataclasses.replace(config, evcc={"charge_loops": _LOOPS, **config.evcc})


async def _be_evcc(
    scenario: Scenario,
    stream: Watched,
    script: Intervention,
    made: Attempt,
    resume: PausedSession | None,
) -> None:
    settings = vehicle_of(scenario.vehicle)
    report = await charge(
        Link(stream, Role.EVCC, intervention=script),
        settings.session(),
        settings.vehicle(vehicle_kind(scenario.physics)),
        resume=resume,
    )
    made.session = report.session
    made.ok, made.ended = report.session.ok, report.session.reason or report.session.outcome.value


async def _be_secc(
    scenario: Scenario, stream: Watched, script: Intervention, made: Attempt, store: SessionStore | None
) -> None:
    reports: list[ConnectionReport] = []
    config = scenario.station
    station = Station(
        config.session(),
        lambda: config.charger(unix_offset(), charger_kind(scenario.physics)),
        store if store is not None else SessionStore(),
        intervention=lambda: script,
        finished=reports.append,
    )
    await station.handle(stream)
    made.ok, made.ended = reports[0].clean, reports[0].ended


async def _health(scenario: Scenario, target: Target, verdict: Verdict) -> set[tuple[str, str]]:
    """An undisturbed session must succeed. What the device breaks in it (rule, message) it breaks in every
    session, which is for `hlc check` to say, not for the verdict on a disturbance.
    """
    plain = dataclasses.replace(scenario, steps=(), vehicle=_undisturbed(scenario), physics=None)
    try:
        next_one = await attempt(plain, target, disturbed=False)
    except NoTarget as error:  # it was there before the disturbance
        fail(verdict, f"there was no next session: {error}")
        return set()
    if not next_one.ok:
        fail(verdict, f"the next session did not succeed: {next_one.ended}")
    return {(finding.rule.id, finding.message) for finding in next_one.record.errors_of(scenario.tests)}


def _blamed(scenario: Scenario) -> Callable[[Attempt], bool]:
    def blamed(made: Attempt) -> bool:
        found = made.record.errors_of(scenario.tests)
        return any(finding.rule.id not in scenario.expect.allow for finding in found)

    return blamed


async def _usual(scenario: Scenario, target: Target) -> set[tuple[str, str]]:
    """What an EVCC breaks (rule, message) in an undisturbed session, and so in every one."""
    ordinary = StationConfig()
    station = dataclasses.replace(scenario.station, outlet=ordinary.outlet, site=ordinary.site)
    plain = dataclasses.replace(scenario, steps=(), station=station)
    try:
        made = await attempt(plain, target, disturbed=False)
    except NoTarget:
        return set()
    return {(finding.rule.id, finding.message) for finding in made.record.errors_of(Role.EVCC)}


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


def judge(scenario: Scenario, attempt: Attempt, usual: set[tuple[str, str]], verdict: Verdict) -> None:
    record, expect = attempt.record, scenario.expect
    device = scenario.tests
    verdict.log += [frame.line(record.opened) for frame in record.seen]
    verdict.log.append(
        f"closed by {record.closed_by.value if record.closed_by else 'nobody'}: {attempt.ended}"
    )
    verdict.log += attempt.said
    if attempt.script.missed:
        verdict.result = Result.INCONCLUSIVE
        ended = attempt.ended
        if attempt.timed_out:
            ended = f"it went on for {LONGEST:g} s"
            if device is Role.EVCC:
                ended += "; a car under test should end its charging after some loops"
        for step in attempt.script.missed:
            verdict.reasons.append(f"the session never came to {step.at}: {ended}")
        return
    for finding in record.errors_of(device):
        if finding.rule.id in expect.allow or (finding.rule.id, finding.message) in usual:
            continue
        if finding.rule.id == "sequence.response" and record.unreadable(finding.frame):
            continue  # it read what the judge could not; whether it may is for `expect` to say
        verdict.findings.append(str(finding))
        fail(verdict, f"{device.value}: {finding.text} [{finding.requirement or finding.rule.id}]")
    if record.broken:
        fail(verdict, f"{device.value} sent what is no V2GTP: {record.broken}")
    if attempt.timed_out:
        fail(verdict, f"the session did not end in {LONGEST:g} s")
        return
    if attempt.hung:
        fail(verdict, f"the device had not come to rest {LONGEST:g} s after the session")
    done = attempt.script.done
    since, frames = (done[0].time, done[0].frames) if done else (record.opened, 0)
    for frame in record.after(frames, device):
        if frame.name in expect.never:
            fail(verdict, f"it sent {frame.name}, which it must not after that")
    match expect.outcome:
        case Outcome.CONTINUES:
            if not attempt.ok:
                fail(verdict, f"the session did not come to its proper end: {attempt.ended}")
            codes = {frame.code for frame in record.after(0, Role.SECC)}
            if expect.warns and not codes & set(expect.warns):
                fail(verdict, f"no response said {' or '.join(expect.warns)}")
        case Outcome.REFUSES:
            _refused(record, frames, expect, verdict)
            _ended(record, since, expect, device, verdict)
        case Outcome.ANSWERS:
            first = next(iter(record.after(frames, Role.SECC)), None)
            if first is None:
                fail(verdict, f"no answer; expected {' or '.join(expect.codes) or 'one'}")
            elif expect.codes and first.code not in expect.codes:
                fail(verdict, f"answered {first.name} {first.code}; expected {' or '.join(expect.codes)}")
        case Outcome.ENDS:
            went_on = [f for f in record.after(frames, device) if _goes_on(f.name, f.code)]
            if any(step.occurrence == 0 for step in scenario.steps):
                went_on = []  # it goes on as long as it bears that
            allowed = sum(step.do in (Do.DELAY, Do.HALF_OPEN, Do.DRIP) for step in scenario.steps)
            if device is Role.SECC and len(went_on) > allowed:
                fail(verdict, f"it went on with {went_on[0].name} {went_on[0].code}")
            if device is Role.EVCC and went_on:
                fail(verdict, f"it went on with {went_on[0].name}")
            _ended(record, since, expect, device, verdict)
        case Outcome.GIVES_UP:
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
        fail(verdict, f"no answer; expected {' or '.join(expect.codes)}")
        return
    codes = [frame.code for frame in answers]
    first = next((c for c in codes if c.lower().startswith("failed")), None)
    if first is None:
        last = answers[-1]
        fail(verdict, f"answered {last.name} {last.code}; expected {' or '.join(expect.codes)}")
        return
    if first not in expect.codes:
        name = answers[codes.index(first)].name
        fail(verdict, f"answered {name} {first}; expected {' or '.join(expect.codes)}")
    later = codes[codes.index(first) + 1 :]
    if any(not code.lower().startswith("failed") for code in later):
        fail(verdict, f"answered after its refusal: {', '.join(later)}")


def _session_ids(attempts: list[Attempt], verdict: Verdict) -> None:
    """Each session has an id of its own, with all its bits in use [V2G20-2621]."""
    seen = [
        frame.message.header.session_id  # type: ignore[union-attr]
        for made in attempts
        for frame in made.record.seen
        if frame.name == "SessionSetupRes"
    ]
    verdict.log += [f"SessionID {value.hex()}" for value in seen]
    if len(set(seen)) < len(seen):
        fail(verdict, "the same SessionID in two sessions [V2G20-2621]")
    constant = [bit for bit in range(64) if len({int.from_bytes(value) >> bit & 1 for value in seen}) == 1]
    # Of eight random ids, a bit is the same in all with probability 1/128: more than six are no chance.
    if len(seen) >= _ENOUGH_IDS and len(constant) > _CONSTANT_BITS:
        fail(verdict, f"{64 - len(constant)} bits of the SessionID change at all; 58 at least [V2G20-2621]")


def _ended(record: Record, since: float, expect: Expect, device: Role, verdict: Verdict) -> None:
    if record.closed_by is not device or record.closed is None:
        fail(verdict, f"the connection was still open {expect.within:g} s later")
        return
    took = record.closed - since
    if took < expect.after - 0.02:
        fail(verdict, f"closed after {took:.2f} s; it must wait {expect.after:g} s")
    if took > expect.within + MARGIN / 2:
        fail(verdict, f"closed only after {took:.2f} s; expected within {expect.within:g} s")


def fail(verdict: Verdict, reason: str) -> None:
    verdict.result = Result.FAIL
    if reason not in verdict.reasons:
        verdict.reasons.append(reason)
