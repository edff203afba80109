"""Whole sessions with Josev on the other side: EIM, plain TCP, from SDP to SessionStopRes."""

from __future__ import annotations

from pathlib import Path

import pytest

from .expect import (
    LOOPS,
    PATIENT,
    STATION,
    VEHICLE,
    check_agreement,
    check_findings,
    findings_about_the_evcc,
    findings_about_the_secc,
    written_by,
)
from .lab import Lab, Process

pytestmark = [
    pytest.mark.interop,
    pytest.mark.parametrize("control", ["scheduled", "dynamic"]),
    pytest.mark.parametrize("mode", ["dc", "ac", "dc_bpt", "ac_bpt"]),
]


def test_josev_evcc_charges_at_our_secc(
    lab: Lab, josev_evcc: Process, tmp_path: Path, mode: str, control: str
) -> None:
    written, config = tmp_path / "secc.json", tmp_path / "station.toml"
    config.write_text(STATION)
    options = ("--mode", mode, "--control", control, "--lab-plain-tcp", "--sessions", "1", "--speed", "10")
    secc = lab.hlc_secc(*options, "--config", str(config), "--json", str(written))
    wanted = ("--service", mode.upper(), "--control-mode", control, "--loops", str(LOOPS), "--ongoing", "1")
    josev_evcc.tell(*wanted, *PATIENT)
    ev = josev_evcc.report(timeout=60)
    story = f"{ev}\n{secc.explain()}\n{josev_evcc.explain()}"
    assert ev["outcome"] == "complete", story
    assert secc.wait(timeout=15) == 0, story
    (connection,) = written_by(secc, written)
    check_agreement(connection, ev, mode, control)
    # Josev's EV draws more than it planned; warned [V2G20-1864], it goes on as before
    warned = [[f"{mode[:2].upper()}_ChargeLoopRes", "WARNING_EVPowerProfileViolation"]] * LOOPS
    assert ev["not_ok"] == (warned if control == "scheduled" else []), story
    check_findings(connection["deviations"], "EVCC", findings_about_the_evcc(mode, control))


def test_our_evcc_charges_at_josev(
    lab: Lab, josev_secc: Process, tmp_path: Path, mode: str, control: str
) -> None:
    written, config = tmp_path / "evcc.json", tmp_path / "vehicle.toml"
    config.write_text(VEHICLE)
    options = ("--mode", mode, "--control", control, "--lab-plain-tcp", "--loops", str(LOOPS))
    evcc = lab.hlc_evcc(*options, "--config", str(config), "--json", str(written))
    evse = josev_secc.report(timeout=60)
    story = f"{evse}\n{evcc.explain()}\n{josev_secc.explain()}"
    assert evse["outcome"] == "complete", story
    assert evcc.wait(timeout=15) == 0, story
    session = written_by(evcc, written)
    check_agreement(session, evse, mode, control)
    assert evse["not_ok"] == [], story
    assert (session["service"], session["control"]) == (mode.upper(), control)
    check_findings(session["deviations"], "SECC", findings_about_the_secc(mode, control))
