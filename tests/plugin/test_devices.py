"""Devices that the options name: at an address, or on an interface."""

from __future__ import annotations

import fcntl
import shlex
import socket
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hlc_sim.clock import unix_offset
from hlc_sim.config import StationConfig
from hlc_sim.pytest_plugin.options import chosen
from hlc_sim.pytest_plugin.portal import Portal
from hlc_sim.scenario import NetworkEVCC, NetworkSECC
from hlc_sim.secc import Secure, Station, serve
from hlc_sim.transport import interface, tcp
from hlc_sim.trust import securing, station_of
from iso15118.session.events import Role
from pki.hierarchy import Hierarchy

from .conftest import Run

pytest_plugins = ["pytester"]
REACHED = """
    def test_it(secc):
        with secc.connect() as ev:
            ev.run_until('ServiceDiscovery')
            assert ev.deviations() == []
"""


@contextmanager
def charger(secure: Secure | None = None, *, strict: bool = False) -> Iterator[str]:
    """An SECC at a free port."""
    config = StationConfig(secc={"strict": strict})
    station = Station(config.session(), lambda: config.charger(unix_offset()), secure=secure)
    with Portal() as portal:
        listener = portal.run(tcp.listen, interface.find("lo"))
        portal.run(portal.nursery.start, serve, station, [listener])
        yield f"[::1]:{listener.socket.getsockname()[1]}"


def test_an_secc_at_an_address(run: Run) -> None:
    with charger() as address:
        run(REACHED, "--hlc-secc", address, "--hlc-lab-plain-tcp").assert_outcomes(passed=1)


def test_an_secc_that_knows_our_certificates(run: Run, tmp_path: Path) -> None:
    hierarchy = Hierarchy.mint(seed="plugin")
    hierarchy.write(tmp_path / "pki")
    fails = REACHED + "            assert not 'reached'\n"
    with charger(securing(station_of(hierarchy).tls)) as address:
        ran = run(fails, "--hlc-secc", address, "--hlc-pki", str(tmp_path / "pki"))
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["E *assert not 'reached'", "* AuthorizationRes OK", "trace: *"])


def test_over_tls_our_evccid_is_the_name_in_our_certificate(run: Run, tmp_path: Path) -> None:
    hierarchy = Hierarchy.mint(seed="plugin")
    hierarchy.write(tmp_path / "pki")
    with charger(securing(station_of(hierarchy).tls), strict=True) as address:
        run(REACHED, "--hlc-secc", address, "--hlc-pki", str(tmp_path / "pki")).assert_outcomes(passed=1)


def test_one_that_is_not_there_is_inconclusive(run: Run) -> None:
    ran = run(REACHED, "--hlc-secc", "[::1]:1", "--hlc-lab-plain-tcp")
    ran.assert_outcomes(skipped=1)
    ran.stdout.fnmatch_lines(["*inconclusive: SECC at *::1*"])


def test_a_car_that_a_command_plugs_in(run: Run) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as free:
        free.bind(("::", 0))
        port = free.getsockname()[1]
    hlc = shlex.quote(str(Path(sys.executable).with_name("hlc")))
    ran = run(
        f"""
        import pytest

        @pytest.fixture
        def car(evcc):
            evcc.target.sdp_port = {port}
            return evcc

        def test_it(car):
            with car.connect() as station:
                station.run_until('ServiceDiscovery')
                station.send('ServiceDiscoveryRes', {{'response_code': 'FAILED'}})
                station.expect_close()
                assert not 'reached'
        """,
        *("--hlc-iface", "lo", "--hlc-lab-plain-tcp"),
        *("--hlc-trigger", f"echo plugged in; exec {hlc} evcc --lab-plain-tcp --sdp-port {port}"),
    )
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["E *assert not 'reached'", "trigger: plugged in"])


def options(**values: object) -> Namespace:
    names = ("secc", "iface", "trigger", "cert", "key", "root", "pki", "vehicle", "station", "capabilities")
    flags = dict.fromkeys(("lab_plain_tcp", "relaxed", "parallel"), False)
    return Namespace(**{f"hlc_{k}": v for k, v in {**dict.fromkeys(names), **flags, **values}.items()})


def test_on_an_interface_an_secc_is_found_and_a_car_waited_for() -> None:
    devices = chosen(options(iface="lo", trigger="./relay on", lab_plain_tcp=True, relaxed=True))
    secc, evcc = (devices.devices[role].target(role) for role in (Role.SECC, Role.EVCC))
    assert isinstance(secc, NetworkSECC)
    assert (secc.interface, secc.address, secc.plain) == ("lo", None, True)
    assert isinstance(evcc, NetworkEVCC)
    assert evcc.interface == "lo"
    assert evcc.trigger is not None
    assert evcc.trigger.command == "./relay on"
    assert devices.ours.vehicle.timers == "relaxed"


def test_the_side_that_no_option_names_is_simulated() -> None:
    devices = chosen(options(secc="[::1]:50000", lab_plain_tcp=True)).devices
    assert not devices[Role.SECC].simulated
    assert devices[Role.EVCC].simulated


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--hlc-secc", "[::1]:1"], "ISO 15118-20 runs over TLS"),
        (["--hlc-secc", "nowhere", "--hlc-lab-plain-tcp"], "'nowhere' is not HOST:PORT"),
        (["--hlc-trigger", "./relay on"], "--hlc-trigger makes a car connect to us"),
        (["--hlc-vehicle", "nowhere.toml"], "nowhere.toml"),
        (["--hlc-iface", "lo", "--hlc-pki", "nowhere"], "nowhere"),
    ],
)
def test_options_that_cannot_be_used_end_the_run(run: Run, arguments: list[str], words: str) -> None:
    ran = run(REACHED, *arguments)
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert words in ran.stderr.str()


@pytest.mark.parametrize(("parallel", "free"), [(False, False), (True, True)])
def test_a_device_is_one_tests_alone_unless_it_bears_more(parallel: bool, free: bool) -> None:
    bench = chosen(options(secc="[::1]:50000", lab_plain_tcp=True, parallel=parallel))
    with bench.turn(), bench.lock.open("a") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            got = True
        except BlockingIOError:
            got = False
    assert got is free


def test_a_test_has_its_turn_while_it_uses_the_device(run: Run) -> None:
    source = """
        import fcntl
        import pytest
        from hlc_sim.pytest_plugin import _chosen

        def test_it(secc, pytestconfig):
            with _chosen(pytestconfig).lock.open('a') as other, pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

        def test_simulated(evcc, pytestconfig):
            with _chosen(pytestconfig).lock.open('a') as other:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    """
    run(source, "--hlc-secc", "[::1]:1", "--hlc-lab-plain-tcp").assert_outcomes(passed=2)
