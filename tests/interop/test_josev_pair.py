"""The harness proves itself: Josev charges at Josev, so a failure elsewhere is about our side."""

from __future__ import annotations

from pathlib import Path

import pytest

from .lab import Lab, Process

pytestmark = pytest.mark.interop

PATIENT = ("--patience", "5")  # two JVMs on a busy machine miss Josev's own 0.5 s


def test_josev_charges_at_josev(lab: Lab, josev_secc: Process) -> None:
    options = ("--service", "DC", "--control-mode", "dynamic", "--loops", "3", "--ongoing", "2")
    evcc = lab.josev_evcc(*options, *PATIENT)
    ev = evcc.report(timeout=60)
    assert evcc.wait(timeout=10) == 0
    evse = josev_secc.report(timeout=10)

    for side in (ev, evse):
        assert side["outcome"] == "complete", f"{side}\n{evcc.explain()}\n{josev_secc.explain()}"
        assert (side["service"], side["control_mode"], side["tls"]) == ("DC", "dynamic", None)
        assert side["loops"] == 3
        assert side["messages"]["PowerDeliveryReq"] == 4  # two Ongoing, Start, Stop
        assert side["not_ok"] == []
    assert ev["messages"] == evse["messages"]


def test_josev_charges_at_josev_over_tls(lab: Lab, josev_pki: Path) -> None:
    tls = ("--tls", "1.3", "--pki", str(josev_pki))
    secc = lab.josev_secc(*tls, "--sessions", "1")
    evcc = lab.josev_evcc(*tls, "--service", "AC", "--loops", "1", *PATIENT)
    for side in (evcc, secc):
        report = side.report(timeout=60)
        assert report["outcome"] == "complete", f"{report}\n{side.explain()}"
        assert report["tls"] == "TLSv1.3"
        assert side.wait(timeout=10) == 0
