"""Every scenario of the library against our own SECC and EVCC, in virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from hlc_sim.scenario import Result, Scenario, SimulatedEVCC, SimulatedSECC, Verdict, library, run
from iso15118.session.events import Role


def play(scenario: Scenario, target: SimulatedSECC | SimulatedEVCC | None = None) -> Verdict:
    if target is None:
        target = SimulatedSECC() if scenario.tests is Role.SECC else SimulatedEVCC()
    return trio.run(run, scenario, target, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("name", library())
def test_our_own_devices_are_sound(name: str) -> None:
    verdict = play(library()[name])
    assert verdict.result is Result.PASS, "\n".join([*verdict.reasons, *verdict.log])


def test_the_library_is_large_enough_and_says_what_a_sound_device_does() -> None:
    scenarios = library().values()
    assert len(scenarios) >= 80
    assert all(len(item.sound) > 5 and item.title for item in scenarios)
    assert {item.tests for item in scenarios} == set(Role)
