"""A first test file: pytest examples/test_first_day.py [--hlc-secc HOST:PORT | --hlc-iface IF]"""

import pytest

from hlc_sim.pytest_plugin import DeviceUnderTest
from hlc_sim.scenario import library


@pytest.mark.requirement("V2G20-460")
def test_zero_is_no_session(secc: DeviceUnderTest) -> None:
    with secc.connect() as ev:
        ev.run_until("ServiceDiscovery")
        ev.send("ServiceDiscoveryReq", {"header.session_id": "0000000000000000"})
        ev.expect("ServiceDiscoveryRes", "FAILED_UnknownSession")


@pytest.mark.requirement("V2G20-459")
def test_no_power_without_cable_check(secc: DeviceUnderTest) -> None:
    with secc.connect() as ev:
        ev.run_until("DC_CableCheck")
        ev.send("DC_PreChargeReq")
        ev.expect("DC_PreChargeRes", "FAILED_SequenceError")


@pytest.mark.requirement("V2G20-1502")
def test_silence_in_the_loop(secc: DeviceUnderTest) -> None:
    assert secc.play(library()["silent-in-the-loop-dc"]).result == "pass"


def test_the_car_goes_after_failed(evcc: DeviceUnderTest) -> None:
    with evcc.connect() as station:
        station.run_until("ServiceDiscovery")
        station.send("ServiceDiscoveryRes", {"response_code": "FAILED"})
        station.expect_close()
