"""What a failed test leaves."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from hlc_sim.trace import events as ev
from hlc_sim.trace.jsonl import read

from .conftest import Run

pytest_plugins = ["pytester"]
FAILS = """
    import pytest

    @pytest.mark.requirement('V2G20-441')
    def test_bad(evcc):
        with evcc.connect() as station:
            station.run_until('SessionSetup')
            assert not 'reached'

    def test_good(secc):
        with secc.connect() as ev:
            ev.run_until('SessionSetup')
"""


def properties(junit: Path) -> dict[str, str]:
    return {p.attrib["name"]: p.attrib["value"] for p in ElementTree.parse(junit).iter("property")}


def test_a_failed_test_leaves_a_trace_and_a_page_that_junit_names(
    run: Run, pytester: pytest.Pytester
) -> None:
    ran = run(FAILS, "--hlc-artifacts", "out", "--junitxml=junit.xml")
    ran.assert_outcomes(failed=1, passed=1)
    found = properties(pytester.path / "junit.xml")
    assert found.keys() == {"requirements", "trace", "report"}
    trace, report = Path(found["trace"]), Path(found["report"])
    assert sorted((pytester.path / "out").iterdir()) == sorted([trace, report])
    names = [event.name for event in read(trace) if isinstance(event, ev.Frame)]
    assert names == ["supportedAppProtocolReq", "supportedAppProtocolRes", "SessionSetupReq"]
    assert trace.name in report.read_text()
    ran.stdout.fnmatch_lines([f"trace: {trace}", f"report: {report}"])


def test_without_a_folder_it_is_in_that_of_the_run(run: Run, pytester: pytest.Pytester) -> None:
    run(FAILS, "--junitxml=junit.xml", "--basetemp=base").assert_outcomes(failed=1, passed=1)
    assert Path(properties(pytester.path / "junit.xml")["trace"]).parent == pytester.path / "base" / "hlc"


def test_the_times_of_a_simulation_are_those_of_its_clock(run: Run, pytester: pytest.Pytester) -> None:
    ran = run(
        """
        from hlc_sim.scenario import library

        def test_it(secc):
            assert secc.play(library()['silent-before-AuthorizationReq']).result == 'pass'
            assert secc.play(library()['silent-before-AuthorizationReq']).result == 'fail'
        """,
        "--hlc-artifacts",
        "out",
    )
    ran.assert_outcomes(failed=1)
    (trace,) = (pytester.path / "out").glob("*.jsonl")
    events = read(trace)[1:]
    assert [event.time for event in events] == sorted(event.time for event in events)
    closed = [event for event in events if isinstance(event, ev.Closed)]
    frames = [e for e in events if isinstance(e, ev.Frame) and e.connection == closed[0].connection]
    assert closed[0].by == "SECC"
    assert closed[0].time - frames[-1].time > 50


def test_below_tls_the_trace_has_the_bytes(run: Run, pytester: pytest.Pytester) -> None:
    ran = run(
        """
        from hlc_sim.scenario import library

        def test_it(secc):
            assert secc.play(library()['tls-1.2-only']).result == 'fail'
        """,
        "--hlc-artifacts",
        "out",
    )
    ran.assert_outcomes(failed=1)
    (trace,) = (pytester.path / "out").glob("*.jsonl")
    assert {event.sender for event in read(trace) if isinstance(event, ev.Segment)} == {"EVCC", "SECC"}


def test_a_connection_of_a_fixture_is_evidence_before_it_is_closed(
    run: Run, pytester: pytest.Pytester
) -> None:
    ran = run(
        """
        import pytest

        @pytest.fixture
        def ev(secc):
            with secc.connect() as ev:
                ev.run_until('ServiceDiscovery')
                yield ev
                assert not ev.deviations(), 'the end'

        @pytest.fixture
        def beyond(ev):
            ev.send_bytes(bytes(8))
            ev.expect_close()
            ev.run_until('ServiceDetail')

        def test_point(beyond):
            pass

        def test_call(ev):
            assert not 'reached'

        def test_teardown(ev, monkeypatch):
            ev.deviations = lambda: ['one']
        """,
        "--hlc-artifacts",
        "out",
    )
    ran.assert_outcomes(skipped=1, failed=1, passed=1, errors=1)
    ran.stdout.fnmatch_lines(["*ERROR at teardown of test_teardown*", "* AuthorizationRes OK", "trace: *"])
    ran.stdout.fnmatch_lines(["E *assert not 'reached'", "* AuthorizationRes OK", "trace: *"])
    ran.stdout.fnmatch_lines(["*inconclusive: the session ended before ServiceDetail*"])
    traces = {path.stem.partition("_test_")[2] for path in (pytester.path / "out").glob("*.jsonl")}
    assert len(traces) == 3


def test_what_a_worker_of_xdist_finds_is_in_the_report_of_the_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILS)
    ran = pytester.runpytest_subprocess("-n", "1", "--hlc-artifacts", "out", "--junitxml=junit.xml")
    ran.assert_outcomes(failed=1, passed=1)
    assert Path(properties(pytester.path / "junit.xml")["trace"]).exists()
