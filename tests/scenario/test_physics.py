"""Scenarios with wrong hardware: the wrong values are on the wire, and unsound devices fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from hlc_sim.scenario import Result, SimulatedEVCC, SimulatedSECC, library
from hlc_sim.scenario.runner import attempt
from iso15118.messages.common_types import ResponseCode
from iso15118.session.events import Role

from .test_library import play


def values(name: str, message: str, field: str) -> list[float]:
    """The values of a field in all messages of that name, as they crossed the connection."""
    scenario = library()[name]
    target = SimulatedSECC() if scenario.tests is Role.SECC else SimulatedEVCC()
    made = trio.run(attempt, scenario, target, clock=MockClock(autojump_threshold=0))
    found = []
    for seen in made.record.seen:
        value: Any = seen.message
        if seen.name != message:
            continue
        for part in field.split("."):
            value = getattr(value, part, None)
        if value is not None:
            found.append(float(value))
    return found


@pytest.mark.parametrize(
    ("name", "message", "field", "wrong"),
    [
        ("pre-charge-stuck", "DC_PreChargeRes", "evse_present_voltage", lambda v: set(v) == {20}),
        ("pre-charge-overshoot", "DC_PreChargeRes", "evse_present_voltage", lambda v: max(v) > 450),
        (
            "limits-55-a",
            "DC_ChargeLoopRes",
            "control_mode.evse_maximum_charge_current",
            lambda v: v[-1] == pytest.approx(55.2, abs=0.1) and v[0] == 300,
        ),
        (
            "limits-zero",
            "DC_ChargeLoopRes",
            "control_mode.evse_maximum_charge_power",
            lambda v: v[-1] == 0 < v[0],
        ),
        ("meter-stands", "DC_ChargeLoopRes", "meter_info.charged_energy_reading_wh", lambda v: set(v) == {0}),
        ("meter-jumps", "DC_ChargeLoopRes", "meter_info.charged_energy_reading_wh", lambda v: v[1] > 150_000),
        (
            "meter-runs-back",
            "DC_ChargeLoopRes",
            "meter_info.charged_energy_reading_wh",
            lambda v: v[1] < v[0],
        ),
        ("loop-voltage-absurd", "DC_ChargeLoopRes", "evse_present_voltage", lambda v: max(v) > 1000),
        ("ev-asks-twice-the-limit", "DC_ChargeLoopReq", "control_mode.ev_target_current", lambda v: 900 in v),
        ("ev-asks-for-discharge", "DC_ChargeLoopReq", "control_mode.ev_target_current", lambda v: -100 in v),
        ("ev-inlet-5-kv", "DC_ChargeLoopReq", "ev_present_voltage", lambda v: set(v) == {5000}),
        (
            "ev-soc-jumps",
            "DC_ChargeLoopReq",
            "display_parameters.present_soc",
            lambda v: v[:4] == [40, 95, 10, 100],
        ),
    ],
)
def test_the_wrong_values_are_on_the_wire(
    name: str, message: str, field: str, wrong: Callable[[list[float]], bool]
) -> None:
    found = values(f"physics-{name}", message, field)
    assert wrong(found), found


def test_a_factor_shows_against_what_is_right() -> None:
    field = "evse_present_current"
    sound = library()["physics-current-overshoot"]
    wrong = values(sound.name, "DC_ChargeLoopRes", field)
    right = trio.run(
        attempt, replace(sound, physics=None), SimulatedEVCC(), clock=MockClock(autojump_threshold=0)
    )
    currents = [
        float(s.message.evse_present_current) for s in right.record.seen if s.name == "DC_ChargeLoopRes"
    ]  # type: ignore[union-attr]
    assert wrong[0] == pytest.approx(1.3 * currents[0], rel=0.02)


@pytest.mark.parametrize("name", ["physics-pre-charge-stuck", "physics-pre-charge-overshoot"])
def test_a_vehicle_that_closes_its_contactors_all_the_same(name: str) -> None:
    sound = library()[name]
    verdict = play(replace(sound, vehicle=replace(sound.vehicle, evcc={"pre_charge_patience": 2})))
    assert verdict.result is Result.FAIL
    assert any("PowerDeliveryReq(Start)" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    "name", ["physics-contactor-stuck-open", "physics-contactor-welded-ac", "physics-isolation-fault"]
)
def test_a_vehicle_that_does_not_look_at_response_codes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResponseCode, "is_failed", property(lambda self: False))
    assert play(library()[name]).result is Result.FAIL


def test_a_vehicle_that_waits_for_ever_in_the_cable_check() -> None:
    sound = library()["physics-isolation-test-for-ever"]
    patient = replace(
        sound, vehicle=replace(sound.vehicle, timers="relaxed"), expect=replace(sound.expect, within=40)
    )
    assert play(patient).result is Result.FAIL
