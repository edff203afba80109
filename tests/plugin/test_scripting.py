"""Linear scripts: our side is correct until told otherwise, whichever side it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from hlc_sim.pytest_plugin.portal import Portal

from ..docs.pages import blocks
from .conftest import Run

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]


def test_the_example_of_the_first_day(run: Run) -> None:
    text = (ROOT / "examples" / "test_first_day.py").read_text()
    assert len(text.splitlines()) < 40
    run(text).assert_outcomes(passed=4)


def test_the_page_on_pytest(run: Run) -> None:
    page = ROOT / "docs" / "howto" / "automate.md"
    scripts = [block.text for block in blocks(page) if ".connect()" in block.text]
    run("\n".join(scripts)).assert_outcomes(passed=2)


def test_failures_show_what_was_said_and_the_requirement(run: Run) -> None:
    ran = run("""
        import pytest

        @pytest.mark.requirement('V2G20-464')
        def test_it(secc):
            with secc.connect() as ev:
                ev.run_until('ServiceDetail')
                ev.send('ServiceDetailReq', {'service_id': 4711})
                ev.expect('ServiceDetailRes', 'OK')
    """)
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(
        [
            "E * expected ServiceDetailRes OK, got ServiceDetailRes FAILED_ServiceIDInvalid",
            "*V2G20-464*",
            "* what was said *",
            "*SECC  0x8002 * ServiceDetailRes FAILED_ServiceIDInvalid",
            "judge: error: frame 11 ServiceDetailReq: EVCC *",
        ]
    )


def test_bytes_are_not_only_messages(run: Run) -> None:
    run("""
        def test_it(secc):
            with secc.connect() as ev:
                ev.send_bytes(b'GET / HTTP/1.1')
                ev.expect_close()
    """).assert_outcomes(passed=1)


def test_a_session_goes_on_with_what_the_test_said_in_place_of_our_ev(run: Run) -> None:
    run("""
        def test_it(secc):
            with secc.connect() as ev:
                ev.send('supportedAppProtocolReq')
                ev.expect('supportedAppProtocolRes', 'OK_SuccessfulNegotiation')
                ev.run_until('ServiceDiscovery')
                ev.send('ServiceDiscoveryReq')
                offer = ev.expect('ServiceDiscoveryRes', 'OK').energy_transfer_service_list.service
                ev.send('ServiceDetailReq')
                assert ev.expect('ServiceDetailRes', 'OK').service_id in [s.service_id for s in offer]
                ev.run_until('ChargeParameterDiscovery')
                assert ev.deviations() == []
    """).assert_outcomes(passed=1)


def test_a_message_out_of_order_leaves_the_one_that_is_due(run: Run) -> None:
    run("""
        def test_it(secc):
            with secc.connect() as ev:
                ev.run_until('ServiceDetail')
                ev.send('ServiceSelectionReq')
                ev.expect('ServiceSelectionRes', 'FAILED_SequenceError')
                assert ev.deviations() == []
    """).assert_outcomes(passed=1)


def test_a_session_goes_on_with_what_the_test_said_in_place_of_our_station(run: Run) -> None:
    run("""
        def test_it(evcc):
            with evcc.connect() as station:
                station.expect('supportedAppProtocolReq')
                station.send('supportedAppProtocolRes')
                station.run_until('ServiceDiscovery')
                station.send('ServiceDiscoveryRes')
                asked = station.expect('ServiceDetailReq')
                station.send('ServiceDetailRes')
                assert station.expect('ServiceSelectionReq').header == asked.header
                station.run_until('ChargeParameterDiscovery')
                assert station.deviations() == []
                station.send('DC_ChargeParameterDiscoveryRes', {'response_code': 'FAILED'})
                station.expect_close()
    """).assert_outcomes(passed=1)


def test_a_car_that_gets_another_response_ends_the_session(run: Run) -> None:
    ran = run("""
        def test_it(evcc):
            with evcc.connect() as station:
                station.run_until('ServiceDiscovery')
                station.send('ServiceSelectionRes')
                station.expect('ServiceSelectionReq')
    """)
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["E * expected ServiceSelectionReq, but the peer closed the connection"])


def test_connections_at_once_are_sessions_of_their_own(run: Run) -> None:
    run("""
        def test_it(secc):
            with secc.connect() as one, secc.connect() as other:
                for ev in (one, other):
                    ev.run_until('SessionSetup')
                    ev.send('SessionSetupReq')
                ids = {ev.expect('SessionSetupRes').header.session_id for ev in (one, other)}
                assert len(ids) == 2
    """).assert_outcomes(passed=1)


def test_our_vehicle_is_that_of_the_file_or_of_the_test(run: Run, tmp_path: Path) -> None:
    vehicle, station = tmp_path / "vehicle.toml", tmp_path / "station.toml"
    vehicle.write_text('mode = "ac"\n')
    station.write_text('modes = ["ac", "mcs"]\n')
    source = """
        from hlc_sim import VehicleConfig

        def test_file(secc):
            with secc.connect() as ev:
                ev.run_until('AC_ChargeParameterDiscovery')

        def test_own(secc):
            with secc.connect(vehicle=VehicleConfig(mode='mcs')) as ev:
                ev.run_until('DC_ChargeParameterDiscovery')
    """
    run(source, "--hlc-vehicle", str(vehicle), "--hlc-station", str(station)).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "line",
    ["ev.run_until('ChargeLop')", "ev.expect('ChargeLopRes')", "ev.send('DC_ChargeLopReq')"],
)
def test_a_name_that_is_none_is_said_at_once(run: Run, line: str) -> None:
    ran = run(f"""
        def test_it(secc):
            with secc.connect() as ev:
                {line}
    """)
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["E *no message is called '*ChargeLop*', did you mean '*ChargeLoop*'?"])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("ev.send('ServiceDiscoveryRq')", "did you mean 'ServiceDiscoveryReq'?"),
        ("ev.send('ServiceDiscoveryReq', {'header.sesion_id': ''})", "did you mean 'session_id'?"),
    ],
)
def test_a_mistake_in_what_is_sent_shows_the_line_of_the_test_alone(run: Run, call: str, said: str) -> None:
    ran = run(f"""
        def test_it(secc):
            with secc.connect() as ev:
                ev.run_until('ServiceDiscovery')
                {call}
    """)
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines([f">*{call}", f"E *{said}", "*.py:4: FieldError"])
    assert "portal.py" not in ran.stdout.str()


def test_a_session_that_ends_before_the_point_is_inconclusive(run: Run) -> None:
    ran = run("""
        def test_it(evcc):
            with evcc.connect() as station:
                station.run_until('ServiceDiscovery')
                station.send('ServiceDiscoveryRes', {'response_code': 'FAILED'})
                station.run_until('ServiceDetail')
    """)
    ran.assert_outcomes(skipped=1)
    ran.stdout.fnmatch_lines(["*inconclusive: the session ended before ServiceDetail: the peer closed*"])


def test_a_device_that_crashes_beside_the_test_is_an_error() -> None:
    async def crash() -> None:
        raise ZeroDivisionError

    async def begin(nursery: trio.Nursery) -> None:
        nursery.start_soon(crash)
        await trio.sleep_forever()

    with Portal() as portal, pytest.raises(RuntimeError, match="crashed") as caught:
        portal.run(begin, portal.nursery)
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert caught.value.__cause__.subgroup(ZeroDivisionError) is not None
