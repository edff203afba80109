"""Whole sessions with Josev on the other side: EIM, plain TCP, from SDP to SessionStopRes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .lab import Lab, Process

pytest.importorskip("hlc_sim.cli")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.parametrize("control", ["scheduled", "dynamic"]),
    pytest.mark.parametrize("mode", ["dc", "ac"]),
]

LOOPS = 5


def result(path: Path, process: Process) -> dict[str, Any]:
    """The one session in what our command wrote with `--json`."""
    assert path.exists(), f"no result was written\n{process.explain()}"
    (session,) = json.loads(path.read_text())["sessions"]
    assert isinstance(session, dict)
    return session


def agree(ours: dict[str, Any], josevs: dict[str, Any], mode: str, control: str, story: str) -> None:
    """Both sides saw the same whole session, and found nothing wrong with what we sent."""
    assert josevs["outcome"] == ours["outcome"] == "complete", story
    assert (josevs["service"], josevs["control_mode"]) == (mode.upper(), control)
    assert (josevs["auth"], josevs["tls"]) == ("EIM", None)
    assert josevs["not_ok"] == [], story
    assert ours["messages"] == josevs["messages"]
    assert ours["loops"] == josevs["loops"] == LOOPS


def test_josev_evcc_charges_at_our_secc(lab: Lab, tmp_path: Path, mode: str, control: str) -> None:
    written = tmp_path / "secc.json"
    options = ("--mode", mode, "--control", control, "--lab-plain-tcp", "--sessions", "1")
    secc = lab.hlc_secc(*options, "--json", str(written))
    evcc = lab.josev_evcc(
        "--service", mode.upper(), "--control-mode", control, "--loops", str(LOOPS), "--ongoing", "1"
    )
    ev = evcc.report(timeout=60)
    story = f"{ev}\n{secc.explain()}\n{evcc.explain()}"
    assert ev["outcome"] == "complete", story
    assert secc.wait(timeout=15) == 0
    agree(result(written, secc), ev, mode, control, story)


def test_our_evcc_charges_at_josev(
    lab: Lab, josev_secc: Process, tmp_path: Path, mode: str, control: str
) -> None:
    written = tmp_path / "evcc.json"
    options = (
        "--mode",
        mode,
        "--control",
        control,
        "--lab-plain-tcp",
        "--sessions",
        "1",
        "--loops",
        str(LOOPS),
    )
    evcc = lab.hlc_evcc(*options, "--json", str(written))
    evse = josev_secc.report(timeout=60)
    story = f"{evse}\n{evcc.explain()}\n{josev_secc.explain()}"
    assert evse["outcome"] == "complete", story
    assert evcc.wait(timeout=15) == 0
    agree(result(written, evcc), evse, mode, control, story)
