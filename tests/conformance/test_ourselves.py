"""Every conformance case against our own SECC and EVCC, in virtual time."""

from __future__ import annotations

from dataclasses import fields

import pytest
import trio
from trio.testing import MockClock

from hlc_sim.conformance import (
    Capabilities,
    CaseResult,
    Group,
    Result,
    Shelf,
    adopted,
    of_simulator,
    run_case,
    suite,
)
from hlc_sim.scenario import SimulatedEVCC, SimulatedSECC, Target
from iso15118.session.events import Role

ADOPTED = {case.id for case in adopted.cases()}
"""Scenarios of the library: tests/scenario plays them all."""
PLAIN = [case_id for case_id, case in suite().items() if not case.thorough and case_id not in ADOPTED]
SHELVES = {role: Shelf() for role in Role}
THOROUGH = [case_id for case_id, case in suite().items() if case.thorough]


def device(role: Role) -> Target:
    return SimulatedSECC() if role is Role.SECC else SimulatedEVCC()


def play(case_id: str) -> CaseResult:
    case = suite()[case_id]
    return trio.run(
        run_case,
        case,
        of_simulator(),
        device,
        SHELVES[case.tests],
        clock=MockClock(autojump_threshold=0),
    )


@pytest.mark.parametrize("case_id", [*PLAIN, *sorted(ADOPTED)[::10]])
def test_our_own_devices_conform(case_id: str) -> None:
    result = play(case_id)
    assert result.result is Result.PASS, "\n".join([*result.reasons, *result.log])


@pytest.mark.slow
@pytest.mark.parametrize("case_id", THOROUGH)
def test_our_own_devices_conform_in_all_that_repeats_a_class(case_id: str) -> None:
    result = play(case_id)
    assert result.result is Result.PASS, "\n".join([*result.reasons, *result.log])


@pytest.mark.parametrize("case_id", THOROUGH[::25])
def test_our_own_devices_conform_in_a_sample_of_those(case_id: str) -> None:
    assert play(case_id).result is Result.PASS


def test_the_suite_is_large_enough_and_says_what_it_judges() -> None:
    cases = suite().values()
    for role in Role:
        assert sum(case.tests is role and not case.thorough for case in cases) >= 400
    assert all(case.title and case.sound for case in cases)
    cited = {requirement for case in cases for requirement in case.requirements}
    assert len(cited) > 100
    for group in (Group.SEQUENCE, Group.SESSION_ID, Group.SILENCE):
        own = [case for case in cases if case.tests is Role.SECC and case.group is group]
        assert sum(bool(case.requirements) for case in own) > 0.75 * len(own)


def test_each_capability_decides_whether_some_case_applies() -> None:
    needed = {need.removeprefix("no:").partition(":")[0] for case in suite().values() for need in case.needs}
    stated = {item.name for item in fields(Capabilities)} - {"device", "services", "known", "configurable"}
    assert needed == {"service", *stated}
