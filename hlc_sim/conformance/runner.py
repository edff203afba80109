"""Runs conformance cases against one device."""

from __future__ import annotations

import fnmatch

import trio

from ..scenario.fit import OurSide
from ..scenario.model import Result as ScenarioResult
from ..scenario.model import Scenario
from ..scenario.no_target import Unreached
from ..scenario.runner import run
from ..scenario.targets import NoTarget
from .bench import Bench, MakeTarget, Shelf, messages
from .capabilities import Capabilities
from .making import fitted
from .model import Case, CaseResult, Failed, Inconclusive, Observation, Result
from .reference import references

_KNOWN = "known: "
_OF_SCENARIO = {
    ScenarioResult.PASS: Result.PASS,
    ScenarioResult.FAIL: Result.FAIL,
    ScenarioResult.INCONCLUSIVE: Result.INCONCLUSIVE,
}


async def run_case(
    case: Case,
    capabilities: Capabilities,
    make_target: MakeTarget,
    shelf: Shelf | None = None,
    ours: OurSide | None = None,
) -> CaseResult:
    """Play one case. `shelf` keeps the reference sessions of the device from one case to the next; `ours` is
    what our side is where a case says nothing.
    """
    started = trio.current_time()
    missing = capabilities.missing(case.needs)
    if missing:
        return CaseResult(case, Result.NOT_APPLICABLE, [f"the device does not state {', '.join(missing)}"])
    try:
        result = await _played(case, capabilities, make_target, shelf, ours or OurSide())
    except ExceptionGroup as group:
        crash: BaseException = group
        while isinstance(crash, BaseExceptionGroup):
            crash = crash.exceptions[0]
        told = f"{type(crash).__name__}: {crash}"
        if make_target(case.tests).name.startswith("simulated"):  # its tasks run among ours
            result = CaseResult(case, Result.FAIL, [f"it crashed: {told}"])
        else:
            result = CaseResult(case, Result.INCONCLUSIVE, [f"our side crashed: {told}"])
    judge_known(result, capabilities)
    result.seconds = trio.current_time() - started
    return result


def judge_known(result: CaseResult, capabilities: Capabilities) -> None:
    """Whether a failure is a known one, as the capability file says now."""
    why = _known(result.case.id, capabilities)
    if result.result is Result.KNOWN:
        result.result = Result.FAIL
        result.reasons = [reason for reason in result.reasons if not reason.startswith(_KNOWN)]
    if result.result is Result.FAIL and why:
        result.result = Result.KNOWN
        result.reasons.append(f"{_KNOWN}{why}")


async def _played(
    case: Case, capabilities: Capabilities, make_target: MakeTarget, shelf: Shelf | None, ours: OurSide
) -> CaseResult:
    if isinstance(case.play, Scenario):
        return await _scenario(case, case.play, capabilities, make_target, ours)
    bench = Bench(case.tests, capabilities, make_target, shelf, ours)
    try:
        if isinstance(case.play, Observation):
            await _observe(case.play, bench)
        else:
            await case.play(bench)
    except Failed as failure:
        return CaseResult(case, Result.FAIL, list(failure.args), bench.log)
    except Inconclusive as reason:
        return CaseResult(case, Result.INCONCLUSIVE, list(reason.args), bench.log)
    except NoTarget as reason:
        gone = isinstance(reason, Unreached) and not bench.log  # else it was there at first
        return CaseResult(case, Result.INCONCLUSIVE, [str(reason)], bench.log, unreached=gone)
    return CaseResult(case, Result.PASS, log=bench.log)


def _known(case_id: str, capabilities: Capabilities) -> str:
    return next(
        (why for pattern, why in capabilities.known.items() if fnmatch.fnmatchcase(case_id, pattern)), ""
    )


async def _scenario(
    case: Case, scenario: Scenario, capabilities: Capabilities, make_target: MakeTarget, ours: OurSide
) -> CaseResult:
    if case.any_service:
        scenario = fitted(scenario, capabilities)
    verdict = await run(ours.fit(scenario), make_target(case.tests))
    return CaseResult(
        case, _OF_SCENARIO[verdict.result], verdict.reasons, verdict.log, unreached=verdict.unreached
    )


async def _observe(observation: Observation, bench: Bench) -> None:
    supported = [
        reference
        for reference in map(references().__getitem__, observation.sessions)
        if not bench.capabilities.missing(reference.needs)
    ]
    if not supported:
        raise Inconclusive("the device supports none of the sessions that are looked at")
    complaints: list[str] = []
    occurred = False
    for reference in supported:
        made = await bench.reference(reference)
        if not observation.rules and not made.ok:
            raise Failed(f"{reference.name}: {made.ended}")
        occurred = occurred or (bool(messages(made, observation.message)) if observation.message else made.ok)
        complaints += [
            f"{reference.name}: {finding.text}; expected {finding.expected}"
            for finding in made.record.findings
            if finding.rule.id in observation.rules
            and finding.offender in (bench.tests, None)
            and observation.message in ("", finding.message)
        ]
    if complaints:
        raise Failed(*dict.fromkeys(complaints))
    if not occurred:
        raise Inconclusive(f"{observation.message or 'the proper end of a session'} did not occur")
