"""The pytest plugin, as a user's pytest runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-rs",
        "--strict-markers",
        *arguments,
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_the_example_of_the_first_day(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "test_first_day.py").read_text()
    assert len(text.splitlines()) < 40
    (tmp_path / "test_first_day.py").write_text(text)
    ran = pytest_in(tmp_path, "--junitxml=report.xml")
    assert ran.returncode == 0, ran.stdout
    assert "4 passed" in ran.stdout
    assert 'name="requirements" value="V2G20-460"' in (tmp_path / "report.xml").read_text()


def test_failures_show_what_was_said_and_the_requirement(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n"
        "@pytest.mark.requirement('V2G20-464')\n"
        "def test_wrong(secc):\n"
        "    with secc.connect() as ev:\n"
        "        ev.run_until('ServiceDetail')\n"
        "        ev.send('ServiceDetailReq', {'service_id': 4711})\n"
        "        ev.expect('ServiceDetailRes', 'OK')\n\n"
        "def test_unreachable(secc):\n"
        "    with secc.connect() as ev:\n"
        "        ev.run_until('AC_ChargeLoop')\n\n"
        "def test_bytes(secc):\n"
        "    with secc.connect() as ev:\n"
        "        ev.send_bytes(b'GET / HTTP/1.1')\n"
        "        ev.expect_close()\n"
    )
    ran = pytest_in(tmp_path, "-k", "wrong or bytes")
    assert "1 failed, 1 passed" in ran.stdout, ran.stdout
    assert "expected ServiceDetailRes OK, got ServiceDetailRes FAILED_ServiceIDInvalid" in ran.stdout
    assert "what was said" in ran.stdout
    assert "V2G20-464" in ran.stdout
    ran = pytest_in(tmp_path, "-k", "unreachable")
    assert "1 skipped" in ran.stdout, ran.stdout
    assert "inconclusive: the session ended before AC_ChargeLoop" in ran.stdout


def test_a_device_that_is_not_there_is_inconclusive(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it(secc):\n    with secc.connect() as ev:\n        ev.run_until('SessionSetup')\n"
    )
    ran = pytest_in(tmp_path, "--hlc-secc", "[::1]:1")
    assert "1 skipped" in ran.stdout, ran.stdout
