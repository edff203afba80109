"""Sessions with Josev over TLS 1.3 on our certificates, exported to its layout: EIM and Plug & Charge.

Josev speaks P-256 and SHA-256 only, so the hierarchy is lenient and so are we: the profile of ISO 15118-20
shuts it out.
"""

from __future__ import annotations

import subprocess
import sys
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
from .lab import Lab

pytestmark = pytest.mark.interop

MODE, CONTROL, TLS = "ac", "dynamic", "TLSv1.3"
AUTH = pytest.mark.parametrize("auth", ["EIM", "PnC"])

FINDINGS = {
    # It has a fixed one
    "EVCCID 'WMIV1234567890ABCDEX'",
}
FINDINGS_PNC = {
    # The SHA-256 of ISO 15118-2
    r"signature method http://www\.w3\.org/2001/04/xmldsig-more#ecdsa-sha256 is not of ISO 15118-20",
}


def v2g_pki(*arguments: object) -> None:
    command = [str(Path(sys.executable).with_name("v2g-pki")), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A lenient hierarchy of ours, and its export for Josev."""
    folder = tmp_path_factory.mktemp("pki")
    ours, josevs = folder / "ours", folder / "josev"
    v2g_pki("mint", "--out", ours, "--edition", "lenient", "--family", "p256")
    v2g_pki("export", ours, "josev", josevs, "--vehicle-as-oem")
    return ours, josevs


def options(pki: Path, auth: str, config: Path, written: Path) -> list[str]:
    eim = ["--eim"] if auth == "EIM" else []
    files = ["--config", str(config), "--json", str(written), "--pki", str(pki)]
    return ["--mode", MODE, "--control", CONTROL, "--profile", "lenient", *eim, *files]


@AUTH
def test_josev_evcc_charges_at_our_secc(lab: Lab, tmp_path: Path, pki: tuple[Path, Path], auth: str) -> None:
    written, config = tmp_path / "secc.json", tmp_path / "station.toml"
    config.write_text(STATION)
    secc = lab.hlc_secc(*options(pki[0], auth, config, written), "--sessions", "1")
    tls = ("--tls", "1.3", "--pki", str(pki[1]))
    wanted = ("--service", MODE.upper(), "--control-mode", CONTROL, "--loops", str(LOOPS))
    evcc = lab.josev_evcc(*tls, *wanted, *PATIENT)
    ev = evcc.report(timeout=60)
    story = f"{ev}\n{secc.explain()}\n{evcc.explain()}"
    assert ev["outcome"] == "complete", story
    assert secc.wait(timeout=15) == 0, story
    (connection,) = written_by(secc, written)
    check_agreement(connection, ev, MODE, CONTROL, auth=auth, tls=TLS)
    assert ev["not_ok"] == [], story
    assert (connection["emaid"] is not None) == (auth == "PnC")
    expected = findings_about_the_evcc(MODE, CONTROL) | FINDINGS | (FINDINGS_PNC if auth == "PnC" else set())
    check_findings(connection["deviations"], "EVCC", expected)


@AUTH
def test_our_evcc_charges_at_josev(lab: Lab, tmp_path: Path, pki: tuple[Path, Path], auth: str) -> None:
    written, config = tmp_path / "evcc.json", tmp_path / "vehicle.toml"
    config.write_text(VEHICLE)
    secc = lab.josev_secc("--tls", "1.3", "--pki", str(pki[1]), "--auth", auth.upper(), "--sessions", "1")
    evcc = lab.hlc_evcc(*options(pki[0], auth, config, written), "--loops", str(LOOPS))
    evse = secc.report(timeout=60)
    story = f"{evse}\n{evcc.explain()}\n{secc.explain()}"
    assert evse["outcome"] == "complete", story
    assert evcc.wait(timeout=15) == 0, story
    session = written_by(evcc, written)
    check_agreement(session, evse, MODE, CONTROL, auth=auth, tls=TLS)
    assert evse["not_ok"] == [], story
    assert session["authorization"] == auth
    assert session["tls"].startswith("TLS 1.3, TLS_AES_256_GCM_SHA384")
    check_findings(session["deviations"], "SECC", findings_about_the_secc(MODE, CONTROL))


def test_josev_is_shut_out_by_the_profile_of_the_standard(
    lab: Lab, tmp_path: Path, pki: tuple[Path, Path]
) -> None:
    strict, written = tmp_path / "strict", tmp_path / "secc.json"
    v2g_pki("mint", "--out", strict)
    secc = lab.hlc_secc("--mode", MODE, "--pki", str(strict), "--sessions", "1", "--json", str(written))
    evcc = lab.josev_evcc("--tls", "1.3", "--pki", str(pki[1]), "--service", MODE.upper())
    assert evcc.report(timeout=60)["outcome"] == "no session"
    assert secc.wait(timeout=15) == 1, secc.explain()
    (connection,) = written_by(secc, written)
    assert "alert 40 handshake_failure" in connection["ended"]
    assert connection["frames"] == 0
