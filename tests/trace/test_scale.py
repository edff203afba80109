"""SCALE requirements: each passes on a session that keeps it and fails on one that does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hlc_sim.trace import events as ev
from hlc_sim.trace.check import check
from iso15118.messages.common_types import ResponseCode
from iso15118.session.judge.scale import Result, requirements

from . import recordings as rec
from .recordings import Recording, of

Spoil = Callable[[Recording], Any]
PASS, FAIL, NOT_SHOWN = Result.PASS, Result.FAIL, Result.NOT_SHOWN


def judged(recording: Recording) -> dict[tuple[str, str], Result]:
    verdict = check(recording.events(), scale=True)
    return {(item.requirement.id, item.requirement.title): item.result for item in verdict.scale[1]}


def loops(recording: Recording, name: str) -> list[Any]:
    return [entry.message for entry in recording.entries if entry.name == name]


def tls(recording: Recording, version: str = "TLSv1.3") -> None:
    recording.extra.append(
        ev.TLS(time=rec.BEGIN, connection=1, version=version, suite="TLS_AES_256_GCM_SHA384", mutual=True)
    )


def charger(recording: Recording, at: float, **values: float) -> None:
    recording.extra.append(ev.Sample(time=at, source="charger", values=values))


def site(recording: Recording, reached: bool) -> None:
    responses = [entry for entry in recording.entries if entry.name == "DC_ChargeLoopRes"]
    charger(recording, responses[0].time, site_limit=60_000)
    charger(recording, responses[1].time + 0.01, site_limit=20_000)
    for entry in responses[2:]:
        if reached:
            entry.message.control_mode.evse_maximum_charge_power = of(20_000)
            entry.message.evse_present_current = of(45)
    if not reached:
        for entry in recording.entries[recording.entries.index(responses[2]) :]:
            entry.time += 61


def grid(recording: Recording, opened: bool) -> None:
    at = recording.entries[recording.index("DC_ChargeLoopRes", 2)].time
    charger(recording, at, grid=0.0, contactor=1.0)
    charger(recording, at + 0.1, grid=0.0, contactor=0.0 if opened else 1.0)


def target(recording: Recording, watts: list[float], present: list[float]) -> None:
    """AC set-points and the EV's powers, loop by loop, two seconds apart."""
    for nth, (wanted, drawn) in enumerate(zip(watts, present, strict=True)):
        recording.message("AC_ChargeLoopRes", nth).control_mode.evse_target_active_power = of(wanted)
        recording.message("AC_ChargeLoopReq", nth).control_mode.ev_present_active_power = of(drawn)
        recording.late("AC_ChargeLoopReq", 2.0, nth)


def full(recording: Recording, discharges: bool) -> None:
    for request in loops(recording, "DC_ChargeLoopReq"):
        request.display_parameters.present_soc = 100
    for response in loops(recording, "DC_ChargeLoopRes"):
        response.control_mode.evse_maximum_charge_power = of(-5000)
        response.evse_present_current = of(-12 if discharges else 0)


def both_directions(recording: Recording) -> None:
    recording.message("DC_ChargeLoopRes", 3).evse_present_current = of(-20)


def registers(recording: Recording, kind: str) -> None:
    responses = loops(recording, "DC_ChargeLoopRes")
    if kind == "missing":
        responses[1].meter_info.bpt_discharged_energy_reading_wh = None
    elif kind == "falling":
        responses[3].meter_info.charged_energy_reading_wh = 1


def no(*_: object) -> None:
    """As it is."""


def without_soc(recording: Recording) -> None:
    for request in loops(recording, "DC_ChargeLoopReq"):
        request.display_parameters.present_soc = None


def without_capacity(recording: Recording) -> None:
    for request in loops(recording, "DC_ChargeLoopReq"):
        request.display_parameters.battery_energy_capacity = None


def high_minimum(recording: Recording) -> None:
    recording.message("AC_ChargeParameterDiscoveryReq").energy_transfer_mode.ev_minimum_charge_power = of(
        1500
    )


def wide_single_phase(recording: Recording) -> None:
    recording.message("AC_ChargeParameterDiscoveryRes").energy_transfer_mode.evse_maximum_charge_power = of(
        7400
    )


def other_protocol(recording: Recording) -> None:
    recording.message("supportedAppProtocolRes").schema_id = 2
    del recording.entries[2:]


def only_old(recording: Recording) -> None:
    del recording.message("supportedAppProtocolReq").app_protocol[0]
    other_protocol(recording)


def small_discharge(recording: Recording) -> None:
    recording.message("DC_ChargeParameterDiscoveryReq").energy_transfer_mode.ev_maximum_discharge_power = of(
        2000
    )


def without_meter(recording: Recording) -> None:
    recording.message("DC_ChargeLoopRes", 2).meter_info = None


def late_power(recording: Recording) -> None:
    for nth, response in enumerate(loops(recording, "DC_ChargeLoopRes")):
        response.evse_present_current = of(0 if nth < 3 else 100)
    recording.late("DC_ChargeLoopReq", 35.0, 3)


def without_bpt(recording: Recording) -> None:
    services = recording.message("ServiceDiscoveryRes").energy_transfer_service_list.service
    services[0].service_id = 2
    del services[1]


DC, AC = rec.dc_bpt_dynamic, rec.ac_scheduled
CASES: list[tuple[str, str, Callable[[], Recording], Spoil, Result]] = [
    ("1-10", "speaks ISO 15118-20", DC, no, PASS),
    ("1-10", "speaks ISO 15118-20", DC, only_old, FAIL),
    ("1-11", "state of charge in dynamic mode", DC, no, PASS),
    ("1-11", "state of charge in dynamic mode", DC, without_soc, FAIL),
    ("1-11", "state of charge in dynamic mode", AC, no, NOT_SHOWN),
    ("1-12", "control by others", DC, no, PASS),
    ("1-12", "control by others", AC, no, NOT_SHOWN),
    ("1-13", "battery capacity in dynamic mode", DC, no, PASS),
    ("1-13", "battery capacity in dynamic mode", DC, without_capacity, FAIL),
    ("1-14", "charges down to 6 A", AC, no, PASS),
    ("1-14", "charges down to 6 A", AC, high_minimum, FAIL),
    (
        "1-15",
        "follows changes of the limit",
        AC,
        lambda r: target(r, [3600, 1400, 1400, 3000], [3500, 3500, 1400, 1400]),
        PASS,
    ),
    (
        "1-15",
        "follows changes of the limit",
        AC,
        lambda r: target(r, [3600, 1400, 1400, 3000], [3500, 3500, 3500, 3500]),
        FAIL,
    ),
    ("1-15", "follows changes of the limit", AC, no, NOT_SHOWN),
    ("1-16", "never above the limit", AC, no, PASS),
    (
        "1-16",
        "never above the limit",
        AC,
        lambda r: target(r, [3600, 3600, 3600, 3600], [3500, 3500, 4200, 3500]),
        FAIL,
    ),
    ("2-10", "speaks ISO 15118-20", DC, no, PASS),
    ("2-10", "speaks ISO 15118-20", DC, other_protocol, FAIL),
    ("2-10", "secure communication", DC, tls, PASS),
    ("2-10", "secure communication", DC, lambda r: tls(r, "TLSv1.2"), FAIL),
    ("2-10", "secure communication", DC, no, NOT_SHOWN),
    ("3B-3", "starts at once", DC, no, PASS),
    ("3B-3", "starts at once", DC, late_power, FAIL),
    ("3B-4", "adjustable within a minute", DC, lambda r: site(r, True), PASS),
    ("3B-4", "adjustable within a minute", DC, lambda r: site(r, False), FAIL),
    ("3B-4", "adjustable within a minute", DC, no, NOT_SHOWN),
    ("3B-5", "single phase at most 3.7 kW", AC, no, PASS),
    ("3B-5", "single phase at most 3.7 kW", AC, wide_single_phase, FAIL),
    ("3B-9", "driver sees energy and price", DC, no, FAIL),
    ("3B-9", "driver sees energy and price", DC, without_meter, FAIL),
    (
        "3B-9",
        "driver sees energy and price",
        AC,
        lambda r: [setattr(m, "meter_info", rec.meter(5)) for m in loops(r, "AC_ChargeLoopRes")],
        PASS,
    ),
    ("4-4", "V2X by ISO 15118-20", DC, no, PASS),
    ("4-4", "V2X by ISO 15118-20", AC, no, NOT_SHOWN),
    ("4-5", "power of discharge", DC, no, PASS),
    ("4-5", "power of discharge", DC, small_discharge, FAIL),
    ("4-6", "discharges from 100 %", DC, lambda r: full(r, True), PASS),
    ("4-6", "discharges from 100 %", DC, lambda r: full(r, False), FAIL),
    ("5-4", "offers BPT", DC, no, PASS),
    ("5-4", "offers BPT", AC, no, FAIL),
    ("5-8", "direction is visible", DC, no, PASS),
    ("5-9", "both directions in one transaction", DC, both_directions, PASS),
    ("5-9", "both directions in one transaction", DC, no, NOT_SHOWN),
    ("5-10", "separate registers", DC, no, PASS),
    ("5-10", "separate registers", DC, lambda r: registers(r, "missing"), FAIL),
    ("5-10", "separate registers", DC, lambda r: registers(r, "falling"), FAIL),
    ("5-11", "disconnects on grid failure", DC, lambda r: grid(r, True), PASS),
    ("5-11", "disconnects on grid failure", DC, lambda r: grid(r, False), FAIL),
]


@pytest.mark.parametrize(("identity", "title", "base", "spoil", "expected"), CASES)
def test_verdict(
    identity: str, title: str, base: Callable[[], Recording], spoil: Spoil, expected: Result
) -> None:
    recording = base()
    spoil(recording)
    assert judged(recording)[identity, title] is expected


def test_every_requirement_is_tried() -> None:
    tried = {(identity, title) for identity, title, *_ in CASES}
    assert tried == {(item.id, item.title) for item in requirements()}


def test_a_session_broken_off_after_a_change_of_limit_fails_to_follow() -> None:
    recording = rec.ac_scheduled()
    target(recording, [3600, 1400, 1400, 1400], [3500, 3500, 1400, 1400])
    recording.fail("AC_ChargeLoopRes", ResponseCode.FAILED.value, 3)
    assert judged(recording)["1-15", "follows changes of the limit"] is FAIL
