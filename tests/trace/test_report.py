"""The report: complete in one file, and alive in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hlc_sim.report import build
from hlc_sim.report.series import Series
from iso15118.messages.common_types import ResponseCode

from . import recordings as rec

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def spoiled() -> rec.Recording:
    recording = rec.ac_scheduled()
    recording.message("SessionSetupRes").response_code = ResponseCode.OK
    recording.message("SessionSetupReq").evcc_id = "<script>alert(1)</script>"
    recording.late("AC_ChargeLoopRes", 0.4)
    return recording


def test_the_page_says_what_was_found_and_links_to_the_frames() -> None:
    page = build(spoiled().events(), name="x.jsonl", charts=False)
    assert "ResponseCode OK" in page
    assert 'href="#f1-4"' in page
    assert 'id="f1-4"' in page
    assert "V2G20-1500" in page
    assert "took 0.45 s" in page
    assert "price" in page


def test_nothing_from_a_recording_becomes_markup() -> None:
    page = build(spoiled().events(), name="<b>x</b>", charts=False)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "<b>x</b>" not in page


def test_the_page_refers_to_nothing_outside() -> None:
    page = build(spoiled().events(), name="x", charts=False)
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert "default-src 'none'" in page


def test_a_long_recording_makes_a_page_of_bounded_size() -> None:
    short = build(rec.dc_bpt_dynamic(loops=400).events(), name="x", charts=False)
    long = build(rec.dc_bpt_dynamic(loops=1000).events(), name="x", charts=False)
    assert "messages of the charge loop are not shown" in long
    assert len(long) < 1.1 * len(short)


def test_a_curve_keeps_its_spikes_when_it_is_thinned() -> None:
    series = Series(limit=100)
    for number in range(10_000):
        series.add(float(number), 1000.0 if number == 7321 else -50.0 if number == 20 else 1.0)
    points = series.all()
    assert len(points) <= 110
    assert max(value for _, value in points) == 1000.0
    assert min(value for _, value in points) == -50.0
    assert [time for time, _ in points] == sorted(time for time, _ in points)


def test_charts_hold_the_values_of_the_messages() -> None:
    from hlc_sim.report.charts import figures
    from hlc_sim.report.collect import collect

    made = {figure["id"]: figure for figure in figures(collect(rec.ac_scheduled().events()))}
    power = {trace["name"]: trace for trace in made["chart-power"]["data"]}
    assert set(power["EV present"]["y"]) == {3.5}
    assert set(power["schedule 1"]["y"]) == {3.6}
    assert power["EV profile"]["line"]["shape"] == "hv"
    price = made["chart-price"]["data"][0]
    assert price["y"][0] == 1.0
    dc = {figure["id"]: figure for figure in figures(collect(rec.dc_bpt_dynamic().events()))}
    assert [trace["y"] for trace in dc["chart-soc"]["data"] if trace["name"] == "PresentSOC"] == [
        [40, 41, 42, 43]
    ]
    current = next(trace for trace in dc["chart-current"]["data"] if trace["name"] == "EVSE present")
    assert set(current["y"]) == {100.0}


@pytest.mark.interop
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_in_a_browser_charts_are_drawn_and_a_message_opens(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    page = tmp_path / "report.html"
    page.write_text(build(rec.dc_bpt_dynamic().events(), name="x"), encoding="utf-8")
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command += ["--enable-logging=stderr", "--virtual-time-budget=15000", "--dump-dom", f"file://{page}#f1-5"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    assert console == []
    dom = result.stdout
    assert 'data-charts="drawn"' in dom
    assert re.search(r'id="chart-error"[^>]*hidden', dom)
    for chart in ("chart-soc", "chart-power", "chart-voltage", "chart-current", "chart-times"):
        start = dom.index(f'id="{chart}"')
        assert "main-svg" in dom[start : start + 4000]
    details = re.search(r'<details id="f1-5"[^>]*>', dom)
    assert details is not None
    assert "open" in details[0]
    other = re.search(r'<details id="f1-6"[^>]*>', dom)
    assert other is not None
    assert "open" not in other[0]
