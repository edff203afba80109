"""Scenarios in the matching: as EV against a station, as station against an EV.

Judged by whether a match comes about that must not (or must), and by whether the next, undisturbed matching
succeeds.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from iso15118.session.events import Role

from .model import Outcome, Result, Scenario, Verdict
from .runner import fail
from .targets import NoTarget, Target

if TYPE_CHECKING:
    from .matching import Bench

_MATCHING = 60.0
"""s for an undisturbed matching: three attempts, and a modem that is deaf meanwhile."""


async def play(scenario: Scenario, target: Target, verdict: Verdict) -> None:
    """Play and judge a scenario of layer SLAC."""
    settings = scenario.slac
    assert settings is not None
    if find_spec("scapy") is None:
        raise NoTarget("the powerline needs scapy: pip install 'hlc-sim[hpgp]'")
    async with target.bench(scenario) as bench:
        if not target.name.startswith("simulated") and not target.well:
            before = await bench.match(None, _MATCHING)
            if before.match is None:
                raise NoTarget(f"an undisturbed matching does not succeed: {before.ended}")
        target.well = False
        if settings.attack:
            await _attack(scenario, bench, verdict)
        else:
            await _matching(scenario, bench, verdict)
        after = await bench.match(None, _MATCHING)
        target.well = after.match is not None
        if after.match is None:
            fail(verdict, f"the next, undisturbed matching did not succeed: {after.ended}")


async def _matching(scenario: Scenario, bench: Bench, verdict: Verdict) -> None:
    expect = scenario.expect
    outcome = await bench.match(scenario.slac, expect.within)
    verdict.log += [*outcome.done, f"ended: {outcome.ended}", *outcome.deviations]
    if outcome.missed:
        verdict.result = Result.INCONCLUSIVE
        verdict.reasons += [f"the matching never came to {s.at}: {outcome.ended}" for s in outcome.missed]
        return
    if expect.outcome is Outcome.CONTINUES and outcome.match is None:
        fail(verdict, f"no match: {outcome.ended}")
    if expect.outcome is Outcome.IGNORES and outcome.match is not None:
        fail(verdict, "it matched all the same")


async def _attack(scenario: Scenario, bench: Bench, verdict: Verdict) -> None:
    from ..powerline import attacks, attacks_matched

    assert scenario.slac is not None
    recipe = {**attacks.ATTACKS, **attacks_matched.ATTACKS}.get(scenario.slac.attack)
    if recipe is None:
        raise ValueError(f"{scenario.name}: no recipe is called {scenario.slac.attack!r} (hlc attack --list)")
    if recipe.against != ("EVSE" if scenario.tests is Role.SECC else "EV"):
        raise ValueError(f"{scenario.name}: the recipe {recipe.name!r} is against an {recipe.against}")
    async with bench.attack() as attacker:
        finding = await recipe.run(attacker)
    verdict.log.append(finding.observed)
    if scenario.expect.outcome is Outcome.SURVIVES:
        verdict.findings.append(f"note: {finding.observed}")
    elif finding.good is None:
        verdict.result = Result.INCONCLUSIVE
        verdict.reasons.append(finding.observed)
    elif not finding.good:
        fail(verdict, finding.observed)


__all__ = ["play"]
