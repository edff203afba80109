"""The commands on files: what they print, and their exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import trio
from trio.testing import memory_stream_pair
from typer.testing import CliRunner

from hlc_sim.cli.app import app
from hlc_sim.config import StationConfig
from hlc_sim.pytest_plugin.portal import Portal
from hlc_sim.secc import Station, serve
from hlc_sim.trace import events as ev
from hlc_sim.trace.jsonl import Writer
from hlc_sim.trace.load import open_input
from hlc_sim.trace.replay import EVCCReplay, exchanges_of
from hlc_sim.transport import interface, tcp
from hlc_sim.transport.link import Link
from hlc_sim.trust import securing, station_of
from iso15118.messages.common_types import ResponseCode
from iso15118.session.events import Role
from iso15118.session.judge import RULES
from pki.hierarchy import Hierarchy

from . import recordings as rec

run = CliRunner().invoke
DATA = Path(__file__).parent.parent / "data" / "sessions"


def written(path: Path, recording: rec.Recording) -> str:
    with Writer(path, ev.Header(time=rec.BEGIN, version="1")) as writer:
        for event in recording.events():
            writer.write(event)
    return str(path)


@pytest.fixture
def good(tmp_path: Path) -> str:
    return written(tmp_path / "good.jsonl", rec.dc_bpt_dynamic())


@pytest.fixture
def bad(tmp_path: Path) -> str:
    recording = rec.dc_bpt_dynamic()
    recording.message("SessionSetupRes").response_code = ResponseCode.OK
    recording.late("DC_ChargeLoopRes", 0.3)
    return written(tmp_path / "bad.jsonl", recording)


def test_check_exits_by_the_worst_finding(good: str, bad: str, tmp_path: Path) -> None:
    assert run(app, ["check", good]).exit_code == 0
    assert run(app, ["check", bad]).exit_code == 1
    slow = rec.dc_bpt_dynamic()
    slow.late("DC_ChargeLoopRes", 0.3)
    late = written(tmp_path / "slow.jsonl", slow)
    assert run(app, ["check", late]).exit_code == 0
    assert run(app, ["check", late, "--fail-on", "performance"]).exit_code == 1


def test_of_several_files_check_says_a_line_each_and_the_worst_counts(
    good: str, bad: str, tmp_path: Path
) -> None:
    assert run(app, ["check", good, good]).exit_code == 0
    missing = str(tmp_path / "missing.jsonl")
    result = run(app, ["check", good, missing, bad], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert result.stdout.splitlines()[-3:] == [
        f"{good}: 0 error, 0 performance, 0 note",
        f"{missing}: not readable",
        f"{bad}: 1 error, 1 performance, 0 note",
    ]
    assert f"{missing}: No such file or directory" in result.stderr
    assert run(app, ["check", bad, good]).exit_code == 1


def test_several_files_as_json_and_junit_stand_beside_each_other(good: str, bad: str) -> None:
    told = json.loads(run(app, ["check", good, bad, "--format", "json"]).stdout)
    assert [len(told[name]["findings"]) for name in (good, bad)] == [0, 2]
    root = ElementTree.fromstring(run(app, ["check", good, bad, "--format", "junit"]).stdout)
    assert root.tag == "testsuites"
    assert [suite.get("name") for suite in root] == [good, bad]
    assert [suite.get("failures") for suite in root] == ["0", "2"]


def test_report_and_show_take_several_files(good: str, bad: str) -> None:
    assert run(app, ["report", "--no-charts", good, bad]).exit_code == 0
    assert Path(good).with_suffix(".html").exists()
    assert Path(bad).with_suffix(".html").exists()
    assert run(app, ["report", good, bad, "-o", "x.html"]).exit_code == 2
    shown = run(app, ["trace", "show", good, bad], env={"COLUMNS": "200"}).stdout
    assert shown.index(good) < shown.index(bad)


@pytest.mark.parametrize("content", [b"", b"GET / HTTP/1.1", b'{"event":"note","time":1.0,"text":"x"}\n'])
def test_what_holds_no_session_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    assert run(app, ["check", str(tmp_path / "x")]).exit_code == 2
    assert run(app, ["check", str(tmp_path / "missing")]).exit_code == 2


def test_check_as_json_has_all_of_a_finding(bad: str) -> None:
    told = json.loads(run(app, ["check", bad, "--format", "json"]).stdout)
    assert [finding["rule"] for finding in told["findings"]] == [
        "session.code",
        "timer.V2G_SECC_Msg_Performance_Time.DC_loop",
    ]
    assert told["findings"][1]["requirement"] == "V2G20-1502"
    assert told["findings"][0]["frame"] == 4
    assert told["connections"]["1"]["stopped"] == "Terminate"


def test_check_as_junit_has_a_case_for_each_rule(bad: str) -> None:
    suite = ElementTree.fromstring(run(app, ["check", bad, "--format", "junit"]).stdout)
    assert len(suite.findall("testcase")) == len(RULES)
    assert suite.get("failures") == "2"
    failed = [case.get("name") for case in suite.findall("testcase") if case.find("failure") is not None]
    assert failed == ["session.code", "timer.V2G_SECC_Msg_Performance_Time.DC_loop [V2G20-1502]"]


def test_the_list_has_every_rule() -> None:
    listed = run(app, ["check", "--list"]).stdout
    assert {line.partition("\t")[0] for line in listed.splitlines()} >= set(RULES)


def test_show_counts_repetitions_and_lists_them_on_request(good: str) -> None:
    short, long = run(app, ["trace", "show", good]).stdout, run(app, ["trace", "show", good, "--all"]).stdout
    assert "DC_ChargeLoopReq ×4" in short
    assert long.count("DC_ChargeLoopReq") == 4
    full = run(app, ["trace", "show", good, "--full"]).stdout
    assert "EVTargetVoltage: 400 V" in full


def test_diff_says_what_differs_and_only_that(good: str, tmp_path: Path) -> None:
    assert run(app, ["trace", "diff", good, good]).exit_code == 0
    other = rec.dc_bpt_dynamic(loops=5)
    other.message("SessionSetupRes").evse_id = "XX"
    for entry in other.entries[2:]:
        entry.message.header.timestamp += 5
    result = run(app, ["trace", "diff", good, written(tmp_path / "other.jsonl", other)])
    assert result.exit_code == 1
    assert "EVSEID: DE*HLC*E1 / XX" in result.stdout
    assert "only right" in result.stdout
    assert "TimeStamp" not in result.stdout


def test_decode_reads_traces(good: str) -> None:
    lines = run(app, ["decode", "--compact", good]).stdout.splitlines()
    assert len(lines) == len(rec.dc_bpt_dynamic().entries)
    assert json.loads(lines[2])["SessionSetupReq"]["EVCCID"] == "WMIHLC00000000001"


@pytest.mark.parametrize("role", ["evcc", "secc"])
def test_replay_in_this_process_goes_to_the_end(role: str) -> None:
    recorded = DATA / "josev_iso20_DC_scheduled_EIM_tls1.3.jsonl"
    result = run(app, ["trace", "replay", str(recorded), "--role", role])
    assert result.exit_code == 0, result.output
    assert "SessionStopReq → SessionStopRes" in result.stdout
    differs = "EVSEID: recorded UK123E1234, live DE*HLC*E000001" in result.stdout
    assert differs is (role == "evcc")  # to our own EVCC it is told as it was recorded


def test_replay_speaks_to_a_live_secc_over_tls(tmp_path: Path) -> None:
    hierarchy = Hierarchy.mint(seed="replay")
    hierarchy.write(tmp_path / "pki")
    own = station_of(hierarchy)
    config = StationConfig(control="scheduled", speed=1000)
    station = Station(config.session(), config.charger, secure=securing(own.tls))
    with Portal() as portal:
        listener = portal.run(tcp.listen, interface.find("lo"))
        portal.run(portal.nursery.start, serve, station, [listener])
        address = f"[::1]:{listener.socket.getsockname()[1]}"
        recorded = DATA / "josev_iso20_DC_scheduled_EIM_tls1.3.jsonl"
        told = ["--connect", address, "--pki", str(tmp_path / "pki")]
        result = run(app, ["trace", "replay", str(recorded), *told])
    assert result.exit_code == 0, result.output
    assert "SessionStopReq → SessionStopRes" in result.stdout


def test_replay_says_where_the_live_peer_refuses(good: str) -> None:
    result = run(app, ["trace", "replay", good])
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "6 of 23 exchanges; ServiceDetailRes FAILED_ServiceIDInvalid"


async def replayed(peer: Callable[[trio.abc.Stream], Awaitable[None]]) -> EVCCReplay:
    with open_input(DATA / "josev_iso20_DC_scheduled_EIM_tls1.3.jsonl") as source:
        replay = EVCCReplay(exchanges_of(source))
    here, there = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer, there)
        await replay.run(Link(here, Role.EVCC))
        nursery.cancel_scope.cancel()
    return replay


async def test_a_replay_ends_at_what_is_no_v2gtp() -> None:
    async def garbage(stream: trio.abc.Stream) -> None:
        await stream.receive_some(1)
        await stream.send_all(b"HTTP/1.1 400 Bad Request")

    replay = await replayed(garbage)
    assert "V2GTP version is 0x48" in replay.ended
    assert not replay.complete


async def test_a_replay_bears_an_answer_that_belongs_to_another_request() -> None:
    async def deaf(stream: trio.abc.Stream) -> None:
        link = Link(stream, Role.SECC)
        while True:
            await link.receive()
            await link.write(0x8001, bytes.fromhex("80400040"))  # supportedAppProtocolRes, whatever was asked

    replay = await replayed(deaf)
    assert [step.response for step in replay.steps[:2]] == ["supportedAppProtocolRes"] * 2


def test_a_replay_whose_live_vehicle_leaves_early_has_not_gone_to_the_end(tmp_path: Path) -> None:
    recording = rec.dc_bpt_dynamic()
    recording.message("AuthorizationSetupRes").response_code = ResponseCode.FAILED
    result = run(app, ["trace", "replay", written(tmp_path / "a.jsonl", recording), "--role", "secc"])
    assert "3 of 23 exchanges; our EVCC: FAILED response" in result.stdout
    assert result.exit_code == 1


FOUND = {
    "josev_iso20_DC_scheduled_EIM_tls1.3": {"service.parameter-forms"},
    "everest_DC_dynamic_tls1.3": {
        "loop.ev-limits",  # the rig reports a voltage of its own invention
        "sequence.order",
        "sequence.order.refusal",
        "service.control-modes",
    },
    "everest_lenient_AC_BPT_scheduled_tls1.3": {
        "schedule.no-price",
        "service.control-modes",
        "service.parameter-forms",
    },
    "josev_iso20_dc_certinstall": {"v2gtp.payload-type"},
    "josev_iso20_dc_notify_SERVICE_RENEGOTIATION": {
        "sap.choice-insecure",  # recorded over plain TCP
        "sap.offer-insecure",
        "service.parameter-forms",
    },
}


@pytest.mark.parametrize("name", FOUND)
def test_foreign_sessions(name: str) -> None:
    """What public stacks are known for is found in their sessions, and nothing else."""
    told = json.loads(run(app, ["check", str(DATA / f"{name}.jsonl"), "--format", "json"]).stdout)
    assert set(told["counts"]) == FOUND[name]


def test_a_report_without_charts_needs_no_library(good: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = run(app, ["report", good, "--no-charts", "-o", str(page)])
    assert result.exit_code == 0, result.output
    assert "DC_ChargeLoopReq" in page.read_text(encoding="utf-8")


def test_without_the_library_of_the_charts_a_report_is_written_without_them(
    good: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    monkeypatch.setattr("hlc_sim.trace.cli.find_spec", lambda name: None)
    page = tmp_path / "page.html"
    result = run(app, ["report", good, "-o", str(page)])
    assert result.exit_code == 0, result.output
    assert "without charts" in result.stderr
    assert "DC_ChargeLoopReq" in page.read_text(encoding="utf-8")
    assert run(app, ["report", good, "-o", str(page), "--charts"]).exit_code == 2


def test_a_capture_can_be_made_of_a_trace_and_says_the_same(good: str, tmp_path: Path) -> None:
    result = run(app, ["trace", "pcap", good])
    assert result.exit_code == 0, result.output
    capture = Path(good).with_suffix(".pcapng")
    assert result.stdout.startswith(f"{capture}: ")
    assert run(app, ["trace", "diff", good, str(capture)]).exit_code == 0


def test_what_a_foreign_recording_says_can_be_a_capture(tmp_path: Path) -> None:
    foreign = DATA / f"{next(iter(FOUND))}.jsonl"
    capture = tmp_path / "a.pcapng"
    assert run(app, ["trace", "pcap", str(foreign), "-o", str(capture)]).exit_code == 0
    assert run(app, ["trace", "diff", str(foreign), str(capture)]).exit_code == 0


def test_no_capture_is_made_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    result = run(app, ["trace", "pcap", str(tmp_path / "a.jsonl")])
    assert result.exit_code == 2
    assert "nothing in it" in result.stderr
    assert not (tmp_path / "a.pcapng").exists()


def test_no_capture_is_made_of_a_capture(good: str) -> None:
    run(app, ["trace", "pcap", good])
    capture = Path(good).with_suffix(".pcapng")
    before = capture.read_bytes()
    result = run(app, ["trace", "pcap", str(capture)])
    assert result.exit_code == 2
    assert "a capture already" in result.stderr
    assert capture.read_bytes() == before
